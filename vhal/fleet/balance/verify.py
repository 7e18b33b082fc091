"""Does a plan keep every rule at every step? Told by going through it, machine by machine.

It shares nothing with what makes plans, needs no numpy, and is slow and simple on purpose: what a host has room for and
what a rule means is spelled out here again, so that a mistake there isn't made here, too. Tests hold it against every
plan; whoever carries one out may do so before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vhal.fleet.plan import Plan
from vhal.fleet.rules import Apart, Never, Only, Stay, Together
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine

TOLERANCE = 1e-6
"""Processors and bytes that sums of floats may be off by."""


def verify(plan: Plan, snapshot: FleetSnapshot) -> list[str]:
    """Return what is wrong with a plan for this fleet, in words; nothing if it is right.

    After each move, in order: the machine was where the move says, it may move, the host is up and has room, and no
    rule is broken more than it was. Then the same for every order that ``Move.after`` allows, as far as room goes: a
    destination must have room if all moves to it so far have come, and only those that it waits for have gone.
    """
    found: list[str] = []
    if plan.snapshot != snapshot.digest:
        found.append(f"it was made from another snapshot: {plan.snapshot}, not {snapshot.digest}")
    machines = {machine.id: machine for machine in snapshot.machines}
    at = {machine.id: machine.host for machine in snapshot.machines}
    broken = _broken(snapshot, at)
    for place, move in enumerate(plan.moves):
        where = f"move {place} ({move.machine} from {move.source} to {move.destination})"
        machine = machines.get(move.id)
        if machine is None or at[move.id] != move.source:
            found.append(f"{where}: the machine isn't there")
            continue
        found += [f"{where}: {why}" for why in _refused(snapshot, machine, move.destination)]
        at[move.id] = move.destination
        found += [f"{where}: {why}" for why in _without_room(snapshot, at, machines, move.destination)]
        now = _broken(snapshot, at)
        found += [f"{where}: it breaks {rule}" for rule, count in now.items() if count > broken[rule]]
        broken = now
        if any(earlier >= place for earlier in move.after):
            found.append(f"{where}: it waits for a move that isn't before it")
    return found + list(_unordered(plan, snapshot, machines))


def _refused(snapshot: FleetSnapshot, machine: SeenMachine, destination: str) -> Iterable[str]:
    if destination == machine.host:
        return  # back to where it was
    if not machine.movable:
        yield "the machine can't move"
    if any(isinstance(rule, Stay) and rule.machines.matches(machine.words) for rule in snapshot.rules):
        yield "a rule holds the machine"
    if snapshot.host(destination).status is not HostStatus.UP:
        yield f"{destination} is {snapshot.host(destination).status}"


def _without_room(
    snapshot: FleetSnapshot, at: dict[str, str], machines: dict[str, SeenMachine], host: str
) -> Iterable[str]:
    there = [machines[each] for each, place in at.items() if place == host]
    yield from _too_much(snapshot.host(host), there)


def _too_much(host: SeenHost, there: list[SeenMachine]) -> Iterable[str]:
    if sum(machine.memory for machine in there) > host.memory - host.reserved_memory + TOLERANCE:
        yield f"{host.name} hasn't the memory"
    cpus = (host.cpus - host.reserved_cpus) * host.overcommit
    if sum(machine.cpus for machine in there) > cpus + TOLERANCE:
        yield f"{host.name} hasn't the processors"
    wanted: Counter[str] = Counter()
    for machine in there:
        wanted.update(machine.gpus)
    if any(count > host.gpus.get(model, 0) for model, count in wanted.items() if model):
        yield f"{host.name} hasn't the GPUs of that model"
    if wanted.total() > sum(host.gpus.values()):
        yield f"{host.name} hasn't the GPUs"


def _broken(snapshot: FleetSnapshot, at: dict[str, str]) -> Counter[str]:
    """Return rule, as text, → how often it is broken."""
    found: Counter[str] = Counter()
    for number, rule in enumerate(snapshot.rules):
        name = f"rule {number} ({rule.kind} {rule.machines})"
        chosen = [machine for machine in snapshot.machines if rule.machines.matches(machine.words)]
        hosts = [snapshot.host(at[machine.id]) for machine in chosen]
        if isinstance(rule, Only | Never):
            inside = [rule.hosts.matches(host.words) for host in hosts]
            found[name] = sum(is_in is isinstance(rule, Never) for is_in in inside)
        elif isinstance(rule, Apart | Together):
            counts = Counter(domain for host in hosts if (domain := host.domain(rule.domain)) is not None)
            if isinstance(rule, Apart):
                found[name] = sum(count - 1 for count in counts.values())
            elif counts:
                found[name] = len(hosts) - max(counts.values())
    return found


def _unordered(plan: Plan, snapshot: FleetSnapshot, machines: dict[str, SeenMachine]) -> Iterable[str]:
    there = {host.name: [each.id for each in snapshot.machines if each.host == host.name] for host in snapshot.hosts}
    gone: dict[int, set[int]] = {}
    for place, move in enumerate(plan.moves):
        if move.id not in machines:
            continue
        waits = set(move.after)
        for earlier in move.after:
            waits |= gone.get(earlier, set())
        gone[place] = waits
        there[move.destination].append(move.id)
        left = Counter(plan.moves[each].id for each in waits if plan.moves[each].source == move.destination)
        # One that comes, goes and comes again is there once.
        held = {each for each, count in (Counter(there[move.destination]) - left).items() if count > 0}
        for why in _too_much(snapshot.host(move.destination), [machines[each] for each in held]):
            yield f"move {place} ({move.machine}): if it comes as early as it may, {why}"
