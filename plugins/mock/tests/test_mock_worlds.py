"""Worlds of simulated hosts, and their consoles."""

from __future__ import annotations

import gc

import pytest
from vhal_mock.console import MockConsole
from vhal_mock.world import World, find, swap_default

import vhal
from vhal.errors import InvalidSpec, NotFound


class TestWorlds:
    def test_share_nothing(self) -> None:
        one, two = (World.from_spec({"hosts": [{"name": "a"}]}) for _ in range(2))
        with vhal.connect(one.url("a")) as a, vhal.connect(two.url()) as b:
            a.create(vhal.MachineSpec(name="web"))
            assert b.machines() == []
            assert a.uuid != b.uuid
            assert b.name.startswith("mock://world-")

    def test_live_as_long_as_somebody_holds_them(self) -> None:
        url = World.from_spec({"hosts": [{"name": "a"}]}).url("a")
        gc.collect()
        with pytest.raises(NotFound, match="no mock world") as caught:
            vhal.connect(url)
        assert caught.value.hint
        world = World.from_spec({"hosts": [{"name": "a"}]})
        host = vhal.connect(world.url("a"))
        name = world.name
        del world
        gc.collect()
        assert find(name).host("a").uuid == host.uuid

    def test_the_default_one(self) -> None:
        swap_default(None)
        assert list(find(None).hosts) == ["a", "b"]
        assert find(None) is find(None)
        with pytest.raises(NotFound, match="no mock host 'z'") as caught:
            find(None).host("z")
        assert caught.value.hint == "there are a, b"

    @pytest.mark.parametrize(
        ("spec", "path"),
        [
            ({"hosts": []}, "hosts"),
            ({"hosts": [{"name": "a"}, {"name": "a"}]}, "hosts[1].name"),
            ({"hosts": [{"name": "../a"}]}, "hosts[0].name"),
            ({"hosts": [{"name": "a", "cpus": 0}]}, "hosts[0].cpus"),
            ({"hosts": [{"name": "a", "memory": 1}]}, "hosts[0].memory"),
            ({"hosts": [{"name": "a", "memroy": 1}]}, "hosts[0].memroy"),
            ({"hosts": [{"name": "a"}], "speed": 0}, "speed"),
            ({}, "hosts"),
        ],
    )
    def test_malformed(self, spec: dict[str, object], path: str) -> None:
        with pytest.raises(InvalidSpec) as caught:
            World.from_spec(spec)
        assert path in dict(caught.value.problems)


class TestConsole:
    def test_repeats_what_it_is_told(self) -> None:
        console = MockConsole("web")
        assert console.read() == b"web ready\r\n"
        console.write(b"hello")
        assert console.read(0) == b"hello"
        assert console.read(0) == b""

    def test_ends(self) -> None:
        console = MockConsole("web")
        console.close()
        console.close()
        console.write(b"x")
        assert console.read() == b""
