"""The search for places for the machines of hosts that are to be empty.

The largest goes first, each to the host on which the fleet stays most even. Whose plan that becomes is
:mod:`vhal.fleet.moves.drain`'s business, or :mod:`vhal.fleet.moves.evacuate`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop

from vhal.fleet.cost import moved
from vhal.fleet.plan import HostChange, Move
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine

LEFT = "left: "
"""What a note about a machine that found no place begins with."""

SHOWN = 3
"""So many hosts are named in why a machine found no place."""


class Emptying:
    """The search for places.

    Args:
        snapshot: The fleet.
        emptied: Names of the hosts; in the snapshot nothing may be put on them.
        why: What each move's reason says of its host.
        dead: Whether the hosts are: then nobody asks what can't be moved.
    """

    def __init__(self, snapshot: FleetSnapshot, emptied: Sequence[str], why: str, *, dead: bool = False) -> None:
        self.room = Room(snapshot)
        self.emptied = emptied
        self._why = why
        self._dead = dead
        self.moves: list[Move] = []
        self.notes: list[str] = []
        self.shares = {
            host.name: _Share(host, sum([m.load.cpus for m in self.room.on[host.name].values() if m.load is not None]))
            for host in snapshot.hosts
            if host.status is HostStatus.UP
        }

    def run(self) -> None:
        """Find a place for every machine of the hosts, or note why there is none."""
        for host in self.emptied:
            machines = sorted(self.room.on[host].values(), key=lambda m: (-m.memory, -m.cpus, m.name))
            placed: set[str] = set()
            for machine in machines:
                if machine.id not in placed:
                    party = self.room.party(machine, host)
                    placed.update(each.id for each in party)
                    self._place(party, host)

    def _place(self, party: list[SeenMachine], source: str) -> None:
        """Find a place for machines that go together, or note why there is none."""
        stays = next(((each, why) for each in party if (why := self.room.stays(each))), None)
        if stays is not None and not self._dead:
            self._leave(party, f"{stays[0].name}: {stays[1]}")
            return
        whys: dict[str, str] = {}
        for host in self._nearest(party):
            why = self._try(party, source, host)
            if why is None:
                for each in party:
                    self._move(each, source, host, f"{source} {self._why}")
                return
            whys[host] = why
        if len(party) == 1 and not self._dead and self._make_room(party[0], source):
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
        room = self.room
        queue = [
            (share.rise(room.memory[name], room.cpus[name], memory, cpus, load), place, name)
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
                    self._move(machine, source, host, f"{source} {self._why}", (len(self.moves) - 1,))
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
        self._given_memory = host.memory_to_give
        self._given_cpus = host.cpus_to_give
        self.load = load
        """Processors that its machines keep busy."""

    def rise(self, memory_left: int, cpus_left: float, memory: int, cpus: int, load: float) -> float:
        """Return by how much its part of the sum of squares rises with so much more on it: (s + d)² - s²."""
        # Spelled out, without a loop: every host is asked for every machine.
        by_memory, by_cpus = self._memory, self._cpus
        more, also, too = memory * by_memory, cpus * by_cpus, load * by_cpus
        return (
            more * (2 * (self._given_memory - memory_left) * by_memory + more)
            + also * (2 * (self._given_cpus - cpus_left) * by_cpus + also)
            + too * (2 * self.load * by_cpus + too)
        )


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


def _percent(room: Room, host: str) -> str:
    seen = room.hosts[host]
    return f"{(seen.memory_to_give - room.memory[host]) / max(1, seen.memory):.0%}"
