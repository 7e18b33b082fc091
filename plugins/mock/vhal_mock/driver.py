"""The contract of a driver, on a simulated host.

Calls are short and hold the host's lock; what takes virtual time spends it outside of it. How a machine moves is in
``migration``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from vhal.driver.answer import YES, Answer, Level
from vhal.driver.capability import CREATE, MIGRATION, Capability
from vhal.driver.driver import Driver, StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import (
    AlreadyExists,
    InsufficientResources,
    InvalidState,
    NotFound,
    OperationTimeout,
    VhalError,
)
from vhal.spec.state import TRANSITIONS, MachineState, allowed, remedy
from vhal_mock.changes import SAVE_RATE
from vhal_mock.console import MockConsole
from vhal_mock.host import SimHost, SimMachine

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal_mock.options import MockOptions

T = TypeVar("T")

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

    def clock_s(self) -> float:
        return self.host.world.clock.now_s

    # reading

    def describe(self) -> HostInfo:
        from vhal.spec.frozen import FrozenDict
        from vhal.spec.host import HostCpus, HostInfo, NumaNode, Resources
        from vhal.spec.units import Bytes

        host, model = self.host, self.host.model
        with host.lock:
            return HostInfo(
                name=model.name,
                uuid=host.uuid,
                backend=self.backend,
                cpus=HostCpus(count=model.cpus, cores=model.cpus, model="mock"),
                memory=Bytes(model.memory),
                numa=(NumaNode(id=0, cpus=tuple(range(model.cpus)), memory=Bytes(model.memory)),),
                versions=FrozenDict({"mock": "0.1.0"}),
                capacity=Resources(cpus=host.cpu_limit, memory=Bytes(model.memory)),
                allocated=Resources(cpus=host.used_cpus, memory=Bytes(host.used_memory)),
                free=Resources(cpus=host.cpu_limit - host.used_cpus, memory=Bytes(model.memory - host.used_memory)),
            )

    def machines(self) -> list[MachineInfo]:
        with self.host.lock:
            return [self._info(machine) for machine in self.host.machines.values()]

    def inspect(self, ref: str) -> MachineInfo:
        with self.host.lock:
            return self._info(self.find(ref))

    # changing

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        options = _options(spec)
        host = self.host
        with host.lock:
            answer = self._can_create(spec)
            if not answer:
                raise answer.error()
            machine = SimMachine(
                id=host.world.new_id(),
                spec=spec,
                options=options,
                state=MachineState.STOPPED,
                cpus=spec.cpus.count,
                memory=int(spec.memory.size),
            )
            for mount in spec.mounts:
                machine.guest.files.make_folders(mount.target)
            host.add(machine)
            host.tell(EventKind.CREATED, machine)
            return self._info(machine)

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        with self.host.lock:
            machine = self.find(id, "delete")
            self.host.remove(machine)
            self.host.tell(EventKind.DELETED, machine)

    def start(self, id: str, ctx: Context) -> None:
        self._power_up("start", id)

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        with self.host.lock:
            machine = self.find(id, "stop")
        if mode is StopMode.GRACEFUL:
            stop_s = machine.options.stop_s
            if stop_s is None:
                remaining = ctx.remaining_s
                if remaining is None:
                    raise OperationTimeout("the guest doesn't listen", hint="stop(force=True)")
                stop_s = remaining + 1.0
            self.host.world.clock.spend(stop_s, ctx)
        self._change("stop", id, MachineState.STOPPED)

    def pause(self, id: str, ctx: Context) -> None:
        """Halt the processors."""
        self._change("pause", id, MachineState.PAUSED)

    def resume(self, id: str, ctx: Context) -> None:
        """Let them go on."""
        self._change("resume", id, MachineState.RUNNING)

    def reboot(self, id: str, ctx: Context) -> None:
        """Start the guest anew."""
        with self.host.lock:
            machine = self._change("reboot", id, MachineState.RUNNING)
            machine.booted_at_s = self.host.world.clock.now_s + machine.options.boot_s

    def save(self, id: str, ctx: Context) -> None:
        """Put the memory on disk, which takes as long as it is large."""
        with self.host.lock:
            memory = self.find(id, "save").memory
        self.host.world.clock.spend(memory / SAVE_RATE, ctx)
        self._change("save", id, MachineState.SAVED)

    def restore(self, id: str, ctx: Context) -> None:
        """Bring it back, which takes as long."""
        with self.host.lock:
            memory = self.find(id, "restore").memory
        self.host.world.clock.spend(memory / SAVE_RATE, ctx)
        self._power_up("restore", id)

    # asking and listening

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if subject is None:
            return YES
        if capability is CREATE:
            with self.host.lock:
                _options(subject)  # type: ignore[arg-type]
                return self._can_create(subject)  # type: ignore[arg-type]
        if capability is MIGRATION:
            with self.host.lock:
                machine = self.host.by_name.get(subject.name)
            if machine is not None and machine.snapshots:
                return Answer.no(
                    "snapshots",
                    f"machine {subject.name!r} has snapshots, which would stay behind",
                    "delete its snapshots",
                )
            if machine is not None and not machine.options.migratable:
                return Answer.no(
                    "not-migratable",
                    f"machine {subject.name!r} has a device that can't move",
                    "create it with options.mock.migratable = true",
                )
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
        clock = self.host.world.clock
        with self.host.lock:
            left = self.find(id).booted_at_s - clock.now_s
        if left > 0:
            clock.spend(left)
            return False
        return True

    def console(self, id: str) -> MockConsole:
        """Return a console on which the guest says that it is up, and repeats what it is told."""
        with self.host.lock:
            return MockConsole(self.find(id).spec.name)

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
        """Return a machine by id or name. Precondition: the host's lock is held.

        Raises:
            vhal.errors.NotFound: There is none.
            vhal.errors.InvalidState: It isn't in a state in which ``call`` may begin.
        """
        machine = self.host.machines.get(ref) or self.host.by_name.get(ref)
        if machine is None:
            raise NotFound(
                f"there is no machine {ref!r} on host {self.host.model.name!r}",
                hint="machines() lists them",
                machine=ref,
            )
        if call is not None and not allowed(call, machine.state):
            raise InvalidState(
                f"can't {call} machine {machine.spec.name!r}: it is {machine.state}",
                hint=remedy(call, machine.state),
                machine=machine.spec.name,
            )
        return machine

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

    def _change(self, call: str, id: str, state: MachineState) -> SimMachine:
        with self.host.lock:
            machine = self.find(id, call)
            self.host.turn(machine, state)
            self.host.tell(_TOLD[call], machine)
            return machine

    def _power_up(self, call: str, id: str) -> None:
        with self.host.lock:
            machine = self.find(id, call)
            shortage = self.host.shortage(machine.cpus, machine.memory)
            if shortage:
                raise _no_room(self.host.model.name, shortage)
            if call == "start":
                machine.guest.cpu_s = 0.0
            self._change(call, id, TRANSITIONS[call][machine.state] or machine.state)
            booting = machine.options.boot_s if call == "start" else 0.0
            machine.booted_at_s = self.host.world.clock.now_s + booting

    def _can_create(self, spec: MachineSpec) -> Answer:
        model = self.host.model
        if spec.name in self.host.by_name:
            return Answer.no(
                "name-taken",
                f"there is a machine {spec.name!r} on host {model.name!r}",
                "choose another name, or delete that one",
                raises=AlreadyExists,
            )
        if spec.memory.size > model.memory or spec.cpus.count > self.host.cpu_limit:
            from vhal.spec.units import Bytes

            return Answer.no(
                "larger-than-host",
                f"host {model.name!r} has {self.host.cpu_limit} processors and {Bytes(model.memory)} of memory in all",
                "choose a larger host, or make the machine smaller",
                Level.HOST,
                InsufficientResources,
            )
        if spec.gpus:
            return Answer.no(
                "no-gpu", f"host {model.name!r} has no GPU", "choose a host with one", Level.HOST, InsufficientResources
            )  # fmt: skip
        return YES


def _options(spec: MachineSpec) -> MockOptions:
    from vhal_mock.options import DEFAULTS, MockOptions

    return spec.options_for("mock", MockOptions) if "mock" in spec.options else DEFAULTS


def _no_room(host: str, shortage: str) -> VhalError:
    return InsufficientResources(
        f"host {host!r} is full: {shortage}", hint="stop a machine there, or move one to another host"
    )
