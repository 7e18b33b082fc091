"""Every fault at every point that a migration visits: never two copies that run, never one lost in silence.

For each way of moving the points are found by a move without faults; then each kind of fault is let strike at each of
them, in a fresh world with the same seed. Afterwards both hosts recover, time passes, and what is there is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from vhal_mock.host import SimHost
from vhal_mock.log import Entry
from vhal_mock.world import World

import vhal
from vhal.driver import MigrationPolicy
from vhal.driver.fault import Fault, FaultKind
from vhal.errors import (
    EngineError,
    HostUnreachable,
    InvalidState,
    MigrationFailed,
    MigrationInDoubt,
    MigrationRefused,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.spec.state import MachineState as S

pytestmark = pytest.mark.timeout(120)

HOSTS = [
    {"name": name, "cpus": 8, "memory": "8GiB", "disk": "64GiB", "numa": 2, "gpus": [{"scheme": "vgpu"}]}
    for name in "ab"
]


@dataclass(frozen=True)
class Way:
    """One way of moving."""

    name: str
    state: S = S.RUNNING
    policy: MigrationPolicy = field(default_factory=MigrationPolicy)
    spec: Mapping[str, object] = field(default_factory=dict)


TYPED = (
    *(EngineError, HostUnreachable, InvalidState, MigrationFailed, MigrationRefused),
    *(OperationAborted, OperationTimeout),
)
"""What a move that was undone, or not begun, may raise."""

BUSY = {"options": {"mock": {"dirty_rate": "512MiB", "working_set": 0.5}}}

WAYS = [
    Way("live", spec={"disks": [{"size": "1GiB"}]}),
    Way("paused", S.PAUSED),
    Way("stopped", S.STOPPED, spec={"disks": [{"size": "1GiB"}]}),
    Way("cold", policy=MigrationPolicy(live=False)),
    Way("post-copy", policy=MigrationPolicy(post_copy=True), spec=BUSY),
    Way("container", spec={"kind": "container", "boot": {"source": "image", "image": "alpine"}}),
    Way("vgpu", policy=MigrationPolicy(max_downtime_s=30), spec={"gpus": [{"profile": "1g"}]}),
]


class Move:
    """A fresh world in which one machine is to move from ``a`` to ``b``, watched at everything that happens."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.world = World.from_spec({"hosts": HOSTS, "seed": 7})
        self.a, self.b = (vhal.connect(self.world.url(name)) for name in "ab")
        self.bystander = self.b.create(vhal.MachineSpec(name="other", memory="1GiB"))
        self.bystander.start()
        self.vm = self.a.create(vhal.MachineSpec(**{"name": "web", "memory": "1GiB", **way.spec}))  # type: ignore[arg-type]
        if way.state is not S.STOPPED:
            self.vm.start()
        if way.state is S.PAUSED:
            self.vm.pause()
        self.most = 0
        log = self.world.log
        add = log.add

        def watched(*args: str, **kwargs: str) -> None:
            add(*args, **kwargs)
            self.look()

        log.add = watched  # type: ignore[method-assign]
        at = self.world.clock.at

        def looking(at_s: float, action: object) -> object:
            def act() -> None:
                action()  # type: ignore[operator]
                self.look()

            return at(at_s, act)

        self.world.clock.at = looking  # type: ignore[assignment,method-assign]

    def look(self) -> None:
        """Count the copies whose processors run, now."""
        running = sum(
            "web" in host.by_name and host.by_name["web"].id in host.running for host in self.world.hosts.values()
        )
        self.most = max(self.most, running)
        for host in self.world.hosts.values():
            check_claims(host)

    def go(self) -> VhalError | None:
        """Move it and return the error, if there was one."""
        try:
            self.vm.migrate(self.b, self.way.policy, timeout_s=600)
        except VhalError as error:
            return error
        finally:
            self.look()
        return None

    def recover(self) -> None:
        """Let both hosts be as they were, and time pass."""
        for host in self.world.hosts.values():
            host.trouble.recover()
        self.world.clock.advance(3600)
        self.look()

    def state(self, name: str) -> S | None:
        """Return the machine's state on a host; None if there is none."""
        machine = self.world.host(name).by_name.get("web")
        return None if machine is None else machine.state

    def resolve(self) -> None:
        """Do what the how-to says when a migration is in doubt."""
        self.look()
        has = [host for host, name in ((self.a, "a"), (self.b, "b")) if self.state(name) is not None]
        runs = [host for host in has if host.machine("web").state() is S.RUNNING]
        keeps = (runs or has)[0]
        for host in has:
            if host is not keeps:
                host.machine("web").delete(force=True, keep_disks=True)
        vm = keeps.machine("web")
        if vm.state() is S.PAUSED:
            vm.resume()
        elif vm.state() is not S.RUNNING:
            vm.start()
        self.look()
        assert vm.state() is S.RUNNING
        assert self.most <= 1


