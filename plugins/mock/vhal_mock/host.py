"""A simulated host: what it has, who is on it, and what is left.

It knows no contract and no models; the driver does the words. Everything that changes it holds its lock, so what is
claimed is never more than there is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vhal.driver.event import Event, EventKind
from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal_mock.changes import Snapshot
    from vhal_mock.files import FileTree
    from vhal_mock.options import MockOptions
    from vhal_mock.process import MockProcess
    from vhal_mock.world import World

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class HostModel:
    """What a host is made of."""

    name: str
    cpus: int = 16
    memory: int = 64 * GIB
    """Bytes for machines."""
    cpu_overcommit: float = 4.0
    """Virtual processors that may be active for each one there is."""
    bandwidth: int = 1_250_000_000
    """Bytes a second to other hosts: 10 Gbit/s."""


@dataclass(slots=True)
class Inside:
    """What is inside a machine, and moves with it: on its way both hosts hold the same one."""

    cpu_s: float = 0.0
    """Processor time since it was started, as it was last counted."""
    programs: set[MockProcess] = field(default_factory=set)
    """Those that were started in it and run."""
    tree: FileTree | None = None

    @property
    def files(self) -> FileTree:
        """Its files; made when they are first wanted."""
        if self.tree is None:
            from vhal_mock.files import FileTree

            self.tree = FileTree()
        return self.tree

    def end(self) -> None:
        """End its programs."""
        for program in list(self.programs):
            program.kill()


@dataclass(slots=True)
class SimMachine:
    """A machine on a host, or a place held for one that is on its way."""

    id: str
    spec: MachineSpec
    options: MockOptions
    state: MachineState
    cpus: int
    memory: int
    epoch: int = 1
    booted_at_s: float = 0.0
    """Virtual time at which its guest is up."""
    arriving: bool = False
    """Whether it is only a place yet, held for a machine on its way."""
    guest: Inside = field(default_factory=Inside)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    counted_s: float = 0.0
    """Virtual time up to which its processor time was counted."""
    info: MachineInfo | None = field(default=None, compare=False)
    """As it was last told; made anew after a change."""


class SimHost:
    """One host of a world."""

    def __init__(self, world: World, model: HostModel) -> None:
        self.world = world
        self.model = model
        self.uuid = world.new_id()
        self.cpu_limit = int(model.cpus * model.cpu_overcommit)
        """Virtual processors that may be active."""
        self.machines: dict[str, SimMachine] = {}
        self.by_name: dict[str, SimMachine] = {}
        self.lock = threading.RLock()
        self.listeners: list[Callable[[Event], None]] = []
        self.used_cpus = 0
        """Virtual processors of active machines."""
        self.used_memory = 0
        """Bytes of active machines."""

    def shortage(self, cpus: int, memory: int) -> str | None:
        """Return what is missing for that much more, or None if it fits."""
        if self.used_memory + memory > self.model.memory:
            from vhal.spec.units import Bytes

            free = Bytes(self.model.memory - self.used_memory)
            return f"{Bytes(memory)} of memory are needed and {free} are free"
        if self.used_cpus + cpus > self.cpu_limit:
            return f"{cpus} processors are needed and {self.cpu_limit - self.used_cpus} are free"
        return None

    def add(self, machine: SimMachine) -> None:
        """Put a machine here. Precondition: its id and name are free, and so is what it needs."""
        self.machines[machine.id] = machine
        self.by_name[machine.spec.name] = machine
        if machine.state.active:
            self._claim(machine, 1)

    def remove(self, machine: SimMachine) -> None:
        """Take a machine away."""
        del self.machines[machine.id]
        del self.by_name[machine.spec.name]
        if machine.state.active:
            self._claim(machine, -1)
            machine.guest.end()

    def cpu_time(self, machine: SimMachine) -> float:
        """Count a machine's processor time up to now and return it: its load, while its processors run."""
        now_s = self.world.clock.now_s
        if machine.state is MachineState.RUNNING:
            machine.guest.cpu_s += (now_s - machine.counted_s) * machine.cpus * machine.options.load
        machine.counted_s = now_s
        return machine.guest.cpu_s

    def resize(self, machine: SimMachine, cpus: int, memory: int) -> None:
        """Change a machine's sizes. Precondition: there is room."""
        self.cpu_time(machine)
        if machine.state.active:
            self._claim(machine, -1)
        machine.cpus, machine.memory = cpus, memory
        if machine.state.active:
            self._claim(machine, 1)
        machine.info = None

    def turn(self, machine: SimMachine, state: MachineState) -> None:
        """Change a machine's state. Precondition: what it needs there is free."""
        self.cpu_time(machine)
        if machine.state.active is not state.active:
            self._claim(machine, 1 if state.active else -1)
            if not state.active:
                machine.guest.end()
        machine.state = state
        machine.info = None

    def _claim(self, machine: SimMachine, sign: int) -> None:
        self.used_cpus += sign * machine.cpus
        self.used_memory += sign * machine.memory

    def tell(self, kind: EventKind, machine: SimMachine, detail: str = "") -> None:
        """Send an event; the listeners are called here and now, so order is kept."""
        if self.listeners:
            event = Event(kind, machine.id, machine.spec.name, self.model.name, self.world.clock.now_s, detail)
            for listener in list(self.listeners):
                listener(event)
