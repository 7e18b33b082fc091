"""GPUs as places, not counts: what NVIDIA's placements allow, and what is left after each choice."""

from __future__ import annotations

import pytest
from vhal_mock.gpu import NARROW, WIDE, Part, SimGpu, assign, names, places
from vhal_mock.model import GpuModel
from vhal_mock.world import World

import vhal
from vhal.driver import MigrationPolicy
from vhal.errors import InsufficientResources, MigrationRefused
from vhal.spec import Gpu
from vhal.spec.state import MachineState as S

pytestmark = pytest.mark.timeout(30)

GIB = 1 << 30
CLASSIC = ("1g", "2g", "3g", "4g", "7g")
H100 = GpuModel(scheme="mig")


def layouts(profiles: tuple[str, ...]) -> set[frozenset[tuple[str, int]]]:
    """Return every set of placements to which none can be added."""
    every = [(name, start, set(range(start, start + WIDE[name][0]))) for name in profiles for start in WIDE[name][1]]
    found: set[frozenset[tuple[str, int]]] = set()

    def extend(chosen: list[tuple[str, int]], taken: set[int], rest: list[tuple[str, int, set[int]]]) -> None:
        if all(taken & slices for _, _, slices in every):
            found.add(frozenset(chosen))
        for number, (name, start, slices) in enumerate(rest):
            if not taken & slices:
                extend([*chosen, (name, start)], taken | slices, rest[number + 1 :])

    extend([], set(), every)
    return found


def test_there_are_as_many_full_layouts_as_in_nvidias_guide() -> None:
    assert len(layouts(CLASSIC)) == 19
    assert len(layouts((*CLASSIC, "1g+"))) == 78


@pytest.mark.parametrize(
    ("start", "twos", "threes", "fours", "double"),
    [*((n, 2, 1, 0, 3) for n in range(4)), (4, 2, 1, 1, 3), (5, 2, 1, 1, 3), (6, 3, 1, 1, 3)],
)
def test_what_one_small_partition_leaves(start: int, twos: int, threes: int, fours: int, double: int) -> None:
    def fitting(profile: str) -> int:
        gpu = SimGpu(H100, {"first": [Part(0, 10 * GIB, start, 1)]})
        count = 0
        while (part := gpu.place(Gpu(profile=profile), 0)) is not None:
            gpu.parts[f"#{count}"] = [part]
            count += 1
        return count

    assert [fitting(each) for each in ("2g", "3g", "4g", "1g+")] == [twos, threes, fours, double]


def test_the_best_place_is_taken_first() -> None:
    part = SimGpu(H100).place(Gpu(profile="1g"), 0)
    assert part is not None
    assert (part.start, part.memory) == (6, 10 * GIB)


def test_an_a30_is_another_one() -> None:
    model = GpuModel("A30", "mig", 24 * GIB)
    assert places("A30") is NARROW
    assert names(model) == ["1g.6gb", "2g.12gb", "4g.24gb"]
    gpu = SimGpu(model)
    for number in range(4):
        part = gpu.place(Gpu(profile="1g"), 0)
        assert part is not None
        gpu.parts[str(number)] = [part]
    assert gpu.taken() == {0, 1, 4, 5}
    assert gpu.place(Gpu(profile="1g"), 0) is None


def test_whole_ones_stay_whole() -> None:
    gpus = [SimGpu(H100), SimGpu(H100, {"x": [Part(1, 10 * GIB, 6, 1)]})]
    parts = assign(gpus, (Gpu(profile="1g"), Gpu(profile="1g")))
    assert parts is not None
    assert [part.gpu for part in parts] == [1, 1]
    assert not gpus[0].parts
    assert list(gpus[1].parts) == ["x"]


class Lab:
    """Two hosts with one GPU each."""

    def __init__(self, scheme: str, **other: object) -> None:
        gpu = {"scheme": scheme, **other}
        self.world = World.from_spec({"hosts": [{"name": name, "gpus": [gpu]} for name in "ab"]})
        self.a, self.b = (vhal.connect(self.world.url(name)) for name in "ab")

    def vm(self, name: str, gpu: Gpu, host: vhal.Host | None = None) -> vhal.Machine:
        vm = (host or self.a).create(vhal.MachineSpec(name=name, memory="1GiB", gpus=[gpu]))
        vm.start()
        return vm

    def parts(self, host: str = "a") -> list[Part]:
        return [part for parts in self.world.host(host).gpus[0].parts.values() for part in parts]


