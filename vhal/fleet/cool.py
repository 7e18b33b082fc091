"""Which machines leave hosts that run hot, and which hosts can be emptied: from what machines are used to, not from
one look.

A host is hot when what its machines are expected to want leaves too little spare, in standard deviations: a peak that
is over before a machine has moved isn't worth the move. What is packed is packed with more spare than what counts as
hot, so that nothing which was just moved is moved again.

This is no balance: loads aren't evened out. For that see :mod:`vhal.fleet.balance`. Machines that a rule speaks of stay
where they are, so every rule that held holds on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from vhal.fleet.cost import moved
from vhal.fleet.habit import Habits, expected, spare, typical
from vhal.fleet.plan import HostChange, Move, Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.model import Model
from vhal.spec.state import MachineState

Deviations = Annotated[float, Field(ge=0, le=10)]


class CoolSettings(Model):
    """When something is done."""

    hot: Deviations = 1.5
    """A host with less spare than that is hot. Were loads normal, it would be short in one look of 15."""
    full: Deviations = 2.5
    """Nothing is put on a host that has less spare with it: in one look of 161. Peaks are higher than normal ones."""
    empty: bool = True
    """Whether hosts are emptied if others have the room: what is on an idle one can be switched off."""
    rest_s: Annotated[float, Field(ge=0)] = 3600.0
    """For so long after a move a machine isn't moved again."""
    moves: Annotated[int, Field(ge=1)] | None = None
    """At most so many in a plan; None for no limit."""


def cool(snapshot: FleetSnapshot, habits: Habits, settings: CoolSettings | None = None) -> Plan:
    """Return what shall be moved so that no host is hot and, if wanted, few hosts are needed.

    Hot hosts come first: of each, as few machines leave as are needed, those first that free the most for what they
    cost. Then hosts are emptied, the smallest and least busy first, each only if all that is on it fits elsewhere (a
    best fit: the fullest host that stays below ``full``).

    A pure function: the same arguments give the same plan.

    Args:
        snapshot: The fleet.
        habits: What its machines are used to: see :func:`vhal.fleet.habit.learn`.
        settings: None for the defaults.
    """
    return _Cooling(snapshot, habits, settings or CoolSettings()).plan()


class _Room:
    """What is expected of one host, as the plan goes on."""

    def __init__(self, host: SeenHost) -> None:
        self.host = host
        self.capacity = max(0.0, host.cpus - host.reserved_cpus)
        self.mean = self.variance = 0.0
        self.memory = int(host.memory) - int(host.reserved_memory)
        self.cpus = self.capacity * host.overcommit
        self.machines: dict[str, SeenMachine] = {}
        self.changed = False

    @property
    def spare(self) -> float:
        return spare(self.capacity, self.mean, self.variance)

    def fits(self, machine: SeenMachine, mean: float, variance: float, full: float) -> bool:
        return (
            machine.memory <= self.memory
            and machine.cpus <= self.cpus
            and spare(self.capacity, self.mean + mean, self.variance + variance) >= full
        )

    def add(self, machine: SeenMachine, mean: float, variance: float, sign: int = 1) -> None:
        self.mean += sign * mean
        self.variance = max(0.0, self.variance + sign * variance)
        self.memory -= sign * machine.memory
        self.cpus -= sign * machine.cpus
        if sign > 0:
            self.machines[machine.id] = machine
        else:
            del self.machines[machine.id]