def check_claims(host: SimHost) -> None:
    """Check that what a host has claimed is what its machines need."""
    active = [machine for machine in host.machines.values() if machine.state.active]
    assert host.used_cpus == sum(machine.cpus for machine in active) <= host.cpu_limit
    assert host.used_memory == sum(machine.memory for machine in active) <= host.memory_limit
    assert sum(host.nodes) == host.memory_limit - host.used_memory
    assert min(host.nodes) >= 0
    assert host.used_disk == sum(host.volumes.values()) <= host.disk_limit
    assert {holder for gpu in host.gpus for holder in gpu.parts} == {
        machine.id for machine in active if machine.spec.gpus
    }
    assert set(host.running) == {machine.id for machine in host.machines.values() if machine.state is S.RUNNING}


def visited(way: Way) -> list[tuple[str, str]]:
    """Return the points and hosts that a move without faults visits."""
    move = Move(way)
    move.world.faults.watch()
    assert move.go() is None
    visits = move.world.faults.visits
    assert visits is not None
    return list(dict.fromkeys((visit.point, visit.host) for visit in visits))


def judge(move: Move, error: VhalError | None, kind: FaultKind) -> None:
    """Check what must be true after a move, whatever has happened in it."""
    way, here, there = move.way, move.state("a"), move.state("b")
    assert move.most <= 1
    assert move.bystander.name in move.world.host("b").by_name
    if error is None:
        # It has moved, or it crashed after that.
        assert here is None
        assert there is way.state or there is S.CRASHED
        return
    assert error.hint
    assert error.code
    if isinstance(error, MigrationInDoubt):
        assert here is not None or there is not None
        move.resolve()
        return
    assert isinstance(error, TYPED), error
    # It says that it was undone, or that it never began.
    assert there is None
    assert here is not None
    assert not [name for name in move.world.host("b").volumes if name.startswith("web")]
    if here is S.STOPPED and way.state is S.RUNNING:
        # It was stopped for the move, and whoever called is told so.
        assert "nor be started again" in error.message or "it is stopped" in error.message
        return
    crashes = kind in (FaultKind.HOST_CRASH, FaultKind.MACHINE_CRASH)
    assert here is way.state or (crashes and here is S.CRASHED), (error, here)


def strike(way: Way, point: str, host: str, kind: FaultKind, seconds: float | None) -> tuple[Move, VhalError | None]:
    move = Move(way)
    move.world.inject(Fault(at=point, host=host, kind=kind, seconds=seconds))
    return move, move.go()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_fault_at_every_point(way: Way) -> None:
    wrong: list[str] = []
    for point, host in visited(way):
        for kind in FaultKind:
            lasting = kind in (FaultKind.HOST_CRASH, FaultKind.PARTITION, FaultKind.HANG)
            for seconds in (None, 5.0) if lasting else (None,):
                move, error = strike(way, point, host, kind, seconds)
                try:
                    assert any(entry.kind == "fault" for entry in move.world.log), "it didn't strike"
                    move.recover()
                    judge(move, error, kind)
                except AssertionError as found:
                    log = "\n".join(map(line, move.world.log))
                    wrong.append(f"{kind} at {point} on {host} for {seconds} s: {error!r}\n{found}\n{log}")
    assert not wrong, f"{len(wrong)} are wrong:\n" + "\n\n".join(wrong)


def line(entry: Entry) -> str:
    return f"{entry.time_s:10.4f} {entry.kind} {entry.host} {entry.machine} {entry.detail}"
