"""The simulator in a test's hands: its clock, its faults, its seed, and a world from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from vhal_mock import World
from vhal_mock.clock import Clock

import vhal
from tests.kit.conftest import Run
from vhal.driver import Fault
from vhal.errors import InvalidSpec, MigrationFailed, MigrationInDoubt, NotFound, VhalError
from vhal.testing import WorldFaults, simulated

FLEET = """
seed = 5

[[hosts]]
name = "alpha"
memory = "8GiB"

[[hosts]]
name = "beta"
"""


def moving(fleet: dict[str, vhal.Host]) -> vhal.Machine:
    vm = fleet["a"].create(vhal.MachineSpec(name="web", memory="2GiB"))
    vm.start()
    return vm


def test_the_clock_passes_when_it_is_told_to(vhal_clock: Clock, vhal_host: vhal.Host) -> None:
    begun = vhal_clock.now_s
    vhal_clock.advance(3600)
    assert vhal_clock.now_s == begun + 3600


class TestChaos:
    def test_short_and_long_are_the_same(self, vhal_chaos: WorldFaults) -> None:
        short = vhal_chaos.add("migration.transfer.round=3", "host-crash", host="b", seconds=60)
        long = vhal_chaos.add(Fault(at="migration.transfer.round=3", kind="host-crash", host="b", seconds=60))
        assert short == long
        assert vhal_chaos.plan.faults == [short, long]
        vhal_chaos.clear()
        assert vhal_chaos.plan.faults == []

    def test_a_source_that_crashes_in_the_middle(
        self, vhal_fleet: dict[str, vhal.Host], vhal_chaos: WorldFaults
    ) -> None:
        vm = moving(vhal_fleet)
        vhal_chaos.add("migration.transfer.round=3", "host-crash", host="a")
        with pytest.raises(MigrationInDoubt):
            vm.migrate(vhal_fleet["b"])
        with pytest.raises(VhalError, match="host 'a' is down"):
            vhal_fleet["a"].machines()

    def test_a_transfer_that_fails_in_the_middle(
        self, vhal_fleet: dict[str, vhal.Host], vhal_chaos: WorldFaults
    ) -> None:
        vm = moving(vhal_fleet)
        vhal_chaos.add("migration.transfer.round=3")
        with pytest.raises(MigrationFailed):
            vm.migrate(vhal_fleet["b"])
        assert vm.state() is vhal.MachineState.RUNNING
        assert vhal_fleet["b"].machines() == []

    def test_a_point_alone_is_an_error_there(self, vhal_host: vhal.Host, vhal_chaos: WorldFaults) -> None:
        vhal_chaos.add("create.begin")
        with pytest.raises(VhalError, match="an injected fault"):
            vhal_host.create(vhal.MachineSpec(name="web"))
        assert vhal_host.create(vhal.MachineSpec(name="web")).name == "web"

    @pytest.mark.parametrize(
        ("at", "fields", "hint"),
        [
            ("migration.transfr.round=3", {}, "did you mean 'migration.transfer.round'?"),
            ("create.begin", {"kind": "host-crahs"}, None),
            ("create.begin", {"hots": "a"}, None),
            ("create.begin", {"host": "aa"}, "did you mean 'a'?"),
            ("create.begin", {"host": "zzz"}, "there are a, b"),
            (Fault(at="create.begin"), {"host": "a"}, "give the point as text, or all fields to Fault()"),
        ],
    )
    def test_what_can_not_go_wrong(
        self, vhal_chaos: WorldFaults, at: str | Fault, fields: dict[str, str], hint: str | None
    ) -> None:
        with pytest.raises(InvalidSpec) as caught:
            vhal_chaos.add(at, **fields)
        if hint is not None:
            assert caught.value.hint == hint
        assert vhal_chaos.plan.faults == []


class TestSeed:
    @pytest.mark.vhal(seed=7)
    def test_of_the_marker(self, mock_world: World) -> None:
        assert mock_world.seed == 7

    def test_of_a_simulation(self) -> None:
        with simulated(seed=3) as sim:
            assert sim.world.seed == 3


class TestSpec:
    @pytest.mark.parametrize("seed", [None, 9])
    def test_of_a_simulation(self, tmp_path: Path, seed: int | None) -> None:
        (tmp_path / "fleet.toml").write_text(FLEET)
        with simulated(spec=tmp_path / "fleet.toml", seed=seed) as sim:
            assert (list(sim.world.hosts), sim.world.seed) == (["alpha", "beta"], seed or 5)
            with vhal.connect("libvirt+tls://alpha.example.org/system") as alpha:
                assert alpha.info().memory == vhal.Bytes("8GiB")

    def test_of_the_marker_lies_beside_the_test(self, run: Run, pytester: pytest.Pytester) -> None:
        folder = pytester.mkdir("fleets")
        (folder / "fleet.toml").write_text(FLEET)
        (folder / "wrong.toml").write_text(FLEET.replace("memory", "memroy"))
        (folder / "test_fleet.py").write_text(
            "import pytest\n"
            "@pytest.mark.vhal(spec='fleet.toml')\n"
            "def test_it(vhal_fleet, mock_world):\n"
            "    assert (list(vhal_fleet), mock_world.seed) == (['alpha', 'beta'], 5)\n"
            "@pytest.mark.vhal(spec='wrong.toml')\n"
            "def test_wrong(): pass\n"
            "@pytest.mark.vhal(spec='missing.toml')\n"
            "def test_missing(): pass\n"
        )
        done = run("", "fleets")
        done.assert_outcomes(passed=1, errors=2)
        done.stdout.fnmatch_lines(["*wrong.toml*memroy*", "*missing.toml*"])

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match=r"fleet\.toml"), simulated(spec=tmp_path / "fleet.toml"):
            raise AssertionError


@simulated(hosts=2)
def test_a_simulation_has_faults_too() -> None:
    with vhal.connect("libvirt+tls://a/system") as a, vhal.connect("libvirt+tls://b/system") as b:
        vm = moving({"a": a})
        with simulated() as sim:
            WorldFaults(sim.world).add("migration.transfer.begin", "error", message="no route")
        with pytest.raises(MigrationFailed, match="no route"):
            vm.migrate(b)