class _Cooling:
    def __init__(self, snapshot: FleetSnapshot, habits: Habits, settings: CoolSettings) -> None:
        self.snapshot, self.settings = snapshot, settings
        part = typical(snapshot, habits)
        active = [machine for machine in snapshot.machines if machine.state.active]
        self.expected = {machine.id: expected(machine, habits, part) for machine in active}
        self.known = {machine.id for machine in active if machine.id in habits}
        self.rooms = {host.name: _Room(host) for host in snapshot.hosts if host.status is not HostStatus.UNREACHABLE}
        for machine in active:
            if machine.host in self.rooms:
                self.rooms[machine.host].add(machine, *self.expected[machine.id])
        self.bound = {machine.id for machine in active if self._stays(machine)}
        self.moves: list[Move] = []
        self.notes: list[str] = []

    def plan(self) -> Plan:
        before = {name: self._shares(room) for name, room in self.rooms.items()}
        for room in sorted(self._usable(), key=lambda room: room.spare):
            if room.spare < self.settings.hot:
                self._relieve(room)
        if self.settings.empty:
            for room in sorted(self._usable(), key=lambda room: (room.capacity, room.mean, room.host.name)):
                if room.machines and not room.changed and not self._is_over():
                    self._empty(room)
        changes = [_change(name, before[name], self._shares(room)) for name, room in self.rooms.items() if room.changed]
        if not self.moves and not self.notes:
            self.notes.append("nothing is worth moving: no host is hot, and none can be emptied")
        return Plan(
            snapshot=self.snapshot.digest, moves=tuple(self.moves), hosts=tuple(changes), notes=tuple(self.notes)
        )

    def _usable(self) -> Iterator[_Room]:
        return (room for room in self.rooms.values() if room.host.status is HostStatus.UP)

    def _relieve(self, room: _Room) -> None:
        """Let machines leave a hot host until it isn't."""
        refused: set[str] = set()
        while room.spare < self.settings.hot and not self._is_over():
            able = [machine for machine in self._movable(room) if machine.id not in refused]
            if not able:
                self.notes.append(f"{room.host.name} stays hot: nothing that may leave it fits elsewhere")
                return
            machine = min(able, key=lambda machine: self._price(room, machine))
            target = self._target(machine, room, awake=False)
            if target is None:
                refused.add(machine.id)
                continue
            share = room.mean / room.capacity if room.capacity else 0.0
            self._move(
                machine, room, target, f"{room.host.name} is hot: {share:.0%} of its processors are expected busy"
            )

    def _price(self, room: _Room, machine: SeenMachine) -> tuple[float, str]:
        """Return what a machine costs, in memory, for what its leaving gives in spare; once it is enough, no more counts."""
        mean, variance = self.expected[machine.id]
        after = min(self.settings.hot, spare(room.capacity, room.mean - mean, max(0.0, room.variance - variance)))
        won = after - room.spare
        return (machine.memory / won if won > 0 else float("inf"), machine.id)

    def _empty(self, room: _Room) -> None:
        """Let all machines leave a host, if all of them can; else none."""
        machines = list(room.machines.values())
        able = {machine.id for machine in self._movable(room)}
        if len(able) < len(machines):
            return
        if self.settings.moves is not None and len(self.moves) + len(machines) > self.settings.moves:
            return
        chosen: list[tuple[SeenMachine, _Room]] = []
        for machine in sorted(machines, key=lambda machine: (-self.expected[machine.id][0], machine.id)):
            target = self._target(machine, room, awake=True)
            if target is None:
                for placed, where in chosen:
                    where.add(placed, *self.expected[placed.id], sign=-1)
                return
            target.add(machine, *self.expected[machine.id])
            chosen.append((machine, target))
        for machine, target in chosen:
            target.add(machine, *self.expected[machine.id], sign=-1)
            self._move(machine, room, target, f"{room.host.name} can be emptied: all that is on it fits elsewhere")

    def _target(self, machine: SeenMachine, source: _Room, *, awake: bool) -> _Room | None:
        """Return the fullest host that has the room; an idle one only for what has to leave, and the largest of them."""
        mean, variance = self.expected[machine.id]
        best: _Room | None = None
        best_key: tuple[bool, float, float] | None = None
        for room in self._usable():
            if room is source or (awake and not room.machines):
                continue
            if not room.fits(machine, mean, variance, self.settings.full):
                continue
            key = (not room.machines, -room.capacity, room.spare)
            if best_key is None or key < best_key:
                best, best_key = room, key
        return best

    def _move(self, machine: SeenMachine, source: _Room, target: _Room, reason: str) -> None:
        # What leaves the destination makes the room there, so it goes before.
        after = tuple(place for place, move in enumerate(self.moves) if move.source == target.host.name)
        self.moves.append(moved(machine, source.host, target.host, reason, after))
        source.add(machine, *self.expected[machine.id], sign=-1)
        target.add(machine, *self.expected[machine.id])
        source.changed = target.changed = True

    def _movable(self, room: _Room) -> Iterator[SeenMachine]:
        return (
            machine
            for machine in room.machines.values()
            if machine.id not in self.bound and machine.host == room.host.name
        )

    def _stays(self, machine: SeenMachine) -> bool:
        rested = machine.moved_s is None or self.snapshot.taken_s - machine.moved_s >= self.settings.rest_s
        return (
            machine.state is not MachineState.RUNNING
            or not machine.movable
            or not rested
            or machine.id not in self.known
            or any(rule.machines.matches(machine.words) for rule in self.snapshot.rules)
        )

    def _is_over(self) -> bool:
        return self.settings.moves is not None and len(self.moves) >= self.settings.moves

    def _shares(self, room: _Room) -> tuple[int, float, float, float]:
        host = room.host
        held: Iterable[SeenMachine] = room.machines.values()
        cpus, memory = sum(machine.cpus for machine in held), sum(machine.memory for machine in held)
        return len(room.machines), cpus / (host.cpus or 1), memory / (host.memory or 1), room.mean / (host.cpus or 1)


def _change(name: str, before: tuple[int, float, float, float], after: tuple[int, float, float, float]) -> HostChange:
    return HostChange(
        host=name,
        machines=(before[0], after[0]),
        cpus=(before[1], after[1]),
        memory=(before[2], after[2]),
        load=(before[3], after[3]),
    )
