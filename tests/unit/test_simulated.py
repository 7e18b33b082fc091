"""Addresses in the code under test lead to simulated hosts, and are checked as in production."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from vhal_mock import World

import vhal
import vhal.aio
from vhal.errors import (
    HostUnreachable,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    InvalidUrl,
    NotFound,
    PluginError,
    VhalError,
)
from vhal.registry import Registry
from vhal.testing import simulated

ALPHA = "libvirt+tls://alpha.example.org/system"
BETA = "containers+podman+unix:///run/podman.sock"


def machines(where: str) -> list[str]:
    with vhal.connect(where) as host:
        return [machine.name for machine in host.machines()]


def name_of(where: str) -> str:
    with vhal.connect(where) as host:
        return host.info().name


class TestAddresses:
    def test_one_url_is_one_host_with_the_name_of_its_host_part(self) -> None:
        with simulated(), vhal.connect(ALPHA) as host, vhal.connect(ALPHA) as again:
            assert (host.name, host.url, host.backend) == (ALPHA, ALPHA, "mock")
            assert host.uuid == again.uuid
            assert host.info().name == "alpha.example.org"
            host.create(vhal.MachineSpec(name="web"))
            assert again.machine("web").name == "web"
            assert machines("libvirt+tls://beta.example.org/system") == []

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("libvirt:///system", "localhost"),
            ("libvirt+tls://[fe80::1]/system", "fe80::1"),
            ("libvirt+tls://10.0.0.1:16514/system", "10.0.0.1-16514"),
            ("libvirt+ssh://root@10.0.0.1/system", "10.0.0.1"),
            ("mock:///b", "b"),
        ],
    )
    def test_names(self, url: str, name: str) -> None:
        with simulated():
            assert name_of(url) == name

    def test_named_hosts_of_the_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "hosts.toml"
        file.write_text(f'[hosts.alpha]\nurl = "{ALPHA}"\n')
        file.chmod(0o600)
        monkeypatch.setenv("VHAL_CONFIG", str(file))
        with simulated(), vhal.connect("alpha") as host, vhal.connect(ALPHA) as same:
            assert (host.name, host.url, host.uuid) == ("alpha", ALPHA, same.uuid)
            with pytest.raises(NotFound, match="no host named 'gamma'") as caught:
                vhal.connect("gamma")
            assert caught.value.hint is not None
            assert "simulated(map={'gamma': HOST})" in caught.value.hint

    def test_backends_that_are_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bare = Registry(allow=["mock"])
        for module in ("opener", "host", "testing.simulation"):
            monkeypatch.setattr(f"vhal.{module}.registry", bare)
        with pytest.raises(PluginError):
            vhal.connect(ALPHA)
        with simulated(), vhal.connect(ALPHA) as host:
            vm = host.create(vhal.MachineSpec(name="web", options={"libvirt": {"machine": "q35"}}))
            assert dict(vm.info().spec.options["libvirt"]) == {"machine": "q35"}  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        "where",
        [
            "libvirt+tls:/alpha",
            "libvirt+tls://user:secret@alpha/system",
            "libvirt+carrier-pigeon://alpha/system",
            "libvirt+tls:///system",
            "libvirt+tls://alpha/system?no_verify=1",
            "libvirt+tls://alpha/../etc",
            "nobody://alpha/",
            "mock:///z",
        ],
    )
    def test_what_is_wrong_is_as_wrong_as_in_production(self, where: str) -> None:
        found: list[VhalError] = []
        for context in (simulated(world=World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})), threading.Lock()):
            with context, pytest.raises((InvalidUrl, PluginError, NotFound)) as caught:
                vhal.connect(where)
            found.append(caught.value)
        assert (type(found[0]), str(found[0]), found[0].hint) == (type(found[1]), str(found[1]), found[1].hint)

    def test_options_of_no_backend_are_refused_still(self) -> None:
        with simulated(), vhal.connect(ALPHA) as host, pytest.raises(InvalidSpec, match=r"options\.libvrit"):
            host.create(vhal.MachineSpec(name="web", options={"libvrit": {}}))

    def test_errors_and_results_name_what_was_asked_for(self) -> None:
        with simulated(), vhal.connect(ALPHA) as alpha, vhal.connect("libvirt:///system") as here:
            with pytest.raises(InsufficientResources) as caught:
                alpha.create(vhal.MachineSpec(name="big", memory="1TiB"))
            assert caught.value.host == ALPHA
            assert "alpha.example.org" in str(caught.value)
            vm = alpha.create(vhal.MachineSpec(name="web"))
            vm.start()
            assert str(vm.migrate(here)).startswith(f"web: {ALPHA} → libvirt:///system")

    def test_an_open_driver_is_taken_as_it_is(self, mock_world: World) -> None:
        from vhal_mock.driver import MockDriver

        with simulated(hosts=1), vhal.connect(MockDriver(mock_world.host("b"))) as host:
            assert host.info().name == "b"


class TestGivenHosts:
    def test_are_the_only_ones(self) -> None:
        with simulated(hosts=["alpha", {"name": "beta", "memory": "8GiB"}]) as sim:
            assert list(sim.world.hosts) == ["alpha", "beta"]
            assert name_of(ALPHA) == "alpha"
            assert name_of("libvirt+ssh://beta:2222/system") == "beta"
            assert name_of("beta") == "beta"
            assert name_of("libvirt:///system") == name_of("mock:///") == "alpha"
            with pytest.raises(HostUnreachable, match="has no host 'gamma'") as caught:
                vhal.connect("libvirt+tls://gamma/system")
            assert (caught.value.host, caught.value.backend) == ("libvirt+tls://gamma/system", "libvirt")
            with pytest.raises(HostUnreachable):
                vhal.connect("libvirt+tls://10.0.0.1/system")

    def test_a_number_of_them(self) -> None:
        with simulated(hosts=4) as sim:
            made = [host.model for host in sim.world.hosts.values()]
        assert [model.name for model in made] == ["a", "b", "c", "d"]
        assert len({model.memory for model in made}) == 3
        with simulated(hosts=30) as sim:
            assert list(sim.world.hosts)[-1] == "host29"

    def test_a_world(self) -> None:
        world = World.from_spec({"hosts": [{"name": "alpha"}]})
        with simulated(world=world) as sim:
            assert sim.world is world
            assert name_of(ALPHA) == "alpha"

    def test_a_map(self) -> None:
        places = {ALPHA: "b", "spare": "b", "nobody+tls://x:1/": "a"}
        with simulated(hosts=2, map=places), vhal.connect("spare") as spare, vhal.connect(ALPHA) as alpha:
            assert spare.uuid == alpha.uuid
            assert (alpha.url, spare.name) == (ALPHA, "spare")
            assert name_of("nobody+tls://x:1") == "a"
        with simulated(map={ALPHA: "one"}):
            assert name_of(ALPHA) == "one"

    @pytest.mark.parametrize(
        ("given", "hint"),
        [
            ({"hosts": ["alpha"], "map": {ALPHA: "alhpa"}}, "did you mean 'alpha'?"),
            ({"hosts": ["alpha"], "map": {ALPHA: "zz"}}, "there are alpha"),
            ({"hosts": 0}, "describe a larger world in a file, and give it as spec"),
            ({"hosts": True}, 'write hosts=3, hosts=["alpha", "beta"]'),
            ({"hosts": "alpha"}, 'write hosts=3, hosts=["alpha", "beta"]'),
            ({"hosts": 2, "spec": "fleet.toml"}, "leave one of them out"),
            ({"hosts": ["a", "a"]}, ""),
            ({"hosts": [{"name": "a", "memroy": "1GiB"}]}, ""),
        ],
    )
    def test_what_describes_no_world(self, given: dict[str, Any], hint: str) -> None:
        simulation = simulated(**given)
        with pytest.raises(InvalidSpec) as caught:
            simulation.__enter__()
        assert hint in (caught.value.hint or "")
        with pytest.raises(InvalidState, match="hasn't begun"):
            _ = simulation.world
        assert simulation.closed

    def test_what_does_not_go_together(self, mock_world: World) -> None:
        with pytest.raises(InvalidSpec, match="has a world, or makes one"):
            simulated(world=mock_world, hosts=2)
        with pytest.raises(InvalidUrl):
            simulated(map={"libvirt+tls:/x": "a"})


class TestItsTime:
    def test_it_is_undone_whatever_happens(self, mock_world: World) -> None:
        def fail() -> None:
            with simulated(hosts=["x"]):
                assert name_of("mock:///") == "x"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert name_of("mock:///") == "a"
        with pytest.raises(VhalError):
            vhal.connect("libvirt+tls://nowhere.invalid/system?no_verify=1")

    def test_the_default_world_is_taken_as_it_is(self, mock_world: World) -> None:
        with simulated() as sim:
            assert sim.world is mock_world

    def test_without_one_each_has_a_new_one(self) -> None:
        first, second = simulated(), simulated()
        with first, vhal.connect(ALPHA) as host:
            host.create(vhal.MachineSpec(name="web"))
        with second:
            assert machines(ALPHA) == []
        assert first.world is not second.world

    def test_nested(self) -> None:
        with simulated(hosts=["x"]) as outer:
            with simulated() as same, simulated(hosts=["y"]) as inner:
                assert same.world is outer.world
                assert name_of(ALPHA.replace("alpha", "y")) == name_of("mock:///") == "y"
                assert inner.world is not outer.world
            assert name_of("mock:///") == "x"

    def test_entered_again_it_is_the_same_world(self) -> None:
        simulation = simulated(hosts=1)
        with simulation as outer:
            world = outer.world
            with simulated(hosts=["other"]), simulation as again:
                assert again.world is world
                assert name_of("mock:///") == "a"
        assert simulation.closed

    def test_ended_in_another_order(self, mock_world: World) -> None:
        first, second = simulated(hosts=["x"]), simulated(hosts=["y"])
        first.__enter__()
        second.__enter__()
        first.close()
        assert name_of("mock:///") == "y"
        second.close()
        second.close()
        assert name_of("mock:///") == "a"

    def test_every_thread_and_task_sees_it(self) -> None:
        names: list[str] = []

        async def main() -> None:
            async with await vhal.aio.connect(ALPHA) as host:
                names.append((await host.info()).name)

        with simulated(hosts=["alpha"]):
            thread = threading.Thread(target=lambda: names.append(name_of(ALPHA)))
            thread.start()
            thread.join()
            asyncio.run(main())
        assert names == ["alpha", "alpha"]

    def test_many_threads_make_one_host(self) -> None:
        seen: list[str] = []

        def look() -> None:
            with vhal.connect(ALPHA) as host:
                seen.append(host.uuid)

        with simulated() as sim:
            threads = [threading.Thread(target=look) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(sim.world.hosts) == 3
        assert len(set(seen)) == 1
        assert len(seen) == 8

    def test_it_needs_no_pytest(self) -> None:
        code = (
            "import sys; sys.modules['pytest'] = None\n"
            "import vhal, vhal.testing\n"
            f"with vhal.testing.simulated(): print(vhal.connect({ALPHA!r}).info().name)\n"
            "print('hypothesis' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["alpha.example.org", "False"]
