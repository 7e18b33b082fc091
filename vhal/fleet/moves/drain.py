"""Empties hosts for maintenance, over all others at once, and brings back what was taken away.

The plans are data and carried out by :mod:`vhal.fleet.moves.apply`. A host that is dead is another matter:
:mod:`vhal.fleet.moves.evacuate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vhal.errors import HostUnreachable, InsufficientResources, InvalidSpec, NotFound
from vhal.fleet.cost import moved
from vhal.fleet.moves.applied import MoveResult
from vhal.fleet.moves.emptying import LEFT, Emptying, changes
from vhal.fleet.moves.works import PLAN, hosts
from vhal.fleet.plan import Move, Plan
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.journal import Journal, StepState


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
        vhal.errors.InvalidSpec: One is unreachable.
        vhal.errors.InsufficientResources: No other host is up; or, with ``strict``, a machine finds no place.
    """
    emptied = tuple(dict.fromkeys(hosts))
    draining = _draining(snapshot, emptied)
    if not any(host.status is HostStatus.UP for host in draining.hosts) and any(snapshot.on[name] for name in emptied):
        raise InsufficientResources(
            f"{', '.join(emptied)} can't be drained: no other host takes machines",
            hint="leave one of them out, or let another be used again: 'vhal fleet uncordon', 'vhal fleet restore'",
        )
    search = Emptying(draining, emptied, "is being drained")
    search.run()
    left = [note.removeprefix(LEFT) for note in search.notes]
    if left and strict:
        raise InsufficientResources(
            f"{len(left)} of {len(left) + len(search.moves)} machines find no place: {'; '.join(left)}",
            hint="make room, or leave them where they are: without strict the others are moved",
        )
    return Plan(
        kind="drain",
        snapshot=snapshot.digest,
        emptied=emptied,
        moves=tuple(search.moves),
        hosts=changes(snapshot, search.room, search.moves),
        notes=tuple(search.notes) if search.moves or left else (f"{', '.join(emptied)}: there is nothing to move",),
    )


def plan_restore(snapshot: FleetSnapshot, host: str, journal: Journal, *, empty: bool = False) -> Plan:
    """Return a plan that brings back to ``host`` what its last drain took away, as far as it still fits.

    The host counts as up, whatever it is marked as in the snapshot.

    Args:
        snapshot: The fleet.
        host: Its name.
        journal: Where the drain was written down.
        empty: Bring nothing back; only let the host be used again.

    Raises:
        vhal.errors.NotFound: There is no such host, or the journal knows of no drain of it.
        vhal.errors.HostUnreachable: It doesn't answer.
    """
    _known(snapshot, [host])
    if snapshot.host(host).status is HostStatus.UNREACHABLE:
        raise HostUnreachable(
            f"host {host} can't be filled again: {snapshot.host(host).reason or 'it does not answer'}",
            hint="restore it when it answers",
            host=host,
        )
    digest, snapshot = snapshot.digest, snapshot.marked([host], HostStatus.UP)
    taken = [] if empty else _taken(journal, host, snapshot.host(host).uuid)
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
    if not moves and not empty:
        notes.append(f"nothing is to be brought back to {host}")
    return Plan(
        kind="restore",
        snapshot=digest,
        restored=(host,),
        moves=tuple(moves),
        hosts=changes(snapshot, room, moves),
        notes=tuple(notes),
    )


def _draining(snapshot: FleetSnapshot, emptied: Sequence[str]) -> FleetSnapshot:
    _known(snapshot, emptied)
    for name in emptied:
        host = snapshot.host(name)
        if host.status is HostStatus.UNREACHABLE:
            raise InvalidSpec(
                f"host {name} can't be drained: it is unreachable: {host.reason or 'it does not answer'}",
                hint="once it is surely dead, 'vhal fleet evacuate' can start its machines elsewhere",
                host=name,
            )
    return snapshot.marked(emptied, HostStatus.DRAINING)


def _known(snapshot: FleetSnapshot, names: Sequence[str]) -> None:
    there = [host.name for host in snapshot.hosts]
    for name in names:
        if name not in there:
            raise NotFound(
                f"there is no host {name!r} in the fleet", hint=f"there are {', '.join(there[:20])}", host=name
            )


def _taken(journal: Journal, host: str, uuid: str) -> list[MoveResult]:
    """Return what the last drain moved off a host: all of it, if it took several plans until the host was empty."""
    taken: dict[str, MoveResult] = {}
    found = False
    for work in reversed(journal.works(PLAN)):
        if host in work.data["emptied"] and hosts(work).get(host, uuid) == uuid:
            found = True
            results = [
                MoveResult(move=Move(**step.data), **step.note) for step in work.steps if step.state is StepState.ENDED
            ]
            own = {
                result.move.id: result for result in results if result.outcome.arrived and result.move.source == host
            }
            taken = {**own, **taken}
            if host not in work.data.get("again", ()):
                break
    if found:
        return list(taken.values())
    raise NotFound(
        f"the journal {journal.path} knows of no drain of {host}",
        hint="only the last drains are kept; 'vhal fleet uncordon' lets it be used, 'vhal fleet plan' fills it",
        host=host,
    )
