"""The changing calls on a machine, each with where it begins and what it comes to: for tests that try all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vhal.driver.capability import PAUSE, RESIZE, SAVE, SNAPSHOTS, Capability
from vhal.errors import NotFound
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that can be seen of a machine from outside; without ``info`` it isn't there."""

    info: MachineInfo | None
    snapshots: tuple[str, ...] = ()

    def but(self, **fields: Any) -> Portrait:
        """Return it with other fields of its info."""
        assert self.info is not None
        return replace(self, info=self.info.model_copy(update=fields))


def portrait(host: Host, name: str) -> Portrait:
    """Return what ``host`` shows of the machine of that name now."""
    try:
        machine = host.machine(name)
    except NotFound:
        return Portrait(None)
    kept = machine.snapshots() if host.can(SNAPSHOTS) else []
    return Portrait(machine.seen, tuple(snapshot.name for snapshot in kept))


@dataclass(frozen=True, slots=True)
class Change:
    """One changing call."""

    name: str
    call: str
    """The driver's, by its name in :data:`vhal.layers.calls.CALLS`."""
    before: MachineState
    act: Callable[[Machine], object]
    effect: Callable[[Portrait], Portrait]
    """Returns what is to be seen after it."""
    capability: Capability[Any] | None = None
    needs_snapshot: bool = False
    """Whether the machine has a snapshot ``"kept"`` before."""

    def needed(self) -> list[Capability[Any]]:
        """Return all that a host must be able to, for this to be tried."""
        to_begin: dict[MachineState, Capability[Any]] = {MachineState.PAUSED: PAUSE, MachineState.SAVED: SAVE}
        needed = (to_begin.get(self.before), self.capability)
        return [capability for capability in needed if capability is not None]

    def prepare(self, machine: Machine) -> None:
        """Bring a new machine to where this begins."""
        if self.needs_snapshot:
            machine.snapshot("kept")
        bring(machine, self.before)


def bring(machine: Machine, state: MachineState) -> None:
    """Bring a stopped machine to another state."""
    if state is not MachineState.STOPPED:
        machine.start()
    if state is MachineState.PAUSED:
        machine.pause()
    if state is MachineState.SAVED:
        machine.save()


def _becomes(state: MachineState) -> Callable[[Portrait], Portrait]:
    return lambda before: before.but(state=state)


def _grow(machine: Machine) -> None:
    machine.resize(machine.seen.cpus + 1, machine.seen.memory * 2)


def _grown(before: Portrait) -> Portrait:
    assert before.info is not None
    return before.but(cpus=before.info.cpus + 1, memory=before.info.memory * 2)


_S = MachineState

CHANGES: tuple[Change, ...] = (
    Change("start", "start", _S.STOPPED, lambda vm: vm.start(), _becomes(_S.RUNNING)),
    Change("stop", "stop", _S.RUNNING, lambda vm: vm.stop(force=True), _becomes(_S.STOPPED)),
    Change("delete", "delete", _S.STOPPED, lambda vm: vm.delete(), lambda _: Portrait(None)),
    Change("pause", "pause", _S.RUNNING, lambda vm: vm.pause(), _becomes(_S.PAUSED), PAUSE),
    Change("resume", "resume", _S.PAUSED, lambda vm: vm.resume(), _becomes(_S.RUNNING), PAUSE),
    Change("save", "save", _S.RUNNING, lambda vm: vm.save(), _becomes(_S.SAVED), SAVE),
    Change("restore", "restore", _S.SAVED, lambda vm: vm.restore(), _becomes(_S.RUNNING), SAVE),
    Change("discard", "stop", _S.SAVED, lambda vm: vm.stop(force=True), _becomes(_S.STOPPED), SAVE),
    Change("resize", "resize", _S.STOPPED, _grow, _grown, RESIZE),
    Change(
        "snapshot",
        "snapshot",
        _S.STOPPED,
        lambda vm: vm.snapshot("kept"),
        lambda before: replace(before, snapshots=("kept",)),
        SNAPSHOTS,
    ),
    Change("revert", "revert", _S.STOPPED, lambda vm: vm.revert("kept"), lambda before: before, SNAPSHOTS, True),
    Change(
        "delete-snapshot",
        "delete_snapshot",
        _S.STOPPED,
        lambda vm: vm.delete_snapshot("kept"),
        lambda before: replace(before, snapshots=()),
        SNAPSHOTS,
        True,
    ),
)
