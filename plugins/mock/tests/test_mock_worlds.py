"""Worlds, clocks and physics of the simulator."""

from __future__ import annotations

import gc

import pytest
from vhal_mock.clock import Clock
from vhal_mock.console import MockConsole
from vhal_mock.world import World, find, swap_default

import vhal
from vhal.driver import Context
from vhal.errors import InvalidSpec, NotFound, OperationAborted, OperationTimeout


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


class TestClock:
    def test_time_passes_when_it_is_spent(self) -> None:
        clock = Clock()
        clock.spend(3600)
        clock.spend(0.5, Context(60))
        assert clock.now_s == 3600.5

    def test_no_more_than_the_deadline(self) -> None:
        clock = Clock()
        with pytest.raises(OperationTimeout, match="virtual seconds"):
            clock.spend(100, Context(10))
        assert 9 < clock.now_s <= 10

    def test_nothing_after_an_abort(self) -> None:
        clock, ctx = Clock(), Context()
        ctx.abort()
        with pytest.raises(OperationAborted):
            clock.spend(1, ctx)
        assert clock.now_s == 0

    def test_a_speed_makes_it_wait(self) -> None:
        clock, ctx = Clock(speed=1.0), Context()
        with ctx.on_abort(lambda: None):
            import threading

            threading.Timer(0.01, ctx.abort).start()
            with pytest.raises(OperationAborted):
                clock.spend(3600, ctx)


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
