"""Moves in an order in which every one of them finds its room, and no rule is broken on the way.

A machine takes room at its destination before it gives it back at its source. Where machines wait for each other in a
circle, one of them steps aside to a third host and goes on later; where there is none, it stays, and is told of. What
is to be where in the end was decided before; this only finds the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import SLACK, Ints, Problem
from vhal.fleet.balance.score import Objective


@dataclass(frozen=True)
class Step:
    """One move at its place in the order."""

    machine: int
    source: int
    destination: int
    aside: bool = False
    """It only makes room: the machine goes on from there later."""


def order(objective: Objective, at: Ints, *, hops: int | None = None) -> tuple[list[Step], list[int]]:
    """Return the steps that bring machines to these hosts, and the machines that stay because there is no way.

    Those that do most good go first, so that a plan that is stopped was worth it.

    Args:
        objective: What is to be even.
        at: Machine → host in the end.
        hops: How many machines may step aside; any number by default.
    """
    layout = Layout(objective)
    waiting = np.flatnonzero(at != layout.at)
    sums, squares = layout.changes(waiting, at[waiting])
    after = layout.score_of(layout.sums + sums, layout.squares + squares)
    queue = waiting[np.argsort(after, kind="stable")].tolist()
    steps: list[Step] = []
    stays: list[int] = []
    while queue:
        blocked = [machine for machine in queue if not _go(layout, machine, int(at[machine]), steps)]
        if len(blocked) == len(queue):
            free = hops is None or sum(step.aside for step in steps) < hops
            if not (free and _step_aside(layout, blocked, at, steps)):
                stays.append(_stay(layout, blocked))
        queue = blocked
    return steps, stays


def _go(layout: Layout, machine: int, host: int, steps: list[Step]) -> bool:
    if not layout.fits(machine, host):
        return False
    steps.append(Step(machine, int(layout.at[machine]), host))
    layout.place(machine, host)
    return True


def _step_aside(layout: Layout, blocked: list[int], at: Ints, steps: list[Step]) -> bool:
    problem = layout.problem
    gone = {step.machine for step in steps if step.aside}
    wanted = {int(at[machine]) for machine in blocked}
    # The smallest that stands on a host somebody waits for.
    for machine in sorted(blocked, key=lambda each: (problem.memory[each], each)):
        if int(layout.at[machine]) not in wanted or machine in gone:
            continue
        hosts = layout.may(machine)
        hosts[at[machine]] = False
        if hosts.any():
            host = int(np.where(hosts, layout.free[:, 0], -np.inf).argmax())
            steps.append(Step(machine, int(layout.at[machine]), host, aside=True))
            layout.place(machine, host)
            return True
    return False


def _stay(layout: Layout, blocked: list[int]) -> int:
    """Give up the smallest of those that wait; one that has stepped aside stays where it is."""
    machine = min(blocked, key=lambda each: (layout.problem.memory[each], each))
    blocked.remove(machine)
    return machine


def dependencies(problem: Problem, steps: Sequence[Step]) -> list[tuple[int, ...]]:
    """Return, for each step, the places of the steps that must be over before it.

    With these, steps may run at once and in any order: all machines that come to a host before in the order are
    counted as there, and only those that a step waits for as gone.
    """
    free = problem.free(problem.home)
    slack = SLACK * np.maximum(problem.room.max(axis=0, initial=0.0), 1.0)
    come = np.zeros_like(free)
    left: dict[int, list[int]] = {}
    parted: dict[tuple[int, int], list[int]] = {}
    last: dict[int, int] = {}
    found: list[tuple[int, ...]] = []
    for place, step in enumerate(steps):
        host, need = step.destination, problem.need[step.machine]
        before = {last[step.machine]} if step.machine in last else set()
        come[host] += need
        short = come[host] - free[host] - slack
        for leaving in left.get(host, ()):
            if not (short > 0).any():
                break
            before.add(leaving)
            short = short - problem.need[steps[leaving].machine]
        for rule in problem.apart.get(step.machine, ()):
            domain = problem.separations[rule].domain
            before.update(parted.get((rule, int(domain[host])), ()) if domain[host] >= 0 else ())
            parted.setdefault((rule, int(domain[step.source])), []).append(place)
        found.append(tuple(sorted(before)))
        left.setdefault(step.source, []).append(place)
        last[step.machine] = place
    return found
