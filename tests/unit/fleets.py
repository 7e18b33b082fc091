"""Small fleets made of data, for tests of what decides and what shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vhal.fleet.snapshot import FleetSnapshot, Load, SeenHost, SeenMachine
from vhal.fleet.watch.habit import Habit
from vhal.spec.units import Bytes

GIB = Bytes(1 << 30)


def host(name: str, **facts: Any) -> SeenHost:
    """A host of 16 processors and 64 GiB."""
    return SeenHost(**{"name": name, "uuid": name, "cpus": 16, "memory": 64 * GIB, "bandwidth": 1.25e9, **facts})


def machine(name: str, on: str, busy: float | None = None, **facts: Any) -> SeenMachine:
    """A machine of 2 processors and 4 GiB; ``busy`` is how many processors it uses."""
    load = None if busy is None else Load(cpus=busy, memory=GIB)
    return SeenMachine(**{"id": name, "name": name, "host": on, "cpus": 2, "memory": 4 * GIB, "load": load, **facts})


def fleet(*hosts: SeenHost, machines: list[SeenMachine] | None = None, **facts: Any) -> FleetSnapshot:
    """A snapshot of them."""
    return FleetSnapshot(hosts=hosts, machines=tuple(machines or ()), **facts)


def steady(snapshot: FleetSnapshot, variance: float = 0.01, weight: float = 100.0) -> Mapping[str, Habit]:
    """Habits of machines that always do what they do in the snapshot, more or less."""
    return {
        each.id: Habit(mean=each.load.cpus, variance=variance, weight=weight)
        for each in snapshot.machines
        if each.load is not None
    }
