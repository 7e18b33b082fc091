"""A found order of moves as a plan: with reasons, costs, dependencies, and hosts before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.order import Step, dependencies
from vhal.fleet.balance.problem import Ints, Problem
from vhal.fleet.balance.score import Objective, busy_cpus
from vhal.fleet.cost import moved
from vhal.fleet.plan import Bound, HostChange, Move, Plan
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot


@dataclass(frozen=True)
class Told:
    """What there is to tell."""

    problem: Problem
    objective: Objective
    steps: Sequence[Step]
    why: dict[int, str]
    """Machine → why it must move; the others move for the score."""

    @cached_property
    def at(self) -> Ints:
        """Machine → host in the end."""
        found = self.problem.home.copy()
        for step in self.steps:
            found[step.machine] = step.destination
        return found


def write(
    snapshot: FleetSnapshot,
    told: Told,
    kind: Literal["balance", "repair"],
    notes: Sequence[str],
    bound: Bound | None,
    settings: BalanceSettings,
) -> Plan:
    """Return the plan of these steps."""
    return Plan(
        kind=kind,
        snapshot=snapshot.digest,
        moves=tuple(_moves(told)),
        hosts=tuple(_changes(told)),
        score=(told.objective.score(told.problem.home), told.objective.score(told.at)),
        bound=bound,
        settings=settings,
        notes=tuple(notes),
    )


def _moves(told: Told) -> Iterator[Move]:
    problem, layout = told.problem, Layout(told.objective)
    mean = told.objective.mean(problem.home)
    for step, after in zip(told.steps, dependencies(problem, told.steps), strict=True):
        machine = problem.machines[step.machine]
        source, destination = problem.hosts[step.source], problem.hosts[step.destination]
        before, off = layout.score, layout.off[[step.source, step.destination]].copy()
        layout.place(step.machine, step.destination)
        gain = before - layout.score
        shares = np.stack([off, layout.off[[step.source, step.destination]]]) + mean
        reason = told.why.get(step.machine) or _reason(told, step, gain, shares, mean)
        yield moved(machine, source, destination, reason, after, gain)


def _reason(told: Told, step: Step, gain: float, shares: np.ndarray, mean: np.ndarray) -> str:
    source, destination = (told.problem.hosts[place].name for place in (step.source, step.destination))
    if step.aside:
        return f"steps aside to {destination}, so that others find room on {source}; it goes on from there"
    off = np.abs(shares - mean)
    better = (off[0] ** 2 - off[1] ** 2).sum(axis=0) * told.objective.weight
    axis = int((better if gain > 0 else -better).argmax())
    (was, there), (becomes, will) = shares[:, :, axis].tolist()
    name = told.objective.axes[axis].name
    figures = f"{name} {source} {_share(was)} → {_share(becomes)}, {destination} {_share(there)} → {_share(will)}"
    end = f"the fleet's mean is {_share(float(mean[axis]))}"
    if gain > 0:
        return f"{figures}; {end}"
    return f"goes the other way, for what moves between {source} and others: {figures}; {end}"


def _share(value: float) -> str:
    return f"{value:.1%}" if abs(value) < 10 else f"{value:.1f}"


def _changes(told: Told) -> Iterator[HostChange]:
    problem, at = told.problem, told.at
    touched = sorted({place for step in told.steps for place in (step.source, step.destination)})
    busy = busy_cpus(problem)
    places = (problem.home, at)
    count = len(problem.hosts)
    machines = [np.bincount(each, minlength=count) for each in places]
    memory = [np.bincount(each, problem.need[:, 0], count) for each in places]
    vcpus = [np.bincount(each, problem.need[:, 1], count) for each in places]
    load = [np.bincount(each, busy[0], count) + busy[1] for each in places] if busy is not None else None
    for place in touched:
        host = problem.hosts[place]
        cpus, size = max(host.cpus, 1), max(host.memory, 1)
        yield HostChange(
            host=host.name,
            machines=(int(machines[0][place]), int(machines[1][place])),
            cpus=(float(vcpus[0][place]) / cpus, float(vcpus[1][place]) / cpus),
            memory=(float(memory[0][place]) / size, float(memory[1][place]) / size),
            load=None if load is None else (float(load[0][place]) / cpus, float(load[1][place]) / cpus),
        )
