"""Hosts are finite: whatever is called in whatever order, nobody has more than there is, and a refusal is right.

The model is a table of machines, each with a host, a state and sizes; what is claimed is added up from it. It knows
nothing of how the simulator keeps its books.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from vhal_mock.model import GpuModel, HostModel
from vhal_mock.world import World

import vhal
from vhal.driver import MigrationPolicy
from vhal.errors import VhalError
from vhal.spec import Disk, Gpu

pytestmark = pytest.mark.timeout(120)

GIB = 1 << 30
MODELS = [
    HostModel("a", cpus=4, cpu_overcommit=2, memory=9 * GIB, disk=12 * GIB, numa=2, gpus=(GpuModel(scheme="mig"),)),
    HostModel("b", cpus=8, cpu_overcommit=1, memory=5 * GIB, disk=6 * GIB, numa=3, gpus=(GpuModel(scheme="mig"),)),
]
LIMITS = {model.name: (int(model.cpus * model.cpu_overcommit), model.memory, model.disk) for model in MODELS}
ACTIVE = {"running", "paused"}
NAMES = st.sampled_from(["m0", "m1", "m2", "m3", "m4"])
HOSTS = st.sampled_from(["a", "b"])


@dataclass
class Known:
    """What the model knows of a machine."""

    host: str
    cpus: int
    memory: int
    disk: int
    slices: int
    state: str = "stopped"

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


class Capacity(RuleBasedStateMachine):
    """Calls in any order, beside the table."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(MODELS)
        self.hosts = {name: vhal.connect(self.world.url(name)) for name in "ab"}
        self.known: dict[str, Known] = {}
        self.kept = {"a": 0, "b": 0}
        self.left: dict[str, set[str]] = {"a": set(), "b": set()}

    def claimed(self, host: str) -> tuple[int, int, int]:
        """Return processors, memory and disk that are claimed on a host."""
        here = [each for each in self.known.values() if each.host == host]
        active = [each for each in here if each.active]
        disks = sum(each.disk for each in here) + self.kept[host]
        return sum(each.cpus for each in active), sum(each.memory for each in active), disks

    def fits(self, host: str, cpus: int, memory: int, disk: int = 0) -> bool:
        """Return whether so much more has room."""
        more = (cpus, memory, disk)
        return all(used + add <= limit for used, add, limit in zip(self.claimed(host), more, LIMITS[host], strict=True))

    def do(self, call: object, expected: bool | None) -> bool:
        """Make a call that must succeed, must be refused, or may do either; return whether it did."""
        error: VhalError | None = None
        try:
            call()  # type: ignore[operator]
        except VhalError as caught:
            error = caught
        if error is not None:
            assert error.hint
            assert not expected, f"refused although there is room: {error}"
            return False
        assert expected is not False, "more than there is was given away"
        return True

    @rule(
        host=HOSTS,
        name=NAMES,
        cpus=st.integers(1, 5),
        memory=st.integers(1, 6),
        disk=st.integers(0, 5),
        profile=st.sampled_from([None, None, "1g", "3g"]),
    )
    def create(self, host: str, name: str, cpus: int, memory: int, disk: int, profile: str | None) -> None:
        spec = vhal.MachineSpec(
            name=name,
            cpus=cpus,
            memory=memory * GIB,
            disks=[Disk(size=disk * GIB)] if disk else [],
            gpus=[Gpu(profile=profile)] if profile else [],
        )
        taken = any(each.host == host for each_name, each in self.known.items() if each_name == name)
        elsewhere = name in self.known and not taken
        if elsewhere:
            return  # the table has one machine of a name
        most_cpus, most_memory, most_disk = LIMITS[host]
        right = (
            not taken
            and cpus <= most_cpus
            and memory * GIB <= most_memory
            and self.claimed(host)[2] + disk * GIB <= most_disk
            and not (disk and name in self.left[host])
        )
        if self.do(lambda: self.hosts[host].create(spec), right):
            slices = {None: 0, "1g": 1, "3g": 4}[profile]
            self.known[name] = Known(host, cpus, memory * GIB, disk * GIB, slices)

    def vm(self, name: str) -> vhal.Machine:
        return self.hosts[self.known[name].host].machine(name)

    @rule(name=NAMES)
    def start(self, name: str) -> None:
        if name not in self.known or self.known[name].active:
            return
        each = self.known[name]
        room = self.fits(each.host, each.cpus, each.memory)
        # Whether a partition has a place depends on where the others are: the books are checked below.
        if self.do(self.vm(name).start, None if room and each.slices else room):
            each.state = "running"

    @rule(name=NAMES)
    def stop(self, name: str) -> None:
        if name in self.known and self.known[name].active:
            self.do(lambda: self.vm(name).stop(force=True), True)
            self.known[name].state = "stopped"

    @rule(name=NAMES)
    def pause(self, name: str) -> None:
        if name in self.known and self.known[name].state == "running":
            self.do(self.vm(name).pause, True)
            self.known[name].state = "paused"

    @rule(name=NAMES, cpus=st.integers(1, 8), memory=st.integers(1, 9))
    def resize(self, name: str, cpus: int, memory: int) -> None:
        if name not in self.known or self.known[name].state == "crashed":
            return
        each = self.known[name]
        most_cpus, most_memory, _ = LIMITS[each.host]
        right = cpus <= most_cpus and memory * GIB <= most_memory
        if each.active:
            right = right and self.fits(each.host, cpus - each.cpus, memory * GIB - each.memory)
        if self.do(lambda: self.vm(name).resize(cpus=cpus, memory=memory * GIB), right):
            each.cpus, each.memory = cpus, memory * GIB

    @rule(name=NAMES, keep=st.booleans())
    def delete(self, name: str, keep: bool) -> None:
        if name not in self.known:
            return
        self.do(lambda: self.vm(name).delete(force=True, keep_disks=keep), True)
        gone = self.known.pop(name)
        if keep and gone.disk:
            self.kept[gone.host] += gone.disk
            self.left[gone.host].add(name)

    @rule(name=NAMES, live=st.booleans())
    def migrate(self, name: str, live: bool) -> None:
        if name not in self.known or self.known[name].state == "crashed":
            return
        each = self.known[name]
        other = "b" if each.host == "a" else "a"
        cpus, memory = (each.cpus, each.memory) if each.active else (0, 0)
        right = self.fits(other, cpus, memory, each.disk) and not (each.disk and name in self.left[other])
        vague = right and each.slices and each.active
        policy = MigrationPolicy(live=live)
        if self.do(lambda: self.vm(name).migrate(self.hosts[other], policy), None if vague else right):
            each.host = other

    @precondition(lambda self: self.known)
    @rule(host=HOSTS)
    def crash(self, host: str) -> None:
        trouble = self.world.host(host).trouble
        trouble.crash()
        trouble.recover()
        for each in self.known.values():
            if each.host == host and each.active:
                each.state = "crashed"

    @invariant()
    def the_books_are_right(self) -> None:
        for name, host in self.world.hosts.items():
            claimed = self.claimed(name)
            assert (host.used_cpus, host.used_memory, host.used_disk) == claimed
            assert all(used <= limit for used, limit in zip(claimed, LIMITS[name], strict=True))
            assert {each: str(machine.state) for each, machine in host.by_name.items()} == {
                each: known.state for each, known in self.known.items() if known.host == name
            }
            assert min(host.nodes) >= 0
            assert sum(host.nodes) == LIMITS[name][1] - claimed[1]
            slices = [
                place
                for parts in host.gpus[0].parts.values()
                for part in parts
                for place in range(part.start, part.start + part.slices)
            ]
            assert len(slices) == len(set(slices))
            active = [each for each in self.known.values() if each.host == name and each.active]
            assert len(slices) == sum(each.slices for each in active)
            info = self.hosts[name].info()
            assert (info.free.cpus, info.free.memory) == (LIMITS[name][0] - claimed[0], LIMITS[name][1] - claimed[1])


