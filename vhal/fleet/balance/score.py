"""How uneven a fleet is: one number, and where it comes from. Lower is better, 0 is perfectly even.

A score is a weighted sum over axes of the standard deviation, over hosts, of what is taken of a host by what it has.
That is the form of Ganeti's ``hbal`` too (``Ganeti/HTools/Cluster/Metrics.hs``), so one scorer does for both. It
doesn't say what should move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vhal.fleet.balance.problem import Floats, Ints, Problem
from vhal.fleet.formats.ganeti import yardstick
from vhal.fleet.snapshot import Load


@dataclass(frozen=True)
class Axis:
    """One thing that shall be even."""

    name: str
    weight: float
    amount: Floats
    """Machine → how much it takes."""
    base: Floats
    """Host → how much is taken whatever machines are there."""
    size: Floats
    """Host → how much there is."""

    def alike(self, other: Axis) -> bool:
        """Return whether another axis always has the same deviation."""
        return all(np.array_equal(getattr(self, each), getattr(other, each)) for each in ("amount", "base", "size"))


class Objective:
    """What shall be even on the hosts of a problem.

    Args:
        problem: The hosts and machines.
        axes: What shall be even. Axes that are alike are made one.
    """

    def __init__(self, problem: Problem, axes: tuple[Axis, ...]) -> None:
        self.problem = problem
        merged: list[Axis] = []
        for axis in axes:
            same = next((place for place, known in enumerate(merged) if known.alike(axis)), None)
            if same is None:
                merged.append(axis)
            else:
                known = merged[same]
                merged[same] = replace(known, name=f"{known.name}, {axis.name}", weight=known.weight + axis.weight)
        self.axes = tuple(merged)
        self.weight = np.array([axis.weight for axis in merged])
        self.amount = np.column_stack([axis.amount for axis in merged])
        self.base = np.column_stack([axis.base for axis in merged])
        size = np.column_stack([axis.size for axis in merged])
        counted = problem.counted[:, None] & (size > 0)
        self.per = np.where(counted, 1.0 / np.where(size > 0, size, 1.0), 0.0)
        """Host × axis: by how much one unit of amount raises the host's share; 0 on a host that doesn't count."""
        self.largest = self.amount.max(axis=0, initial=0.0) * self.per.max(axis=0, initial=0.0)
        """Axis → no machine raises a host's share by more."""
        self.count = max(int(problem.counted.sum()), 1)

    @cached_property
    def alike(self) -> bool:
        """Whether a machine is the same share of every host that counts."""
        per = self.per[self.problem.counted]
        return bool((per == per[:1]).all())

    @cached_property
    def moments(self) -> NDArray[np.float32]:
        """Machine × axes and axes again: its amounts, and their squares, for estimates."""
        return np.hstack([self.amount, self.amount**2]).astype(np.float32)

    def shares(self, at: Ints) -> Floats:
        """Return host × axis: what is taken by what there is, with machines at these hosts."""
        taken = self.base.copy()
        np.add.at(taken, at, self.amount)
        shares: Floats = taken * self.per
        return shares

    def mean(self, at: Ints) -> Floats:
        """Return axis → the mean share of the hosts that count."""
        counted = self.problem.counted
        found: Floats = self.shares(at)[counted].sum(axis=0) / max(int(counted.sum()), 1)
        return found

    def centred(self, shares: Floats) -> Floats:
        """Return host × axis without its mean: summing to 0 over the hosts that count, and 0 on others."""
        counted = self.problem.counted[:, None]
        inside = np.where(counted, shares, 0.0)
        return np.where(counted, inside - inside.sum(axis=0) / self.count, 0.0)

    def spread(self, at: Ints) -> Floats:
        """Return axis → the standard deviation over the hosts that count."""
        found: Floats = self.shares(at)[self.problem.counted].std(axis=0)
        return found

    def score(self, at: Ints) -> float:
        """Return how uneven it is with machines at these hosts."""
        if not self.problem.counted.any():
            return 0.0
        return float(self.weight @ self.spread(at))


def even(problem: Problem) -> Objective:
    """Return vhal's own: memory given away, virtual processors by processors, and processors busy where it is known.

    What is busy counts twice: it is what makes a host hot. A running machine whose load isn't known is taken to be as
    busy as the others are on average, by virtual processor; if none is known, the axis is left out.
    """
    hosts = problem.hosts
    cpus = np.array([host.cpus for host in hosts], float)
    memory = np.array([host.memory for host in hosts], float)
    reserved = np.array([host.reserved_memory for host in hosts], float)
    axes = [
        Axis("memory", 1.0, problem.need[:, 0], reserved, memory),
        Axis("cpus", 1.0, problem.need[:, 1], np.zeros(len(hosts)), cpus),
    ]
    busy = busy_cpus(problem)
    if busy is not None:
        axes.append(Axis("load", 2.0, *busy, cpus))
    return Objective(problem, tuple(axes))


def busy_cpus(problem: Problem) -> tuple[Floats, Floats] | None:
    """Return how many processors each machine keeps busy, and each host beside its machines; None if nobody knows."""
    known = [machine.load is not None for machine in problem.machines]
    told = any(host.load is not None for host in problem.hosts)
    if not any(known) and not told:
        return None
    busy = np.array([machine.load.cpus if machine.load is not None else 0.0 for machine in problem.machines])
    runs = np.array([machine.state.active for machine in problem.machines], bool)
    seen = np.array(known, bool)
    vcpus = problem.need[:, 1]
    given = vcpus[seen & runs].sum()
    if given:
        unknown = runs & ~seen
        busy[unknown] = vcpus[unknown] * (busy[seen & runs].sum() / given)
    on = np.bincount(problem.home, busy, len(problem.hosts))
    base = np.array([0.0 if host.load is None else host.load.cpus for host in problem.hosts]) - on
    return busy, np.maximum(base, 0.0)


def ganeti(problem: Problem, load: str = "ignore") -> Objective:
    """Return hbal's, for instances on shared storage, in one of its three modes.

    Its terms for disks and spindles are 0 there. Its own and its "forthcoming" terms for memory and processors are
    equal, and half each.

    Args:
        problem: The hosts and machines.
        load: ``ignore`` as ``--ignore-dynu``, ``util`` as ``-U FILE``, ``default`` as neither: each instance's load
            is 1 on four axes.
    """
    hosts, machines = problem.hosts, problem.machines
    memory = np.array([host.memory for host in hosts], float)
    cpus = np.array([host.cpus for host in hosts], float)
    own = np.array([host.reserved_cpus * host.overcommit for host in hosts])
    reserved = np.array([host.reserved_memory for host in hosts], float)
    axes = [
        Axis("memory", 1.0, problem.need[:, 0], reserved, memory),
        Axis("cpus", 1.0, problem.need[:, 1], own, cpus),
    ]
    if load != "ignore":
        unit = yardstick(hosts)
        one = Load(cpus=unit.cpus, memory=unit.memory, disk=unit.disk, network=unit.network)
        loads = [one if load == "default" or machine.load is None else machine.load for machine in machines]
        nothing, whole = np.zeros(len(hosts)), np.ones(len(hosts))
        for name in ("cpus", "memory", "disk", "network"):
            amount = np.array([getattr(each, name) for each in loads], float) / getattr(unit, name)
            axes.append(Axis(f"{name} load", 1.0, amount, nothing, whole))
    return Objective(problem, tuple(axes))


def objective(problem: Problem, name: str) -> Objective:
    """Return the objective that settings name."""
    if name == "even":
        return even(problem)
    return ganeti(problem, {"ganeti": "ignore", "ganeti-util": "util", "ganeti-default": "default"}[name])
