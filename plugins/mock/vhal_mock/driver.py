"""The contract of a driver, on a simulated host.

Calls are short and hold the world's lock; what takes virtual time spends it with the lock let go. How a machine moves
is in ``migration``, what can go wrong in ``trouble`` and ``failure``.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from vhal.driver.answer import YES, Answer
from vhal.driver.capability import CREATE, MIGRATION, Capability
from vhal.driver.driver import Driver, StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import HostUnreachable, InsufficientResources, InvalidState, NotFound
from vhal.spec.state import TRANSITIONS, MachineState, remedy
from vhal_mock import power
from vhal_mock.boot import Rung
from vhal_mock.console import MockConsole
from vhal_mock.host import SimHost
from vhal_mock.machine import SimMachine

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vhal.driver.context import Context
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")

SAVE_RATE = 1 << 30
"""Bytes a virtual second to and from the host's disk."""

_TOLD = {
    "pause": EventKind.PAUSED,
    "resume": EventKind.RESUMED,
    "save": EventKind.SAVED,
    "restore": EventKind.RESTORED,
    "reboot": EventKind.REBOOTED,
    "stop": EventKind.STOPPED,
}

_PARTS = {
    "migration": "vhal_mock.migration:MockMigration",
    "resize": "vhal_mock.changes:MockResize",
    "snapshots": "vhal_mock.changes:MockSnapshots",
    "metrics": "vhal_mock.metrics:MockMetrics",
    "exec": "vhal_mock.programs:MockExec",
    "files": "vhal_mock.files:MockFiles",
}
"""Capability → what implements it, imported when it is first used."""


# What needs models is imported when it is first called, and found again without looking: these are called most of all.


@cache
def _ask() -> Callable[[SimHost, MachineSpec], Answer]:
    from vhal_mock.creation import can_create

    return can_create


@cache
def _make() -> Callable[[SimHost, MachineSpec, Context], SimMachine]:
    from vhal_mock.creation import create

    return create


@cache
def _tell() -> Callable[[SimMachine], MachineInfo]:
    from vhal_mock.description import machine_info

    return machine_info


