"""What is no longer as it was when a plan was made, as far as the plan is concerned.

A fleet never stands still; what changed on hosts that a plan doesn't touch is no reason to refuse it.
"""

from __future__ import annotations

from vhal.errors import PlanOutdated
from vhal.fleet.plan import Move, Plan
from vhal.fleet.room import Room
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine

SHOWN = 5
"""So many differences are in the error's message; all of them are in its ``differences``."""


def refuse_outdated(plan: Plan, now: FleetSnapshot) -> None:
    """Return if the plan can be carried out as it is.

    Raises:
        vhal.errors.PlanOutdated: It can't; the message has the differences.
    """
    found = differences(plan, now)
    if found:
        shown = "; ".join(found[:SHOWN]) + ("; …" if len(found) > SHOWN else "")
        raise PlanOutdated(
            f"the fleet has changed since the plan was made: {shown}",
            hint="plan again, and look at the new plan",
            differences=found,
        )


def differences(plan: Plan, now: FleetSnapshot) -> list[str]:
    """Return what is in the way of the plan, a line each; an empty list if nothing is."""
    if plan.snapshot == now.digest:
        return []
    names = {host.name: host for host in now.hosts}
    machines = {machine.id: machine for machine in now.machines}
    found: list[str] = []
    for name in dict.fromkeys(host for move in plan.moves for host in (move.source, move.destination)):
        if name not in names:
            found.append(f"host {name} is gone")
        elif names[name].status is HostStatus.UNREACHABLE:
            found.append(f"host {name} is unreachable: {names[name].reason or 'it does not answer'}")
    first: dict[str, Move] = {}
    for move in plan.moves:
        first.setdefault(move.id, move)  # a machine may move twice, to make room in between
    for move in first.values():
        machine = machines.get(move.id)
        if machine is None:
            found.append(f"machine {move.machine} is gone")
        elif machine.host != move.source:
            found.append(f"machine {move.machine} was on {move.source} and is on {machine.host}")
        elif machine.memory != move.memory:
            found.append(f"machine {move.machine} had {move.memory} of memory and has {machine.memory}")
    for change in plan.hosts:
        count = len(now.on.get(change.host, ()))
        if change.host in names and count != change.machines[0]:
            found.append(f"host {change.host} had {_machines(change.machines[0])} and has {count}")
    return found or _refused(plan, now, machines)


def _refused(plan: Plan, now: FleetSnapshot, machines: dict[str, SeenMachine]) -> list[str]:
    room = Room(now)
    room.bound.update((move.id, move.destination) for move in plan.moves)
    for move in plan.moves:
        machine = machines[move.id]
        why = room.refusal(machine, move.source, move.destination)
        if why is not None:
            return [f"machine {move.machine} can't go to {move.destination} any more: {why}"]
        room.move(machine, move.source, move.destination)
    return []


def _machines(count: int) -> str:
    return f"{count} machine{'' if count == 1 else 's'}"
