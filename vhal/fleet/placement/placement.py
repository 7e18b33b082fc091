"""Where a machine goes: filters leave the hosts that can take it, scores choose among them.

A pure function of a snapshot, of what else is being made at this moment (:mod:`vhal.fleet.placement.claims`), and of
what the engines said. Who asks the engines and makes the machine is :mod:`vhal.fleet.placement.creation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vhal.driver.placement import Candidate, PlacementFilter, PlacementScore
from vhal.fleet.placement import filters, scores
from vhal.fleet.placement.explanation import Explanation, Verdict
from vhal.fleet.placement.extension import Extensions
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineSpec
from vhal.spec.units import Bytes

NOTHING = Extensions()


def explain(
    spec: MachineSpec,
    snapshot: FleetSnapshot,
    policy: scores.Policy = "balance",
    on: Selector | None = None,
    *,
    coming: Iterable[SeenMachine] = (),
    engine: Mapping[str, str] | None = None,
    extensions: Extensions = NOTHING,
) -> Explanation:
    """Return which host a machine goes to, and what was said of each.

    Of two that are equally good it is the one that is named first in the fleet.

    Args:
        spec: What it shall be.
        snapshot: Of the fleet.
        policy: What a good host is.
        on: Which hosts are wanted; None for all.
        coming: Machines that are being made, and aren't in the snapshot: they take room, and rules are about them.
        engine: Host → what its engine has against it.
        extensions: What plugins bring.

    Raises:
        vhal.errors.InvalidSpec: There is no such policy.
    """
    rated = (*scores.built_in(policy), *extensions.scores)
    whole = _with(snapshot, coming)
    asked = (*filters.built_in(whole, on or Selector(), engine or {}), *extensions.filters)
    failed: dict[str, str] = {}
    found = [_verdict(candidate(host, whole.on[host.name]), spec, asked, rated, failed) for host in whole.hosts]
    found.sort(key=lambda verdict: (not verdict.fits, -verdict.total))
    return Explanation(
        machine=spec.name,
        policy=policy,
        verdicts=tuple(found),
        larger=_larger(spec, whole) if not any(verdict.fits for verdict in found) else "",
        notes=(*extensions.problems, *failed.values()),
    )


def candidate(host: SeenHost, machines: Sequence[SeenMachine]) -> Candidate:
    """Return a host as filters and scores see it."""
    held: dict[str, int] = dict(host.gpus)
    for machine in machines:
        for model, count in machine.gpus.items():
            fitting = [name for name in held if model.lower() in name.lower()]
            if fitting:
                held[max(fitting, key=held.__getitem__)] -= count
    active = [machine for machine in machines if machine.state.active]
    busy = sum(machine.load.cpus for machine in active if machine.load is not None)
    known = all(machine.load is not None for machine in active)
    return Candidate(
        name=host.name,
        backend=host.backend,
        labels=host.labels,
        cpus=host.cpus_to_give,
        memory=host.memory_to_give,
        held_cpus=sum(machine.cpus for machine in machines),
        held_memory=sum(machine.memory for machine in machines),
        busy_cpus=host.load.cpus if host.load is not None else busy if known else None,
        processors=host.cpus,
        gpus={model: max(0, count) for model, count in held.items()},
        machines=tuple(machine.words for machine in machines),
    )


def _with(snapshot: FleetSnapshot, coming: Iterable[SeenMachine]) -> FleetSnapshot:
    names = {host.name for host in snapshot.hosts}
    there = {(machine.host, machine.name) for machine in snapshot.machines}
    more = [each for each in coming if each.host in names and (each.host, each.name) not in there]
    if not more:
        return snapshot
    return FleetSnapshot.trusted(
        taken_s=snapshot.taken_s,
        hosts=snapshot.hosts,
        machines=(*snapshot.machines, *more),
        rules=snapshot.rules,
    )


def _verdict(
    host: Candidate,
    spec: MachineSpec,
    asked: Sequence[PlacementFilter],
    rated: Sequence[PlacementScore],
    failed: dict[str, str],
) -> Verdict:
    against: dict[str, str] = {}
    for each in asked:
        said = _against(each, host, spec)
        if said:
            against[each.name] = said
            if each is asked[0]:
                break  # of a host that isn't to be used, nothing else is worth saying, and perhaps nothing is known
    if against:
        return Verdict(host=host.name, against=FrozenDict(against))
    rates = {each.name: _rate(each, host, spec, failed) for each in rated}
    total = sum(each.weight * rates[each.name] for each in rated)
    return Verdict(host=host.name, scores=FrozenDict(rates), total=total)


def _against(each: PlacementFilter, host: Candidate, spec: MachineSpec) -> str:
    """Return what a filter says. One that fails says no: what it was to keep away might be right there."""
    try:
        said: object = each.against(host, spec)
    except Exception as error:  # noqa: BLE001 - a plugin's may raise anything
        return f"couldn't be judged: the filter failed with {type(error).__name__}: {error}"
    return said if isinstance(said, str) else f"couldn't be judged: the filter said {type(said).__name__}, not a text"


def _rate(each: PlacementScore, host: Candidate, spec: MachineSpec, failed: dict[str, str]) -> float:
    """Return what a score says; one that fails counts nothing, and is noted."""
    try:
        rate = float(each.rate(host, spec))
    except Exception as error:  # noqa: BLE001 - a plugin's may raise anything
        failed[each.name] = f"score {each.name!r} counts nothing: it failed with {type(error).__name__}: {error}"
        return 0.0
    if 0 <= rate <= 1:
        return rate
    failed[each.name] = f"score {each.name!r} counts nothing where it isn't between 0 and 1: it said {rate:g}"
    return 0.0


def _larger(spec: MachineSpec, snapshot: FleetSnapshot) -> str:
    """Return by what a machine is larger than any host that is known, or an empty text."""
    known = [candidate(host, ()) for host in snapshot.hosts if host.status is not HostStatus.UNREACHABLE]
    if not known:
        return ""
    memory, cpus = max(host.memory for host in known), max(host.cpus for host in known)
    said = []
    if spec.memory.size > memory:
        said.append(f"it wants {spec.memory.size} of memory, and the largest has {Bytes(memory)}")
    if spec.cpus.count > cpus:
        said.append(f"it wants {spec.cpus.count} virtual processors, and the largest has {cpus:g}")
    return "; ".join(said)
