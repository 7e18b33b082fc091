"""A snapshot as numbers: what machines need, what hosts have, and who may go where.

Only what can be planned with is in it: hosts that answer, and the machines on them. It doesn't say what is good; that
is :mod:`vhal.fleet.balance.score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vhal.fleet.rules import Apart, Never, Only, Stay, Together
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.state import MachineState

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

SLACK = 1e-9
"""Relative error that sums of floats may have."""
_MOVING = frozenset({MachineState.RUNNING, MachineState.PAUSED})


@dataclass(frozen=True)
class Separation:
    """A rule that keeps machines apart, as numbers."""

    name: str
    members: Ints
    domain: Ints
    """Host → its domain, or -1 if it is in none."""


@dataclass(frozen=True)
class Problem:
    """What is to be planned."""

    hosts: tuple[SeenHost, ...]
    machines: tuple[SeenMachine, ...]
    home: Ints
    """Machine → its host."""
    need: Floats
    """Machine × resource: memory, virtual processors, GPUs of each model, GPUs in all."""
    room: Floats
    """Host × resource: what machines may get of it, in all."""
    counted: Bools
    """Host → whether it is among those that shall be even."""
    open: Bools
    """Host → whether it takes machines."""
    movable: Bools
    """Machine → whether a plan may move it."""
    zone: Ints
    """Machine → row of ``zones``."""
    zones: Bools
    """Zone × host → whether rules let its machines be there."""
    separations: tuple[Separation, ...]

    @cached_property
    def apart(self) -> dict[int, tuple[int, ...]]:
        """Machine → the separations that it is a member of; those of none are left out."""
        found: dict[int, list[int]] = {}
        for place, separation in enumerate(self.separations):
            for member in separation.members.tolist():
                found.setdefault(member, []).append(place)
        return {member: tuple(places) for member, places in found.items()}

    @cached_property
    def memory(self) -> Floats:
        """Machine → its memory, GiB."""
        return self.need[:, 0] / (1 << 30)

    def free(self, at: Ints) -> Floats:
        """Return host × resource: what is left with machines at these hosts; negative where too much was given."""
        used = np.zeros_like(self.room)
        np.add.at(used, at, self.need)
        return self.room - used

    @classmethod
    def of(
        cls,
        snapshot: FleetSnapshot,
        *,
        stay: Sequence[Selector] = (),
        cool_down_s: float = 0.0,
    ) -> Problem:
        """Return the problem of a snapshot.

        Hosts that don't answer are left out, with their machines. Machines that don't run, are held by a rule, moved
        a moment ago, or can't move, are in it and stay.

        Args:
            snapshot: The fleet.
            stay: Machines that shall not move.
            cool_down_s: A machine that moved less than this ago stays.
        """
        hosts = tuple(host for host in snapshot.hosts if host.status is not HostStatus.UNREACHABLE)
        number = {host.name: place for place, host in enumerate(hosts)}
        machines = tuple(machine for machine in snapshot.machines if machine.host in number)
        home = np.fromiter((number[machine.host] for machine in machines), np.intp, len(machines))
        draining = np.array([host.status is HostStatus.DRAINING for host in hosts], bool)
        held = [*stay, *(rule.machines for rule in snapshot.rules if isinstance(rule, Stay))]
        since = snapshot.taken_s - cool_down_s
        movable = np.fromiter(
            (
                machine.movable
                and machine.state in _MOVING
                and (machine.moved_s is None or machine.moved_s <= since)
                and not any(selector.matches(machine.words) for selector in held)
                for machine in machines
            ),
            bool,
            len(machines),
        )
        need, room = _sizes(hosts, machines)
        zone, zones = _zones(snapshot, hosts, machines, home)
        return cls(
            hosts=hosts,
            machines=machines,
            home=home,
            need=need,
            room=room,
            counted=~draining,
            open=np.array([host.status is HostStatus.UP for host in hosts], bool),
            movable=movable,
            zone=zone,
            zones=zones,
            separations=tuple(
                Separation(
                    rule.name or str(rule.machines), _chosen(rule.machines, machines), _domains(hosts, rule.domain)
                )
                for rule in snapshot.rules
                if isinstance(rule, Apart)
            ),
        )


def _sizes(hosts: Sequence[SeenHost], machines: Sequence[SeenMachine]) -> tuple[Floats, Floats]:
    models = sorted({model for gpus in _gpus(hosts, machines) for model in gpus} - {""})
    some = any(map(bool, _gpus(hosts, machines)))
    need = np.empty((len(machines), 2 + len(models) + some))
    room = np.empty((len(hosts), need.shape[1]))
    need[:, 0] = [machine.memory for machine in machines]
    need[:, 1] = [machine.cpus for machine in machines]
    room[:, 0] = [host.memory_to_give for host in hosts]
    room[:, 1] = [host.cpus_to_give for host in hosts]
    for place, model in enumerate(models, 2):
        need[:, place] = [machine.gpus.get(model, 0) for machine in machines]
        room[:, place] = [host.gpus.get(model, 0) for host in hosts]
    if some:
        # A machine that takes any GPU is held to the sum; with each model's own limit that is exact.
        need[:, -1] = [sum(machine.gpus.values()) for machine in machines]
        room[:, -1] = [sum(host.gpus.values()) for host in hosts]
    return need, room


def _gpus(hosts: Sequence[SeenHost], machines: Sequence[SeenMachine]) -> Iterator[Mapping[str, int]]:
    yield from (host.gpus for host in hosts)
    yield from (machine.gpus for machine in machines)


def _chosen(selector: Selector, machines: Sequence[SeenMachine]) -> Ints:
    return np.array([place for place, machine in enumerate(machines) if selector.matches(machine.words)], np.intp)


def _domains(hosts: Sequence[SeenHost], key: str) -> Ints:
    number: dict[str, int] = {}
    names = [host.domain(key) for host in hosts]
    return np.array([-1 if name is None else number.setdefault(name, len(number)) for name in names], np.intp)


def _zones(
    snapshot: FleetSnapshot, hosts: Sequence[SeenHost], machines: Sequence[SeenMachine], home: Ints
) -> tuple[Ints, Bools]:
    limits: list[tuple[Ints, Bools]] = []
    for rule in snapshot.rules:
        if isinstance(rule, Only | Never):
            inside = np.array([rule.hosts.matches(host.words) for host in hosts], bool)
            limits.append((_chosen(rule.machines, machines), inside if isinstance(rule, Only) else ~inside))
        elif isinstance(rule, Together):
            limits += _together(_chosen(rule.machines, machines), _domains(hosts, rule.domain), home)
    zones = np.ones((1, len(hosts)), bool)
    zone = np.zeros(len(machines), np.intp)
    for members, allowed in limits:
        # Each zone that has members is split in two: those of them that this limit is for, and the others.
        for old in np.unique(zone[members]):
            zones = np.vstack([zones, zones[old] & allowed])
            zone[members[zone[members] == old]] = len(zones) - 1
    return zone, zones


def _together(members: Ints, domain: Ints, home: Ints) -> Iterable[tuple[Ints, Bools]]:
    # They can only move within their domain, since they move one by one; where they are in several, all go to the one
    # that most of them are in.
    within = domain[home[members]]
    known = within[within >= 0]
    if len(known):
        yield members, domain == np.bincount(known).argmax()
