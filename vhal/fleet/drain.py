"""Empties hosts for maintenance, over all others at once, and brings back what was taken away.

The plans are data and carried out by :mod:`vhal.fleet.apply`. A host that is dead is another matter:
:mod:`vhal.fleet.evacuate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop

from vhal.errors import InsufficientResources, InvalidSpec, NotFound
from vhal.fleet.applied import MoveResult
from vhal.fleet.apply import PLAN
from vhal.fleet.cost import moved
from vhal.fleet.plan import HostChange, Move, Plan
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.journal import Journal, StepState

LEFT = "left: "
"""What a note about a machine that found no place begins with."""

SHOWN = 3
"""So many hosts are named in why a machine found no place."""


def plan_drain(snapshot: FleetSnapshot, hosts: Iterable[str], *, strict: bool = False) -> Plan:
    """Return a plan that moves every machine off ``hosts``.

    The largest goes first, each to the host on which the fleet stays most even: where the sum of squares of what each
    host has given away of its memory and processors, and of its load, rises least. Machines that must stay together go
    together. Where a machine finds no place, one smaller machine of another host is moved out of its way first.

    Args:
        snapshot: The fleet.
        hosts: Their names.
        strict: Make no plan if a machine finds no place; else it is left, and the plan's notes say why.

    Raises:
        vhal.errors.NotFound: There is no such host.
        vhal.errors.InvalidSpec: One is unreachable, or no other host is left.
        vhal.errors.InsufficientResources: With ``strict``, a machine finds no place.
    """
    emptied = tuple(dict.fromkeys(hosts))
    return _Emptying(_draining(snapshot, emptied), emptied).plan(snapshot, strict)


def plan_restore(snapshot: FleetSnapshot, host: str, journal: Journal) -> Plan:
    """Return a plan that brings back to ``host`` what its last drain took away, as far as it still fits.

    Precondition: the host is up again, in the snapshot, too.

    Raises:
        vhal.errors.NotFound: There is no such host, or the journal knows of no drain of it.
    """
    _known(snapshot, [host])
    taken = _taken(journal, host)
    machines = {machine.id: machine for machine in snapshot.machines}
    room, moves, notes = Room(snapshot), list[Move](), list[str]()
    room.bound.update((result.move.id, host) for result in taken)
    for result in reversed(taken):
        machine = machines.get(result.move.id)
        if machine is None:
            notes.append(f"{LEFT}{result.move.machine} is gone")
        elif machine.host != host:
            why = room.stays(machine) or room.refusal(machine, machine.host, host)
            if why is not None:
                notes.append(f"{LEFT}{machine.name} stays on {machine.host}: {why}")
                room.bound.pop(machine.id)
                continue
            room.move(machine, machine.host, host)
            reason = f"it was on {host} until that was drained"
            moves.append(moved(machine, snapshot.host(machine.host), snapshot.host(host), reason))
    if not moves:
        notes.append(f"nothing is to be brought back to {host}")
    return Plan(
        kind="restore",
        snapshot=snapshot.digest,
        moves=tuple(moves),
        hosts=changes(snapshot, room, moves),
        notes=tuple(notes),
    )


def drained(journal: Journal) -> dict[str, str]:
    """Return the hosts that a drain keeps empty: name → id of the work; until they are restored."""
    found: dict[str, str] = {}
    for work in journal.works(PLAN):
        for name in work.data["emptied"]:
            found[name] = work.id
        if work.data["kind"] == "restore":
            for step in work.steps:
                found.pop(step.data["destination"], None)
    return found


class _Emptying:
    """The search for places."""

    def __init__(self, snapshot: FleetSnapshot, emptied: Sequence[str]) -> None:
        self.room = Room(snapshot)
        self.emptied = emptied
        self.moves: list[Move] = []
        self.notes: list[str] = []
        self.shares = {
            host.name: _Share(host, sum(m.load.cpus for m in self.room.on[host.name].values() if m.load))
            for host in snapshot.hosts
            if host.status is HostStatus.UP
        }

    def plan(self, snapshot: FleetSnapshot, strict: bool) -> Plan:
        for host in self.emptied:
            machines = sorted(self.room.on[host].values(), key=lambda m: (-m.memory, -m.cpus, m.name))
            placed: set[str] = set()
            for machine in machines:
                if machine.id not in placed:
                    party = self.room.party(machine, host)
                    placed.update(each.id for each in party)
                    self._place(party, host)
        left = [note.removeprefix(LEFT) for note in self.notes]
        if left and strict:
            raise InsufficientResources(
                f"{len(left)} of {len(left) + len(self.moves)} machines find no place: {'; '.join(left)}",
                hint="make room, or leave them where they are: without strict the others are moved",
            )
        if not self.moves and not self.notes:
            self.notes.append(f"{', '.join(self.emptied)}: there is nothing to move")
        return Plan(
            kind="drain",
            snapshot=snapshot.digest,
            emptied=tuple(self.emptied),
            moves=tuple(self.moves),
            hosts=changes(snapshot, self.room, self.moves),
            notes=tuple(self.notes),
        )

    def _place(self, party: list[SeenMachine], source: str) -> None:
        """Find a place for machines that go together, or note why there is none."""
        stays = next(((each, why) for each in party if (why := self.room.stays(each))), None)
        if stays is not None:
            self._leave(party, f"{stays[0].name}: {stays[1]}")
            return
        whys: dict[str, str] = {}
        for host in self._nearest(party):
            why = self._try(party, source, host)
            if why is None:
                for each in party:
                    self._move(each, source, host, f"{source} is being drained")
                return
            whys[host] = why
        if len(party) == 1 and self._make_room(party[0], source):
            return
        shown = "; ".join(dict.fromkeys(list(whys.values())[:SHOWN]))
        more = f"; and {len(whys) - SHOWN} more" if len(whys) > SHOWN else ""
        self._leave(party, f"no host takes it: {shown}{more}" if whys else "there is no other host that is up")

    def _leave(self, party: list[SeenMachine], why: str) -> None:
        self.notes += [f"{LEFT}{each.name} stays on {each.host}: {why}" for each in party]

    def _nearest(self, party: list[SeenMachine]) -> Iterable[str]:
        """Yield the hosts that are up, that which stays most even first."""
        memory, cpus = sum(each.memory for each in party), sum(each.cpus for each in party)
        load = sum(each.load.cpus for each in party if each.load is not None)
        queue = [
            (share.rise(self.room, name, memory, cpus, load), place, name)
            for place, (name, share) in enumerate(self.shares.items())
        ]
        heapify(queue)
        while queue:
            yield heappop(queue)[2]

    def _try(self, party: list[SeenMachine], source: str, host: str) -> str | None:
        """Put machines on a host, all or none; return why not."""
        self.room.bound.update((each.id, host) for each in party)
        for place, each in enumerate(party):
            why = self.room.refusal(each, source, host)
            if why is not None:
                for former in party[:place]:
                    self.room.move(former, host, source)
                for former in party:
                    del self.room.bound[former.id]
                return why
            self.room.move(each, source, host)
        return None

    def _move(self, machine: SeenMachine, source: str, host: str, reason: str, after: tuple[int, ...] = ()) -> None:
        """Write a move down that the room knows of."""
        hosts = self.room.hosts
        if host in self.shares:
            self.shares[host].load += machine.load.cpus if machine.load else 0.0
        why = f"{reason}; {host} has then given away {_percent(self.room, host)} of its memory"
        self.moves.append(moved(machine, hosts[source], hosts[host], why, after))

    def _make_room(self, machine: SeenMachine, source: str) -> bool:
        """Move a smaller machine out of the way, then this one there; return whether there is such a one."""
        for host in self._nearest([machine]):
            if self.room.forbidden(machine, source, host):
                continue
            missing = machine.memory - self.room.memory[host]
            others = sorted(self.room.on[host].values(), key=lambda m: m.memory)
            for other in others:
                if not missing <= other.memory < machine.memory or self.room.stays(other):
                    continue
                if other.host in self.emptied or len(self.room.party(other, host)) > 1:
                    continue  # one that moved already, or wouldn't go alone
                self.room.take(other, host)
                fits = self.room.refusal(machine, source, host) is None
                self.room.put(other, host)
                if fits and self._step_aside(other, machine, source, host):
                    return True
        return False

    def _step_aside(self, other: SeenMachine, machine: SeenMachine, source: str, host: str) -> bool:
        for place in self._nearest([other]):
            if place != host and self._try([other], host, place) is None:
                self._move(other, host, place, f"it makes room for {machine.name} on {host}")
                if self._try([machine], source, host) is None:
                    self._move(machine, source, host, f"{source} is being drained", (len(self.moves) - 1,))
                    return True
                self.moves.pop()
                self.room.move(other, place, host)
                del self.room.bound[other.id]
                return False
        return False


class _Share:
    """What a host has, as parts of which shares are taken."""

    __slots__ = ("_cpus", "_given_cpus", "_given_memory", "_memory", "load")

    def __init__(self, host: SeenHost, load: float) -> None:
        self._memory = 1.0 / max(1, host.memory)
        self._cpus = 1.0 / max(1, host.cpus)
        self._given_memory = host.memory - host.reserved_memory
        self._given_cpus = host.cpus * host.overcommit - host.reserved_cpus
        self.load = load
        """Processors that its machines keep busy."""

    def rise(self, room: Room, name: str, memory: int, cpus: int, load: float) -> float:
        """Return by how much its part of the sum of squares rises with so much more on it: (s + d)² - s²."""
        total = 0.0
        for share, more in (
            ((self._given_memory - room.memory[name]) * self._memory, memory * self._memory),
            ((self._given_cpus - room.cpus[name]) * self._cpus, cpus * self._cpus),
            (self.load * self._cpus, load * self._cpus),
        ):
            total += more * (2 * share + more)
        return total


def changes(snapshot: FleetSnapshot, room: Room, moves: Sequence[Move]) -> tuple[HostChange, ...]:
    """Return the hosts that moves change, before them and after them."""
    touched = dict.fromkeys(host for move in moves for host in (move.source, move.destination))
    return tuple(_change(snapshot.host(name), snapshot.on[name], list(room.on[name].values())) for name in touched)


def _change(host: SeenHost, before: Sequence[SeenMachine], after: Sequence[SeenMachine]) -> HostChange:
    def share(machines: Sequence[SeenMachine], what: str, of: int) -> float:
        return float(sum(getattr(machine, what) for machine in machines)) / max(1, of)

    def load(machines: Sequence[SeenMachine]) -> float:
        return sum(machine.load.cpus for machine in machines if machine.load is not None) / max(1, host.cpus)

    known = any(machine.load is not None for machine in (*before, *after))
    return HostChange(
        host=host.name,
        machines=(len(before), len(after)),
        cpus=(share(before, "cpus", host.cpus), share(after, "cpus", host.cpus)),
        memory=(share(before, "memory", host.memory), share(after, "memory", host.memory)),
        load=(load(before), load(after)) if known else None,
    )


def _draining(snapshot: FleetSnapshot, emptied: Sequence[str]) -> FleetSnapshot:
    _known(snapshot, emptied)
    for name in emptied:
        host = snapshot.host(name)
        if host.status is HostStatus.UNREACHABLE:
            raise InvalidSpec(
                f"host {name} can't be drained: it is unreachable ({host.reason or 'it does not answer'})",
                hint="once it is surely dead, its machines can be started elsewhere: evacuate",
                host=name,
            )
    hosts = tuple(
        host.model_copy(update={"status": HostStatus.DRAINING}) if host.name in emptied else host
        for host in snapshot.hosts
    )
    return snapshot.model_copy(update={"hosts": hosts})


def _known(snapshot: FleetSnapshot, names: Sequence[str]) -> None:
    there = [host.name for host in snapshot.hosts]
    for name in names:
        if name not in there:
            raise NotFound(
                f"there is no host {name!r} in the fleet", hint=f"there are {', '.join(there[:20])}", host=name
            )


def _taken(journal: Journal, host: str) -> list[MoveResult]:
    """Return what the last drain moved off a host."""
    for work in reversed(journal.works(PLAN)):
        if host in work.data["emptied"]:
            results = [
                MoveResult(move=Move(**step.data), **step.note) for step in work.steps if step.state is StepState.ENDED
            ]
            return [result for result in results if result.outcome.arrived and result.move.source == host]
    raise NotFound(
        f"the journal {journal.path} knows of no drain of {host}",
        hint="only the last drains are kept; 'vhal fleet plan' evens out the load instead",
        host=host,
    )


def _percent(room: Room, host: str) -> str:
    seen = room.hosts[host]
    return f"{(seen.memory - seen.reserved_memory - room.memory[host]) / max(1, seen.memory):.0%}"
