"""Real hosts on which the oracle's operations are made, and what can be seen and heard there of the machines.

What should come of an operation says :mod:`vhal.testing.oracle`; here is only what does. It touches no machine that it
didn't make.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType

from vhal.driver.capability import CAPABILITIES, SNAPSHOTS
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy
from vhal.errors import NotFound, Unsupported, VhalError
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.machine import MachineInfo, MachineSpec
from vhal.spec.state import MachineState
from vhal.testing.harness import Harness
from vhal.testing.model import MEMORY_SNAPSHOTS, Model, Size
from vhal.testing.oracle import (
    Create,
    Delete,
    DeleteSnapshot,
    Migrate,
    Operation,
    Pause,
    Reboot,
    Resize,
    Restore,
    Resume,
    Revert,
    Save,
    Snapshot,
    Start,
    Stop,
    Told,
)

AT_ONCE_S, SLOW_S = 1.0, 10.0
"""How long an event may take; a lost one costs so much each time a failure is shortened."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one machine: the same for a machine of a host and one of the oracle, if both agree."""

    host: int
    state: MachineState
    size: Size
    epoch: int
    snapshots: tuple[tuple[str, bool], ...] = ()
    """Name, and whether with memory; the oldest first."""

    @staticmethod
    def of(model: Model) -> Sight:
        """Return what must be seen of a machine of the oracle."""
        kept = tuple((kept.name, kept.memory) for kept in model.snapshots)
        return Sight(model.host, model.state, model.size, model.epoch, kept)