TestCapacity = Capacity.TestCase
TestCapacity.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class TestNuma:
    def test_a_machine_is_on_one_node_if_one_has_room(self) -> None:
        world = World([HostModel("a", memory=8 * GIB, numa=2)])
        host = vhal.connect(world.url())
        for name in ("one", "two"):
            host.create(vhal.MachineSpec(name=name, memory="3GiB")).start()
        assert [world.machine(name).nodes for name in ("one", "two")] == [(3 * GIB, 0), (0, 3 * GIB)]
        # One GiB is left on each: a machine of two is on both.
        host.create(vhal.MachineSpec(name="three", memory="2GiB")).start()
        assert world.machine("three").nodes == (GIB, GIB)
        assert world.host("a").nodes == [0, 0]

    def test_what_doesnt_divide_evenly_isnt_lost(self) -> None:
        world = World([HostModel("a", memory=10 * GIB + 1, numa=3)])
        assert sum(world.host("a").nodes) == 10 * GIB + 1


def test_thousands_of_hosts_and_machines() -> None:
    world = World.from_spec(
        {
            "hosts": [{"name": "h", "count": 2000}],
            "machines": [
                {"host": f"h{n}", "running": True, "count": 50, "spec": {"name": f"m{n}-", "memory": "1GiB"}}
                for n in range(1, 61)
            ],
        }
    )
    assert len(world.hosts) == 2000
    assert sum(len(host.running) for host in world.hosts.values()) == 3000
    host = vhal.connect(world.url("h60"))
    assert len(host.machines()) == 50
    host.machine("m60-7").migrate(vhal.connect(world.url("h2000")))
    world.clock.advance(3600)
    assert world.machine("m60-7").name in world.host("h2000").by_name
    assert world.host("h1").used_memory == 50 * GIB
