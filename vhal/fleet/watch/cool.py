"""Which machines leave hosts that run hot, and which hosts can be emptied: by what machines are used to.

A host is hot when what its machines are expected to want leaves too little spare, in standard deviations: a peak that
is over before a machine has moved isn't worth the move. What is packed is packed with more spare than what counts as
hot, so that nothing which was just moved is moved again.

This is no balance: loads aren't evened out. That is ``vhal.fleet.balance``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated

from pydantic import Field

from vhal.fleet.cost import moved
from vhal.fleet.moves.emptying import changes
from vhal.fleet.plan import Move, Plan
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine
from vhal.fleet.watch.habit import Habits, Want, expected, spare, typical
from vhal.spec.model import Model
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

Deviations = Annotated[float, Field(ge=0, le=10)]


class CoolSettings(Model):
    """When something is done."""

    advice = "correct what is named; docs/how-to/watch-a-fleet.md has every setting"

    hot: Deviations = 1.5
    """A host with less spare than that is hot. Were loads normal, it would be short in one look of 15."""
    full: Deviations = 2.5
    """Nothing is put on a host that has less spare with it: in one look of 161. Peaks are higher than normal ones."""
    empty: bool = True
    """Whether hosts are emptied if others have the room: what is on an idle one can be switched off."""
    rest_s: Annotated[float, Field(ge=0)] = 3600.0
    """For so long after a move a machine isn't moved again."""
    moves: Annotated[int, Field(ge=0)] | None = None
    """At most so many in a plan; None for no limit. A host is emptied whole or not at all."""
    memory: Bytes | None = None
    """At most so much memory of machines is moved by a plan; None for no limit."""


def cool(snapshot: FleetSnapshot, habits: Habits, settings: CoolSettings | None = None) -> Plan:
    """Return what shall be moved so that no host is hot and, if wanted, few hosts are needed.

    Hot hosts come first: of each, as few machines leave as are needed, those first that free the most for what they
    cost. Then hosts are emptied, the smallest and least busy first, each only if all that is on it fits elsewhere (a
    best fit: the fullest host that stays below ``full``).

    A pure function: the same arguments give the same plan.

    Args:
        snapshot: The fleet.
        habits: What its machines are used to: see :func:`vhal.fleet.watch.habit.learn`.
        settings: None for the defaults.
    """
    return _Cooling(snapshot, habits, settings or CoolSettings()).plan()


def heat(snapshot: FleetSnapshot, habits: Habits, settings: CoolSettings | None = None) -> dict[str, float]:
    """Return the hosts that are hot, the hottest first, and what share of their processors is expected busy.

    What :func:`cool` would relieve; the arguments are the same.
    """
    now = _Cooling(snapshot, habits, settings or CoolSettings())
    return {name: now.share(name) for name in now.hot()}


