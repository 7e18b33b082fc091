"""The contract of a driver, on a simulated host.

Calls are short and hold the world's lock; what takes virtual time spends it with the lock let go. How a machine moves
is in ``migration``, what can go wrong in ``trouble`` and ``failure``.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from vhal.driver.answer import YES, Answer
from vhal.driver.capability import CREATE, MIGRATION, Capability
from vhal.driver.driver import Driver, StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import HostUnreachable, InsufficientResources, InvalidState, NotFound, OperationTimeout
from vhal.spec.state import TRANSITIONS, MachineState, allowed, remedy
from vhal_mock.boot import Boot, Rung
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
    "start": EventKind.STARTED,
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


class MockDriver(Driver):
    """A driver for one simulated host."""

    backend = "mock"
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
        if self.world.faults:
            self.world.unanswered.discard(threading.get_ident())
            self.host.visit(f"{call}.begin", self._name(machine), ctx)

    def end(self, call: str, machine: str = "", ctx: Context | None = None) -> None:
        """End a call that is done: a fault may strike, or the caller not hear of it."""
        if self.world.faults:
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
        from vhal_mock.description import describe

        with self.host.lock:
            self.begin("describe")
            info = describe(self.host)
            self.end("describe")
            return info

    def machines(self) -> list[MachineInfo]:
        with self.host.lock:
            self.begin("machines")
            found = []
            for machine in list(self.host.machines.values()):
                self._look(machine)
                found.append(self._info(machine))
            self.end("machines")
            return found

    def inspect(self, ref: str) -> MachineInfo:
        with self.host.lock:
            self.begin("inspect", ref)
            machine = self.find(ref)
            self._look(machine)
            info = self._info(machine)
            self.end("inspect", ref)
            return info

    # changing

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        from vhal_mock.creation import create

        with self.host.lock:
            self.begin("create", spec.name, ctx)
            info = self._info(create(self.host, spec, ctx))
            self.end("create", spec.name, ctx)
            return info

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        with self.host.lock:
            self.begin("delete", id, ctx)
            machine = self.find(id, "delete")
            self.host.remove(machine)
            if not keep_disks and machine.spec.disks:
                from vhal_mock.creation import volumes

                self.host.visit("delete.after_undefine_before_disk", machine.name, ctx)
                self.host.drop_volumes(list(volumes(machine.spec)))
            self.host.tell(EventKind.DELETED, machine)
            self.end("delete", machine.name, ctx)

    def start(self, id: str, ctx: Context) -> None:
        self._power_up("start", id, ctx)

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        with self.host.lock:
            self.begin("stop", id, ctx)
            machine = self.find(id, "stop")
            if mode is StopMode.GRACEFUL:
                self._ask_to_stop(machine, ctx)
            if machine.state is MachineState.CRASHED or self.host.machines.get(id) is not machine:
                self.find(id, "stop")
            if machine.state is not MachineState.STOPPED:
                self._change("stop", machine, MachineState.STOPPED)
            machine.boot = None
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
            self._switch("reboot", id, MachineState.RUNNING, ctx)
            machine = self.find(id)
            machine.boot = self._boot(machine)

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
            self._up("restore", self.find(id, "restore"), ctx)
            self.end("restore", id, ctx)

    # asking and listening

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if subject is None:
            return YES
        if capability is CREATE:
            from vhal_mock.creation import can_create

            with self.host.lock:
                return can_create(self.host, subject)  # type: ignore[arg-type]
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
        if call is not None and not allowed(call, machine.state):
            raise InvalidState(
                f"can't {call} machine {machine.name!r}: it is {machine.state}",
                hint=remedy(call, machine.state),
                machine=machine.name,
            )
        return machine

    def _name(self, ref: str) -> str:
        machine = self.host.machines.get(ref)
        return machine.name if machine is not None else ref

    def _look(self, machine: SimMachine) -> None:
        """Count that somebody looked at it, where looks are what things come about by."""
        if machine.boot is not None and machine.boot.looks is not None:
            machine.boot.look()
        if machine.stopping is not None:
            machine.stopping -= 1
            if machine.stopping <= 0:
                machine.stopping = None
                self._change("stop", machine, MachineState.STOPPED)

    def _info(self, machine: SimMachine) -> MachineInfo:
        if machine.info is None:
            from vhal.spec.machine import MachineInfo

            spec = machine.spec
            memory = spec.memory.size
            if machine.memory != memory:
                from vhal.spec.units import Bytes

                memory = Bytes(machine.memory)
            machine.info = MachineInfo.trusted(
                id=machine.id,
                name=spec.name,
                kind=spec.kind,
                state=machine.state,
                cpus=machine.cpus,
                memory=memory,
                labels=spec.labels,
                managed=True,
                epoch=machine.epoch,
                spec=spec.without_secrets(),
            )
        return machine.info

    def _switch(self, call: str, id: str, state: MachineState, ctx: Context) -> None:
        with self.host.lock:
            self.begin(call, id, ctx)
            self._change(call, self.find(id, call), state)
            self.end(call, id, ctx)

    def _change(self, call: str, machine: SimMachine, state: MachineState) -> None:
        self.host.turn(machine, state)
        self.host.tell(_TOLD[call], machine)

    def _power_up(self, call: str, id: str, ctx: Context) -> None:
        with self.host.lock:
            self.begin(call, id, ctx)
            self._up(call, self.find(id, call), ctx)
            self.end(call, id, ctx)

    def _up(self, call: str, machine: SimMachine, ctx: Context) -> None:
        host = self.host
        shortage = host.shortage(machine.cpus, machine.memory)
        if shortage is None and host.gpu_parts(machine) is None:
            shortage = "its GPUs, or the places on them, are taken"
        if shortage is not None:
            raise InsufficientResources(
                f"host {host.name!r} is full: {shortage}", hint="stop a machine there, or move one to another host"
            )
        if call == "start":
            machine.guest.restart()
            machine.boot = self._boot(machine)
            host.visit("start.after_claim_before_power", machine.name, ctx)
        self._change(call, machine, TRANSITIONS[call][machine.state] or machine.state)

    def _boot(self, machine: SimMachine) -> Boot:
        takes_s, progression = machine.options.boot_s, self.world.progression.get("boot")
        if progression is None:
            return Boot(self.world.clock.now_s, takes_s)
        return Boot(self.world.clock.now_s, progression.duration(takes_s), progression.looks)

    def _ask_to_stop(self, machine: SimMachine, ctx: Context) -> None:
        """Let the guest stop in its time; it is what it was if it doesn't until the deadline."""
        self.host.visit("stop.after_request", machine.name, ctx)
        before, stop_s = machine.state, machine.options.stop_s
        progression = self.world.progression.get("stop")
        if stop_s is None:
            remaining = ctx.remaining_s
            if remaining is None:
                raise OperationTimeout("the guest doesn't listen", hint="stop(force=True)")
            stop_s = remaining + 1.0
        elif progression is not None:
            stop_s = progression.duration(stop_s)
        self.host.turn(machine, MachineState.STOPPING)
        try:
            self.spend(stop_s, ctx)
        except BaseException:
            if machine.state is MachineState.STOPPING:
                self.host.turn(machine, before)
            raise