class TestSchemes:
    def test_passthrough_is_for_one(self) -> None:
        lab = Lab("passthrough")
        one = lab.vm("one", Gpu())
        with pytest.raises(InsufficientResources, match="are taken"):
            lab.vm("two", Gpu())
        one.stop(force=True)
        lab.a.machine("two").start()

    def test_shares_add_up_to_one(self) -> None:
        lab = Lab("share")
        for name in ("one", "two"):
            lab.vm(name, Gpu(share=0.5))
        with pytest.raises(InsufficientResources):
            lab.vm("three", Gpu(share=0.1))

    def test_a_profile_by_its_long_name(self) -> None:
        lab = Lab("mig")
        lab.vm("one", Gpu(profile="3g.40gb"))
        assert [(part.slices, part.memory) for part in lab.parts()] == [(4, 40 * GIB)]

    def test_a_profile_that_isnt_there(self) -> None:
        lab = Lab("mig")
        with pytest.raises(InsufficientResources, match=r"1g\.10gb") as caught:
            lab.a.create(vhal.MachineSpec(name="one", gpus=[Gpu(profile="1g.10g")]))
        assert caught.value.hint == "did you mean '1g.10gb'?"


class TestMoves:
    def test_a_vgpu_moves_while_it_runs_if_it_may_stand_still(self) -> None:
        lab = Lab("vgpu")
        vm = lab.vm("one", Gpu(profile="2g"))
        with pytest.raises(MigrationRefused, match="stands still") as caught:
            vm.migrate(lab.b)
        assert "max_downtime_s" in (caught.value.hint or "")
        assert vm.migrate(lab.b, MigrationPolicy(max_downtime_s=60)).downtime_s > 10
        assert (lab.parts("a"), len(lab.parts("b"))) == ([], 1)

    @pytest.mark.parametrize("scheme", ["mig", "passthrough", "share"])
    def test_others_move_only_cold(self, scheme: str) -> None:
        gpu = {"mig": Gpu(profile="1g"), "passthrough": Gpu(), "share": Gpu(share=0.25)}[scheme]
        lab = Lab(scheme)
        vm = lab.vm("one", gpu)
        with pytest.raises(MigrationRefused, match="can't be read while it runs"):
            vm.migrate(lab.b)
        vm.migrate(lab.b, MigrationPolicy(live=False))
        assert vm.state() is S.RUNNING
        assert (lab.parts("a"), len(lab.parts("b"))) == ([], 1)

    def test_not_where_it_is_taken_but_a_stopped_one_waits_for_its_turn(self) -> None:
        lab = Lab("passthrough")
        vm = lab.vm("one", Gpu())
        lab.vm("two", Gpu(), lab.b)
        with pytest.raises(MigrationRefused, match="has no such GPU free"):
            vm.migrate(lab.b, MigrationPolicy(live=False))
        vm.stop(force=True)
        vm.migrate(lab.b)
        with pytest.raises(InsufficientResources):
            vm.start()


class TestChanges:
    def test_a_partition_stays_where_it_is_when_its_machine_gets_another_size(self) -> None:
        lab = Lab("mig")
        one, two = lab.vm("one", Gpu(profile="1g")), lab.vm("two", Gpu(profile="1g"))
        before = {part.start for part in lab.parts()}
        one.stop(force=True)
        [kept] = lab.parts()
        two.resize(memory="2GiB")
        assert lab.parts() == [kept]
        assert kept.start in before

    def test_going_back_to_a_memory_needs_the_gpu_too(self) -> None:
        lab = Lab("passthrough")
        one = lab.vm("one", Gpu())
        one.snapshot("s", memory=True)
        one.stop(force=True)
        lab.vm("two", Gpu())
        with pytest.raises(InsufficientResources, match="are taken"):
            one.revert("s")
        lab.a.machine("two").stop(force=True)
        one.revert("s")
        one.wait("ready")
