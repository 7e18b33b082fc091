"""Which hosts a machine may not go to, and why: the built-in filters of placement.

Each is a pure function of a snapshot. What the engine itself says is handed in; how good a host is that passes all of
them is :mod:`vhal.fleet.placement.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vhal.driver.placement import Candidate, PlacementFilter
from vhal.fleet.placement.coming import coming
from vhal.fleet.room import Room
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

    places = Room(snapshot)

    def rules(candidate: Candidate, spec: MachineSpec) -> str:
        return places.ruled_out(coming(spec, candidate.name), None, candidate.name) or ""

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
