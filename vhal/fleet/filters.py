"""Which hosts a machine may not go to, and why: the built-in filters of placement.

Each is a pure function of a snapshot. What the engine itself says is handed in; how good a host is that passes all of
them is :mod:`vhal.fleet.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from vhal.driver.placement import Candidate, PlacementFilter
from vhal.fleet.rules import Apart, Never, Only, Rule, Together
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.spec.machine import MachineSpec
from vhal.spec.units import Bytes


def built_in(snapshot: FleetSnapshot, on: Selector, engine: Mapping[str, str]) -> tuple[PlacementFilter, ...]:
    """Return the filters in the order in which they are asked.

    Args:
        snapshot: What they look at.
        on: Which hosts are wanted.
        engine: Host → what its engine has against it; nothing where it has nothing against it, or wasn't asked.
    """

    def status(candidate: Candidate, spec: MachineSpec) -> str:
        host = snapshot.host(candidate.name)
        if host.status is HostStatus.UP:
            return ""
        return f"is {host.status}" + (f": {host.reason}" if host.reason else "")

    def labels(candidate: Candidate, spec: MachineSpec) -> str:
        return "" if on.matches(snapshot.host(candidate.name).words) else f"isn't {on}"

    @cache
    def places(number: int) -> Mapping[str | None, str]:
        return _places(snapshot, snapshot.rules[number])

    def rules(candidate: Candidate, spec: MachineSpec) -> str:
        return next(_broken(snapshot, candidate.name, spec, places), "")

    def says(candidate: Candidate, spec: MachineSpec) -> str:
        return engine.get(candidate.name, "")

    return (
        PlacementFilter("status", status),
        PlacementFilter("labels", labels),
        PlacementFilter("room", room),
        PlacementFilter("gpus", gpus),
        PlacementFilter("rules", rules),
        PlacementFilter("engine", says),
    )


def room(candidate: Candidate, spec: MachineSpec) -> str:
    """Say what is missing of memory and processors."""
    memory, cpus = candidate.memory - candidate.held_memory, candidate.cpus - candidate.held_cpus
    missing = []
    if spec.memory.size > memory:
        missing.append(f"{Bytes(max(0, memory))} of its {Bytes(candidate.memory)} of memory left")
    if spec.cpus.count > cpus:
        missing.append(f"{max(0.0, cpus):g} of its {candidate.cpus:g} virtual processors left")
    return f"has {' and '.join(missing)}" if missing else ""


def gpus(candidate: Candidate, spec: MachineSpec) -> str:
    """Say what is missing of whole GPUs. Of those that ask for a part, only the engine knows whether there is one."""
    left = dict(candidate.gpus)
    # Those that want a certain model choose first.
    for gpu in sorted(spec.gpus, key=lambda gpu: gpu.model is None):
        fitting = [name for name in left if gpu.model is None or gpu.model.lower() in name.lower()]
        if gpu.cdi is not None:
            continue
        if not fitting:
            return f"has no {gpu.model or 'GPU'}"
        if gpu.profile is None and gpu.share is None:
            free = max(fitting, key=left.__getitem__)
            if left[free] < 1:
                return f"has no {gpu.model or 'GPU'} left"
            left[free] -= 1
    return ""


def _broken(
    snapshot: FleetSnapshot, host: str, spec: MachineSpec, places: Callable[[int], Mapping[str | None, str]]
) -> Iterator[str]:
    """Yield what is against ``host`` of each rule that the machine would break there.

    Args:
        snapshot: With the rules.
        host: Its name.
        spec: Of the machine.
        places: Number of a rule → what :func:`_places` says of it.
    """
    facts = {"name": spec.name, "id": "", "host": host, "kind": str(spec.kind), "state": "stopped"}
    words = {**spec.labels, **facts}
    there = snapshot.host(host)
    for number, rule in enumerate(snapshot.rules):
        if not rule.machines.matches(words):
            continue
        name = repr(rule.name or f"{rule.kind} {rule.machines}")
        if isinstance(rule, Only) and not rule.hosts.matches(there.words):
            yield f"isn't {rule.hosts}, where rule {name} wants it"
        elif isinstance(rule, Never) and rule.hosts.matches(there.words):
            yield f"is {rule.hosts}, where rule {name} doesn't want it"
        elif isinstance(rule, (Apart, Together)):
            domain, others = there.domain(rule.domain), places(number)
            beside = None if domain is None else others.get(domain)
            if isinstance(rule, Apart) and beside is not None:
                yield f"is in the {rule.domain} of {beside}, from which rule {name} keeps it apart"
            if isinstance(rule, Together) and others and beside is None:
                yield f"isn't in the {rule.domain} of {next(iter(others.values()))}, where rule {name} wants it"


def _places(snapshot: FleetSnapshot, rule: Rule) -> Mapping[str | None, str]:
    """Return domain → one of the machines in it that a rule chooses."""
    found: dict[str | None, str] = {}
    if isinstance(rule, (Apart, Together)):
        for machine in snapshot.machines:
            if rule.machines.matches(machine.words):
                found.setdefault(snapshot.host(machine.host).domain(rule.domain), machine.name)
    return found