class MockDriver(Driver):
    """A driver for one simulated host."""

    backend = "mock"
    refuses = True
    capabilities = frozenset({"create", "power", "pause", "reboot", "save", "readiness", "console", "events"})
    """What it does itself; the rest is in :data:`_PARTS`."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        self.host_id = host.uuid
        self.world = host.world

    def clock_s(self) -> float:
        return self.world.clock.now_s

    def hold_clock(self) -> AbstractContextManager[None]:
        return self.world.clock.hold()

    # the two ends of every call

    def begin(self, call: str, machine: str = "", ctx: Context | None = None) -> None:
        """Begin a call: the host must answer, and a fault may strike. Precondition: the world's lock is held.

        Args:
            call: Its name among the points.
            machine: The machine's name or id.
            ctx: Deadline, abort and progress.
        """
        trouble = self.host.trouble
        if trouble.troubled:
            trouble.check(ctx)
        if not self.world.faults.idle:
            self.world.unanswered.discard(threading.get_ident())
            self.host.visit(f"{call}.begin", self._name(machine), ctx)

    def end(self, call: str, machine: str = "", ctx: Context | None = None) -> None:
        """End a call that is done: a fault may strike, or the caller not hear of it."""
        if not self.world.faults.idle:
            self.host.visit(f"{call}.end", self._name(machine), ctx)
            if threading.get_ident() in self.world.unanswered:
                self.world.unanswered.discard(threading.get_ident())
                raise HostUnreachable(
                    f"the connection to host {self.host.name!r} broke while it answered {call}",
                    hint="look whether it was done before you repeat it",
                )
        trouble = self.host.trouble
        if trouble.troubled:
            trouble.check(ctx)

    def spend(self, seconds: float, ctx: Context | None = None) -> None:
        """Let virtual time pass in the middle of a call; the host must still answer afterwards."""
        self.world.clock.spend(seconds, ctx)
        trouble = self.host.trouble
        if trouble.troubled:
            trouble.check(ctx)

    def sleep(self, seconds: float, ctx: Context) -> None:
        self.world.clock.spend(seconds, ctx)

    # reading

    def describe(self) -> HostInfo:
        from vhal_mock.description import host_info

        with self.host.lock:
            self.begin("describe")
            info = host_info(self.host)
            self.end("describe")
            return info

    def machines(self) -> list[MachineInfo]:
        with self.host.lock:
            self.begin("machines")
            found = []
            for machine in list(self.host.machines.values()):
                self._look(machine)
                found.append(self.info(machine))
            self.end("machines")
            return found

    def inspect(self, ref: str) -> MachineInfo:
        with self.host.lock:
            self.begin("inspect", ref)
            machine = self.find(ref)
            self._look(machine)
            info = self.info(machine)
            self.end("inspect", ref)
            return info

    # changing; create and start, which are called most, take the lock by hand: that is half of the time of "with"

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        lock = self.host.lock
        lock.acquire()
        try:
            self.begin("create", spec.name, ctx)
            info = self.info(_make()(self.host, spec, ctx))
            self.end("create", spec.name, ctx)
            return info
        finally:
            lock.release()

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        with self.host.lock:
            self.begin("delete", id, ctx)
            machine = self.find(id, "delete")
            self.host.remove(machine)
            self.host.tell(EventKind.DELETED, machine)
            if not keep_disks and machine.spec.disks:
                from vhal_mock.creation import volumes

                self.host.visit("delete.after_undefine_before_disk", machine.name, ctx)
                self.host.drop_volumes(list(volumes(machine.spec)))
            self.end("delete", machine.name, ctx)

    def start(self, id: str, ctx: Context) -> None:
        lock = self.host.lock
        lock.acquire()
        try:
            self.begin("start", id, ctx)
            machine = self.find(id, "start")
            power.start(self.host, machine, ctx)
            self.end("start", id, ctx)
        finally:
            lock.release()

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        with self.host.lock:
            self.begin("stop", id, ctx)
            machine = self.find(id, "stop")
            machine.stopping = None
            if mode is StopMode.GRACEFUL:
                power.ask_to_stop(self, machine, ctx)
            if machine.state is MachineState.CRASHED or self.host.machines.get(machine.id) is not machine:
                self.find(id, "stop")
            if machine.stopping is None:
                self._stopped(machine)
            self.end("stop", id, ctx)

    def pause(self, id: str, ctx: Context) -> None:
        """Halt the processors."""
        self._switch("pause", id, MachineState.PAUSED, ctx)

    def resume(self, id: str, ctx: Context) -> None:
        """Let them go on."""
        self._switch("resume", id, MachineState.RUNNING, ctx)

    def reboot(self, id: str, ctx: Context) -> None:
        """Start the guest anew."""
        with self.host.lock:
            self.begin("reboot", id, ctx)
            machine = self.find(id, "reboot")
            machine.boot = power.boot(machine, self.world)
            self._change("reboot", machine, MachineState.RUNNING)
            self.end("reboot", id, ctx)

    def save(self, id: str, ctx: Context) -> None:
        """Put the memory on disk, which takes as long as it is large."""
        with self.host.lock:
            self.begin("save", id, ctx)
            machine = self.find(id, "save")
            if self.host.trouble.disk_full:
                raise InsufficientResources(f"the disk of host {self.host.name!r} is full", hint="make room there")
            self.spend(machine.memory / SAVE_RATE / 2, ctx)
            self.host.visit("save.half", machine.name, ctx)
            self.spend(machine.memory / SAVE_RATE / 2, ctx)
            self._change("save", self.find(id, "save"), MachineState.SAVED)
            self.end("save", id, ctx)

    def restore(self, id: str, ctx: Context) -> None:
        """Bring it back, which takes as long."""
        with self.host.lock:
            self.begin("restore", id, ctx)
            machine = self.find(id, "restore")
            self.spend(machine.memory / SAVE_RATE / 2, ctx)
            self.host.visit("restore.half", machine.name, ctx)
            self.spend(machine.memory / SAVE_RATE / 2, ctx)
            machine = self.find(id, "restore")
            power.check_room(self.host, machine, machine.cpus, machine.memory)
            self._change("restore", machine, MachineState.RUNNING)
            self.end("restore", id, ctx)

    # asking and listening

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if subject is None:
            return YES
        if capability is CREATE:
            with self.host.lock:
                return _ask()(self.host, subject)  # type: ignore[arg-type]
        if capability is MIGRATION:
            from vhal_mock.blockers import staying

            with self.host.lock:
                machine = self.host.by_name.get(subject.name)
                return YES if machine is None else Answer.of(staying(machine))
        return YES

    def provides(self, capability: Capability[T]) -> T | None:
        part = _PARTS.get(capability.id)
        if part is not None:
            module, _, name = part.partition(":")
            made: T = getattr(importlib.import_module(module), name)(self)
            return made
        return super().provides(capability)

    def ready(self, id: str) -> bool:
        """Return whether the guest has booted; asking too early lets the time pass that it still needs."""
        with self.host.lock:
            self.begin("ready", id)
            machine = self.find(id)
            self._look(machine)
            answer = self.reaches(machine, Rung.READY)
            self.end("ready", id)
            return answer

    def reaches(self, machine: SimMachine, rung: Rung, ctx: Context | None = None) -> bool:
        """Return whether its guest has come that far; if it hasn't, the time passes that it still needs."""
        boot = machine.boot
        if boot is None:
            return False
        left_s = boot.left_s(self.world.clock.now_s, rung)
        if left_s > 0:
            self.spend(left_s, ctx)
            return False
        return boot.looks is None or list(Rung).index(boot.rung(self.world.clock.now_s)) >= list(Rung).index(rung)

    def console(self, id: str) -> MockConsole:
        """Return a console on which the guest says that it is up, and repeats what it is told."""
        with self.host.lock:
            self.begin("console", id)
            stream = MockConsole(self.find(id).name)
            self.end("console", id)
            return stream

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event, in the thread of the call that caused it."""
        self.host.listeners.append(listener)

        def stop() -> None:
            if listener in self.host.listeners:
                self.host.listeners.remove(listener)

        return stop

    def close(self) -> None:
        """Nothing to let go of."""

    # parts

    def find(self, ref: str, call: str | None = None) -> SimMachine:
        """Return a machine by id or name. Precondition: the world's lock is held.

        Raises:
            vhal.errors.NotFound: There is none.
            vhal.errors.InvalidState: It isn't in a state in which ``call`` may begin.
        """
        machine = self.host.machines.get(ref) or self.host.by_name.get(ref)
        if machine is None:
            raise NotFound(
                f"there is no machine {ref!r} on host {self.host.name!r}",
                hint="machines() lists them",
                machine=ref,
            )
        if call is not None and machine.state not in TRANSITIONS[call]:
            raise InvalidState(
                f"can't {call} machine {machine.name!r}: it is {machine.state}",
                hint=remedy(call, machine.state),
                machine=machine.name,
            )
        return machine

    def _name(self, ref: str) -> str:
        for host in (self.host, *self.world.hosts.values()):
            machine = host.machines.get(ref)
            if machine is not None:
                return machine.name
        return ref

    def _look(self, machine: SimMachine) -> None:
        """Count that somebody looked at it, where looks are what things come about by."""
        if machine.boot is not None and machine.boot.looks is not None:
            machine.boot.look()
        if machine.stopping is not None:
            machine.stopping -= 1
            if machine.stopping <= 0 or machine.state is not MachineState.STOPPING:
                machine.stopping = None
                if machine.state is MachineState.STOPPING:
                    self._stopped(machine)

    def info(self, machine: SimMachine) -> MachineInfo:
        """Return it as it is told of. Precondition: the world's lock is held."""
        info = machine.info
        if info is None:
            info = machine.info = _tell()(machine)
        return info

    def _switch(self, call: str, id: str, state: MachineState, ctx: Context) -> None:
        with self.host.lock:
            self.begin(call, id, ctx)
            self._change(call, self.find(id, call), state)
            self.end(call, id, ctx)

    def _change(self, call: str, machine: SimMachine, state: MachineState) -> None:
        self.host.turn(machine, state)
        self.host.tell(_TOLD[call], machine)

    def _stopped(self, machine: SimMachine) -> None:
        if machine.state is MachineState.SAVED:
            self.host.turn(machine, MachineState.STOPPED)  # it ended when it was saved, which was told
        elif machine.state is not MachineState.STOPPED:
            self._change("stop", machine, MachineState.STOPPED)
        machine.boot = None
