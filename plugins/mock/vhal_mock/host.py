"""A simulated host: what it has, who is on it, and what is left.

It knows no contract and no models; the driver does the words. Everything that changes it holds the world's lock, so
what is claimed is never more than there is. What can befall it is in :mod:`vhal_mock.trouble`, what its machines use in
:mod:`vhal_mock.usage`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vhal.driver.event import Event, EventKind
from vhal.spec.state import MachineState
from vhal_mock.machine import SimMachine
from vhal_mock.trouble import Trouble

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.clock import Alarm
    from vhal_mock.gpu import Part, SimGpu
    from vhal_mock.model import HostModel
    from vhal_mock.world import World

_RUNNING = MachineState.RUNNING  # looked up once: Python 3.11 runs a function for each look at an enum's member


class SimHost:
    """One host of a world."""

    def __init__(self, world: World, model: HostModel) -> None:
        self.world = world
        self.model = model
        self.name = model.name
        self.uuid = world.new_id()
        self.lock = world.clock.lock
        self.cpu_limit = int(model.cpus * model.cpu_overcommit)
        """Virtual processors that may be active."""
        self.memory_limit = int(model.memory * model.memory_overcommit)
        """Bytes that may be promised to active machines."""
        self._promises_more = self.memory_limit > model.memory
        """Whether it may promise more memory than there is."""
        self.disk_limit = int(model.disk * model.disk_overcommit)
        self.machines: dict[str, SimMachine] = {}
        self.by_name: dict[str, SimMachine] = {}
        self.running: dict[str, SimMachine] = {}
        """Those whose processors run."""
        self.listeners: list[Callable[[Event], None]] = []
        self.used_cpus = 0
        """Virtual processors of active machines."""
        self.used_memory = 0
        """Bytes of active machines."""
        self.volumes: dict[str, int] = {}
        """The disks that it made: name → bytes."""
        self.used_disk = 0
        each, rest = divmod(self.memory_limit, model.numa)
        self.nodes = [each + (rest if number == 0 else 0) for number in range(model.numa)]
        """Bytes of each NUMA node that aren't promised to a machine on it."""
        self.gpus: list[SimGpu] = []
        if model.gpus:
            from vhal_mock.gpu import SimGpu

            self.gpus = [SimGpu(gpu) for gpu in model.gpus]
        self.counted_s = 0.0
        """Up to when its machines' use was counted."""
        self._short: Alarm | None = None
        """When the kernel looks whether its memory is enough."""
        self.trouble = Trouble(self)

    # what happens in the middle of calls

    def visit(self, point: str, machine: str = "", ctx: Context | None = None) -> None:
        """Be at a point of an operation: what the world's faults have for it strikes here."""
        faults = self.world.faults
        if not faults.idle:
            fault = faults.strike(point, self.name, machine)
            if fault is not None:
                from vhal_mock.failure import strike

                strike(self, fault, point, machine, ctx)

    # room

    def shortage(self, cpus: int, memory: int) -> str | None:
        """Return what is missing for that much more, or None if it fits."""
        if self.used_memory + memory > self.memory_limit:
            from vhal.spec.units import Bytes

            free = Bytes(max(0, self.memory_limit - self.used_memory))
            return f"{Bytes(memory)} of memory are needed and {free} are free"
        if self.used_cpus + cpus > self.cpu_limit:
            return f"{cpus} processors are needed and {self.cpu_limit - self.used_cpus} are free"
        return None

    def disk_shortage(self, size: int) -> str | None:
        """Return what is missing for disks of that size, or None if they fit."""
        if size and self.trouble.disk_full:
            return "its disk is full"
        if self.used_disk + size > self.disk_limit:
            from vhal.spec.units import Bytes

            free = Bytes(max(0, self.disk_limit - self.used_disk))
            return f"{Bytes(size)} of disk are needed and {free} are free"
        return None

    def gpu_parts(self, machine: SimMachine) -> list[Part] | None:
        """Return what of the GPUs an inactive machine would get, or None if there is no room."""
        if not machine.spec.gpus:
            return []
        from vhal_mock.gpu import assign

        return assign(self.gpus, machine.spec.gpus)

    # who is here

    def add(self, machine: SimMachine) -> None:
        """Put a machine here. Precondition: its id and name are free, and so is what it needs."""
        self.machines[machine.id] = machine
        self.by_name[machine.name] = machine
        if machine.state.active:
            self._claim(machine)

    def remove(self, machine: SimMachine) -> None:
        """Take a machine away; its volumes stay."""
        self.count()
        del self.machines[machine.id]
        del self.by_name[machine.name]
        self.running.pop(machine.id, None)
        if machine.state.active:
            self._release(machine)

    def receive(self, place: SimMachine, state: MachineState) -> None:
        """Make a machine that arrives this host's. Does nothing if it is."""
        if place.arriving:
            place.arriving = False
            self.turn(place, state)
            self.tell(EventKind.MIGRATED_IN, place)

    def give_up(self, place: SimMachine) -> None:
        """Remove the place of a machine on its way, with its disks. Does nothing if it is none, or gone."""
        if place.arriving and self.machines.get(place.id) is place:
            from vhal_mock.creation import volumes

            self.remove(place)
            self.drop_volumes(list(volumes(place.spec)))

    def resize(self, machine: SimMachine, cpus: int, memory: int) -> None:
        """Change a machine's sizes. Precondition: there is room."""
        self.count()
        active = machine.state.active
        if active:
            self._release_sizes(machine)
        machine.cpus, machine.memory = cpus, memory
        if active:
            self._claim_sizes(machine)
            if self._promises_more:
                self._use_more()
        machine.info = None

    def turn(self, machine: SimMachine, state: MachineState) -> None:
        """Change a machine's state. Precondition: what it needs there is free."""
        if self.counted_s != self.world.clock.now_s:
            self.count()
        before, machine.state = machine.state, state
        machine.info = None
        active = state.active
        if before.active is not active:
            if active:
                self._claim(machine)
            else:
                if not machine.arriving:
                    machine.end_programs()
                self._release(machine)
        if state is _RUNNING:
            self.running[machine.id] = machine
            if self._promises_more:
                self._use_more()
        else:
            self.running.pop(machine.id, None)

    def make_volumes(self, sizes: dict[str, int]) -> None:
        """Make disks. Precondition: the names are free, and so is the room."""
        self.volumes |= sizes
        self.used_disk += sum(sizes.values())

    def drop_volumes(self, names: list[str]) -> None:
        """Remove disks; those that aren't there are none."""
        for name in names:
            self.used_disk -= self.volumes.pop(name, 0)

    def count(self) -> None:
        """Count what was used so far, before what it follows from changes."""
        if self.counted_s != self.world.clock.now_s:
            from vhal_mock.usage import count

            count(self)

    def _use_more(self) -> None:
        # Memory is really used when it is written to: when time passes.
        if self._short is None:
            self._short = self.world.clock.at(self.world.clock.now_s, self._run_short)

    def _run_short(self) -> None:
        self._short = None
        self.trouble.run_out_of_memory()

    def _claim(self, machine: SimMachine) -> None:
        self._claim_sizes(machine)
        if machine.spec.gpus:
            machine.parts = self.gpu_parts(machine) or ()
            for part in machine.parts:
                self.gpus[part.gpu].parts.setdefault(machine.id, []).append(part)

    def _release(self, machine: SimMachine) -> None:
        self._release_sizes(machine)
        for part in machine.parts:
            self.gpus[part.gpu].parts.pop(machine.id, None)
        machine.parts = ()

    def _claim_sizes(self, machine: SimMachine) -> None:
        self.used_cpus += machine.cpus
        self.used_memory += machine.memory
        if len(self.nodes) > 1:
            # The roomiest node, and only what it hasn't from the next one.
            left, taken = machine.memory, [0] * len(self.nodes)
            for node in sorted(range(len(self.nodes)), key=lambda node: -self.nodes[node]):
                taken[node] = min(left, self.nodes[node])
                self.nodes[node] -= taken[node]
                left -= taken[node]
            machine.nodes = tuple(taken)

    def _release_sizes(self, machine: SimMachine) -> None:
        self.used_cpus -= machine.cpus
        self.used_memory -= machine.memory
        for node, taken in enumerate(machine.nodes):
            self.nodes[node] += taken
        machine.nodes = ()

    # telling

    def tell(self, kind: EventKind, machine: SimMachine, detail: str = "") -> None:
        """Send an event; the listeners are called here and now, so order is kept."""
        self.world.log.add(kind, self.name, machine.name, detail)
        if self.listeners and not self.trouble.silent:
            event = Event(kind, machine.id, machine.name, self.name, self.world.clock.now_s, detail)
            for listener in list(self.listeners):
                listener(event)