class _Cooling:
    """One plan in the making."""

    def __init__(self, snapshot: FleetSnapshot, habits: Habits, settings: CoolSettings) -> None:
        self.snapshot, self.settings = snapshot, settings
        self.room = Room(snapshot)
        part = typical(snapshot, habits)
        self.expected = {
            machine.id: expected(machine, habits, part) for machine in snapshot.machines if machine.state.active
        }
        self.capacity = {host.name: max(0.0, host.cpus - host.reserved_cpus) for host in snapshot.hosts}
        self.usual = dict.fromkeys(self.capacity, 0.0)
        self.lately = dict.fromkeys(self.capacity, 0.0)
        self.variance = dict.fromkeys(self.capacity, 0.0)
        for machine in snapshot.machines:
            self._count(machine, machine.host)
        self.free = {
            machine.id
            for machine in snapshot.machines
            if machine.id in habits and habits[machine.id].weight and self._may_move(machine)
        }
        self.moves: list[Move] = []
        self.notes: list[str] = []
        self.changed: set[str] = set()

    def hot(self) -> list[str]:
        """Return the hosts that are hot, the hottest first."""
        short = [name for name in self._up() if self.room.on[name] and self._spare(name) < self.settings.hot]
        return sorted(short, key=self._spare)

    def share(self, name: str) -> float:
        """Return what share of a host's processors is expected busy."""
        return self._mean(name) / self.capacity[name] if self.capacity[name] else 1.0

    def plan(self) -> Plan:
        """Return what shall be moved."""
        for name in self.hot():
            self._relieve(name)
        if self.settings.empty:
            for name in sorted(self._up(), key=lambda name: (self.capacity[name], self._mean(name), name)):
                if self.room.on[name] and name not in self.changed:
                    self._empty(name)
        if not self.moves and not self.notes:
            self.notes.append("nothing is worth moving: no host is hot, and none can be emptied")
        return Plan(
            snapshot=self.snapshot.digest,
            moves=tuple(self.moves),
            hosts=changes(self.snapshot, self.room, self.moves),
            notes=tuple(self.notes),
        )

    def _up(self) -> list[str]:
        return [host.name for host in self.snapshot.hosts if host.status is HostStatus.UP]

    def _relieve(self, name: str) -> None:
        """Let machines leave a hot host until it isn't."""
        able, kept = self._able(name), ""
        while self._spare(name) < self.settings.hot:
            if not able:
                self.notes.append(f"{name} stays hot: {kept or 'nothing that may leave it fits elsewhere'}")
                return
            machine = min(able, key=lambda machine: self._price(name, machine))
            able.remove(machine)
            if not self._is_allowed([machine]):
                kept = "no more may be moved now"
                continue
            target = self._target(machine, name, idle=True)
            if target is not None:
                self._move(
                    machine, name, target, f"{name} is hot: {self.share(name):.0%} of its processors are expected busy"
                )

    def _price(self, name: str, machine: SeenMachine) -> tuple[float, str]:
        """Return what a machine costs in memory for the spare that its leaving gives, as far as it is needed."""
        want = self.expected[machine.id]
        left = spare(
            self.capacity[name],
            max(self.usual[name] - want.usual, self.lately[name] - want.lately),
            max(0.0, self.variance[name] - want.variance),
        )
        won = min(self.settings.hot, left) - self._spare(name)
        return (machine.memory / won if won > 0 else inf, machine.id)

    def _empty(self, name: str) -> None:
        """Let all machines leave a host, if all of them can; else none."""
        able = self._able(name)
        if len(able) < len(self.room.on[name]) or not self._is_allowed(able):
            return
        chosen: list[tuple[SeenMachine, str]] = []
        for machine in sorted(able, key=lambda machine: (-self.expected[machine.id].usual, machine.id)):
            target = self._target(machine, name, idle=False)
            if target is None:
                break
            self._shift(machine, name, target)
            chosen.append((machine, target))
        for machine, target in reversed(chosen):
            self._shift(machine, target, name)
        if len(chosen) == len(able):
            for machine, target in chosen:
                self._move(machine, name, target, f"{name} can be emptied: all that is on it fits elsewhere")

    def _target(self, machine: SeenMachine, source: str, *, idle: bool) -> str | None:
        """Return the fullest host that has the room; an idle one only if that is wanted, and the largest of them."""
        want = self.expected[machine.id]
        best, best_key = None, (True, 0.0, inf)
        for name, capacity in self.capacity.items():
            held = self.room.on[name]
            if name == source or not (held or idle) or self.room.full(machine, source, name):
                continue
            mean = max(self.usual[name] + want.usual, self.lately[name] + want.lately)
            if spare(capacity, mean, self.variance[name] + want.variance) < self.settings.full:
                continue
            key = (not held, -capacity, self._spare(name))
            if (best is None or key < best_key) and not self.room.forbidden(machine, source, name):
                best, best_key = name, key
        return best

    def _move(self, machine: SeenMachine, source: str, target: str, reason: str) -> None:
        hosts = self.room.hosts
        # What leaves the destination makes the room there, so it goes before.
        after = tuple(place for place, move in enumerate(self.moves) if move.source == target)
        self.moves.append(moved(machine, hosts[source], hosts[target], reason, after))
        self._shift(machine, source, target)
        self.changed |= {source, target}

    def _shift(self, machine: SeenMachine, source: str, target: str) -> None:
        self.room.move(machine, source, target)
        self._count(machine, source, -1)
        self._count(machine, target)

    def _count(self, machine: SeenMachine, name: str, sign: int = 1) -> None:
        want = self.expected.get(machine.id, Want(0.0, 0.0, 0.0))
        self.usual[name] += sign * want.usual
        self.lately[name] += sign * want.lately
        self.variance[name] = max(0.0, self.variance[name] + sign * want.variance)

    def _mean(self, name: str) -> float:
        return max(self.usual[name], self.lately[name])

    def _spare(self, name: str) -> float:
        return spare(self.capacity[name], self._mean(name), self.variance[name])

    def _able(self, name: str) -> list[SeenMachine]:
        return [machine for machine in self.room.on[name].values() if machine.id in self.free and machine.host == name]

    def _may_move(self, machine: SeenMachine) -> bool:
        rested = machine.moved_s is None or self.snapshot.taken_s - machine.moved_s >= self.settings.rest_s
        return machine.state is MachineState.RUNNING and rested and self.room.stays(machine) is None

    def _is_allowed(self, more: Sequence[SeenMachine]) -> bool:
        """Return whether the plan may have these machines' moves, too."""
        moves, memory = self.settings.moves, self.settings.memory
        if moves is not None and len(self.moves) + len(more) > moves:
            return False
        sizes = [move.memory for move in self.moves] + [machine.memory for machine in more]
        return memory is None or sum(sizes) <= memory