class Stage:
    """Hosts that machines can move between, and the machines that were made on them by their numbers.

    Close it, best as a context manager: that removes the machines.

    Args:
        harness: The backend's.
        hosts: The oracle's hosts, in its order.
    """

    def __init__(self, harness: Harness, hosts: Sequence[Host]) -> None:
        self.harness = harness
        self.hosts = hosts
        self.machines: dict[int, Machine] = {}
        self.specs: dict[int, MachineSpec] = {}
        self._names: dict[str, str] = {}
        self._heard: dict[tuple[str, int], list[EventKind]] = {}
        self._policy = MigrationPolicy(**harness.policy())  # type: ignore[arg-type]
        with ExitStack() as opened:
            self._streams = [opened.enter_context(host.events()) for host in hosts]
            self._opened = opened.pop_all()

    def size(self) -> Size:
        """Return the size that the harness's machine has."""
        spec = self.harness.spec(f"{self.harness.prefix}size")
        return Size(spec.cpus.count, spec.memory.size)

    def abilities(self) -> frozenset[str]:
        """Return what the first host can do. Whether snapshots can have memory is found by trying it."""
        host = self.hosts[0]
        found = {key.id for key in CAPABILITIES.values() if host.can(key)}
        if SNAPSHOTS.id in found:
            trial = host.create(self.harness.spec(self.harness.name()))
            try:
                trial.start()
                with suppress(Unsupported):
                    trial.snapshot("one", memory=True)
                    found.add(MEMORY_SNAPSHOTS)
            finally:
                trial.delete(force=True)
        return frozenset(found)

    def make(self, operation: Operation, id: int) -> VhalError | None:
        """Do what the oracle's ``operation`` says; return the error, if it is refused.

        Args:
            operation: One that :func:`vhal.testing.choices.operations` yields.
            id: The number of the machine that it makes, if it makes one.
        """
        try:
            if isinstance(operation, Create):
                self._create(operation, id)
            else:
                self.act(operation, self.machines[operation.machine])
        except VhalError as error:
            return error
        return None

    def act(self, operation: Operation, machine: Machine) -> None:
        """Ask ``machine`` for what ``operation`` says. A guest that is to listen is waited for first.

        Raises:
            vhal.errors.VhalError: It is refused.
        """
        match operation:
            case Start():
                machine.start()
            case Stop(force=True):
                machine.stop(force=True)
            case Stop():
                self._wait_for_guest(machine)
                machine.stop(timeout_s=self.harness.patience_s)
            case Reboot():
                self._wait_for_guest(machine)
                machine.reboot(timeout_s=self.harness.patience_s)
            case Pause():
                machine.pause()
            case Resume():
                machine.resume()
            case Save():
                machine.save()
            case Restore():
                machine.restore()
            case Delete(force=force):
                machine.delete(force=force)
            case Resize(cpus=cpus, memory=memory):
                machine.resize(cpus, memory)
            case Snapshot(name=name, memory=with_memory):
                machine.snapshot(name, memory=with_memory)
            case Revert(name=name):
                machine.revert(name)
            case DeleteSnapshot(name=name):
                machine.delete_snapshot(name)
            case Migrate(host=host):
                machine.migrate(self.hosts[host], self._policy)
            case _:
                raise AssertionError(f"nobody knows how to make {operation}")

    def told(self, operation: Operation, events: Sequence[Told]) -> Sequence[Told]:
        """Return what this engine tells of an operation of which the contract says ``events``."""
        kinds = self.harness.tells.get(type(operation).__name__.lower())
        if kinds is None or not events:
            return events
        return [(events[0][0], EventKind(kind)) for kind in kinds]

    def look(self, id: int) -> Sight | None:
        """Return what is seen of a machine, or None if no host has it. Two that have it are an error."""
        machine = self.machines[id]
        found = [(place, one) for place, host in enumerate(self.hosts) if (one := _find(host, machine.id)) is not None]
        assert len(found) < 2, f"{machine.name} is on {len(found)} hosts at once"
        if not found:
            return None
        place, there = found[0]
        info = there.seen
        kept = there.snapshots() if self.hosts[place].can(SNAPSHOTS, info) else []
        snapshots = tuple((snapshot.name, snapshot.memory) for snapshot in kept)
        return Sight(place, info.state, Size(info.cpus, info.memory), info.epoch, snapshots)

    def listed(self, host: int) -> dict[str, MachineInfo]:
        """Return what a host's listing says of machines with the names that were given here, by their ids."""
        names = set(self._names.values())
        return {one.id: one.seen for one in self.hosts[host].machines() if one.name in names}

    def heard(self, id: int, host: int, at_least: int = 0) -> list[EventKind]:
        """Return what a host has told of a machine, in order; waits a while until it is ``at_least`` so many."""
        kinds = self._heard.setdefault((self.machines[id].id, host), [])
        deadline = time.monotonic() + (SLOW_S if self.harness.slow else AT_ONCE_S)
        self._listen(host, 0.0)
        while len(kinds) < at_least and (left := deadline - time.monotonic()) > 0:
            self._listen(host, left)
        return list(kinds)

    def clear(self) -> None:
        """Remove the machines, and begin anew with numbers and names."""
        for machine in self.machines.values():
            with suppress(NotFound):
                machine.delete(force=True)
        self.machines.clear()
        self.specs.clear()
        self._names.clear()

    def close(self) -> None:
        """Remove the machines, and listen no more."""
        with self._opened:
            self.clear()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _create(self, operation: Create, id: int) -> None:
        name = self._names.setdefault(operation.name, self.harness.name())
        size = operation.size
        spec = self.harness.spec(name).replace(cpus=size.cpus, memory=size.memory, labels={"kit": f"{name}-{id}"})
        self.machines[id] = self.hosts[operation.host].create(spec)
        self.specs[id] = spec

    def _wait_for_guest(self, machine: Machine) -> None:
        if self.harness.has_agent and machine.state() is MachineState.RUNNING:
            machine.wait("ready", timeout_s=self.harness.patience_s)

    def _listen(self, host: int, timeout_s: float) -> None:
        while (event := self._streams[host].next(timeout_s=timeout_s)) is not None:
            self._heard.setdefault((event.machine_id, host), []).append(event.kind)
            timeout_s = 0.0


def _find(host: Host, id: str) -> Machine | None:
    try:
        return host.machine(id)
    except NotFound:
        return None
