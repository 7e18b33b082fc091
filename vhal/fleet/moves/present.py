"""What is known of a fleet while its machines are being moved, and what is under way: kept up to date by looking.

It knows nothing of plans and their order; that is :mod:`vhal.fleet.moves.carrier`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from vhal.errors import Busy, InsufficientResources
from vhal.fleet.members.inventory import machine as machine_seen
from vhal.fleet.moves.applied import MoveResult, Outcome
from vhal.fleet.placement.claims import Claim
from vhal.fleet.plan import Move
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine
from vhal.host import Host
from vhal.spec.machine import MachineInfo

LOOKS = 5
"""So often two hosts are looked at again if moves that began or ended have changed them meanwhile."""


class Present:
    """Who is where now, and on its way.

    Concurrency: safe from any thread.

    Args:
        snapshot: How it is at first.
    """

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self._lock = threading.RLock()
        self.see(snapshot)

    def see(self, snapshot: FleetSnapshot) -> None:
        """Begin anew with a snapshot. Precondition: nothing is on its way."""
        with self._lock:
            self._room = Room(snapshot)
            self._seen = {machine.id: machine for machine in snapshot.machines}
            self._changes = dict.fromkeys(self._room.hosts, 0)
            self._on_their_way: dict[str, Move] = {}

    def expect(self, move: Move) -> None:
        """Take note that a machine shall be moved: those that must be with it may go ahead."""
        with self._lock:
            self._room.bound[move.id] = move.destination

    def forget(self, move: Move) -> None:
        """Take note that it won't."""
        with self._lock:
            self._room.bound.pop(move.id, None)

    def refusal(self, move: Move) -> str | None:
        """Return why a move can't begin now, as far as is known; or None."""
        with self._lock:
            for name in (move.source, move.destination):
                if name not in self._room.hosts:
                    return f"host {name} is gone"
                if self._room.hosts[name].status is HostStatus.UNREACHABLE:
                    return f"host {name} is unreachable"
            machine = self._room.on[move.source].get(move.id)
            if machine is None:
                # It may be there already; the move's own look tells.
                return None if move.id in self._room.on[move.destination] else f"it isn't on {move.source} any more"
            return self._room.refusal(machine, move.source, move.destination)

    def begin(self, move: Move) -> None:
        """Take note that a machine is on its way: it counts on both hosts."""
        with self._lock:
            self._on_their_way[move.id] = move
            machine = self._room.on[move.source].get(move.id)
            if machine is not None:
                self._room.put(machine, move.destination)
            self._change(move)

    def end(self, result: MoveResult) -> None:
        """Take note of what came of a move that was begun. One in doubt goes on to count on both hosts."""
        move = result.move
        with self._lock:
            self._on_their_way.pop(move.id, None)
            machine = self._room.on[move.source].get(move.id)
            if result.outcome is not Outcome.IN_DOUBT and machine is not None:
                self._room.take(machine, move.source if result.outcome.arrived else move.destination)
            if not result.outcome.arrived:
                self._room.bound.pop(move.id, None)
            self._change(move)

    def look(self, move: Move, source: Host, destination: Host) -> MoveResult | None:
        """Look at both hosts of a move that is to begin; return what came of it if it needn't or can't.

        Raises:
            vhal.errors.Busy: The hosts change all the time.
            vhal.errors.VhalError: One can't be asked.
        """
        for _ in range(LOOKS):
            with self._lock:
                before = self._changes[move.source], self._changes[move.destination]
            # The destination first: what leaves the source meanwhile is then seen twice rather than nowhere.
            there = [each.seen for each in destination.machines()]
            here = [each.seen for each in source.machines()]
            with self._lock:
                if before == (self._changes[move.source], self._changes[move.destination]):
                    return self._look(move, here, there)
        raise Busy(f"{move.source} and {move.destination} change all the time", hint="fewer moves at once: per_host")

    def claim(self, move: Move, claims: Sequence[Claim]) -> tuple[str, SeenMachine]:
        """Return what a move takes, as a claim: its destination's uuid and the machine.

        Precondition: the move was looked at.

        Args:
            move: That is to begin.
            claims: What others are making and moving at this moment.

        Raises:
            vhal.errors.InsufficientResources: With that there is no room, or a rule is against it.
        """
        with self._lock:
            room, host = self._room, self._room.hosts[move.destination]
            names = {machine.name for machine in room.on[host.name].values()}
            others = [each.machine for each in claims if each.host == host.uuid and each.machine.name not in names]
            machine = room.on[host.name][move.id]
            room.take(machine, host.name)
            for other in others:
                room.put(other, host.name)
            why = room.refusal(machine, move.source, host.name) if others else None
            for other in others:
                room.take(other, host.name)
            room.put(machine, host.name)
            if why is not None:
                raise InsufficientResources(
                    f"{why}, with what is being made there", hint="plan again", host=host.name, machine=move.machine
                )
            return host.uuid, machine.model_copy(update={"host": host.name})

    def _look(self, move: Move, here: list[MachineInfo], there: list[MachineInfo]) -> MoveResult | None:
        room = self._room
        for name, infos in ((move.source, here), (move.destination, there)):
            room.look(name, [self._as_seen(info, name) for info in infos])
        for other in self._on_their_way.values():
            machine = self._seen.get(other.id)
            if other.id != move.id and machine is not None:
                room.put(machine, other.source)
                room.put(machine, other.destination)
        machine = room.on[move.source].get(move.id)
        if machine is None:
            if move.id in room.on[move.destination]:
                return MoveResult(move=move, outcome=Outcome.THERE)
            return refused(move, f"machine {move.machine!r} isn't on {move.source} any more")
        before = self._seen.get(move.id)
        if before is not None and before.state is not machine.state:
            return refused(move, f"it was {before.state} and is {machine.state}")
        if machine.memory != move.memory:
            return refused(move, f"it had {move.memory} of memory and has {machine.memory}")
        why = room.refusal(machine, move.source, move.destination)
        room.put(machine, move.destination)
        return None if why is None else refused(move, why)

    def _as_seen(self, info: MachineInfo, host: str) -> SeenMachine:
        known = self._seen.get(info.id)
        if known is None:
            return machine_seen(info, host)
        facts = {"host": host, "state": info.state, "cpus": info.cpus, "memory": info.memory, "labels": info.labels}
        return known.model_copy(update=facts)

    def _change(self, move: Move) -> None:
        for name in (move.source, move.destination):
            self._changes[name] += 1


def refused(move: Move, why: str) -> MoveResult:
    """Return what came of a move that wasn't begun."""
    return MoveResult(move=move, outcome=Outcome.REFUSED, error=why)
