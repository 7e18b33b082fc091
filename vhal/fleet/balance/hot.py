"""Machines off hot hosts, until none is hot: no more, however uneven the fleet is.

From the hottest host goes the machine with the least memory of those that are enough; where none is, the busiest
(Beloglazov and Buyya, "Optimal online deterministic algorithms …", 2012, choose by migration time alike). It goes where
the score becomes least, among hosts that don't become hot by it.
"""

from __future__ import annotations

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Floats, Problem
from vhal.fleet.balance.repair import best
from vhal.fleet.balance.score import busy_cpus
from vhal.fleet.balance.trial import Limits


def heat(problem: Problem) -> tuple[Floats, Floats, Floats]:
    """Return machine → processors it needs; host → what is used beside machines; host → processors there are.

    Where no load is known, processors that are given away stand for it, and what may be given away for what there is.
    """
    busy = busy_cpus(problem)
    if busy is None:
        return problem.need[:, 1], np.zeros(len(problem.hosts)), problem.room[:, 1]
    return *busy, np.array([host.cpus for host in problem.hosts], float)


def relieve(layout: Layout, threshold: float, target: float | None, limits: Limits) -> tuple[dict[int, str], list[str]]:
    """Move machines until no host is hot; return machine → why, and which hosts stay hot.

    Args:
        layout: Where machines are; changed.
        threshold: A host is hot above this share of its processors.
        target: What a hot host is cooled to, and above which no other is heated; None for the threshold.
        limits: What may not be exceeded.
    """
    problem = layout.problem
    busy, base, size = heat(problem)
    used = base + np.bincount(layout.at, busy, len(problem.hosts))
    most = threshold * size
    cooled = min(threshold, threshold if target is None else target) * size
    wanted = most.copy()
    """Host → what is too much for it: less for one that was hot."""
    moved: dict[int, str] = {}
    notes: list[str] = []
    given_up = ~problem.counted | (size <= 0)
    while True:
        excess = np.where(given_up, -np.inf, (used - wanted) / np.where(size > 0, size, 1.0))
        hot = int(excess.argmax()) if len(excess) else 0
        if not len(excess) or excess[hot] <= 1e-9:
            return moved, notes
        wanted[hot] = cooled[hot]
        step = _step(layout, hot, busy, used, cooled, limits, set(moved))
        if step is None:
            given_up[hot] = True
            share = used[hot] / size[hot]
            if used[hot] > most[hot]:
                notes.append(
                    f"{problem.hosts[hot].name} stays hot at {share:.0%}: {_why_not(layout, hot, limits, set(moved))}"
                )
            continue
        machine, host = step
        moved[machine] = (
            f"{problem.hosts[hot].name} is hot: {used[hot] / size[hot]:.0%} of its processors, "
            f"and {threshold:.0%} is the limit; {problem.hosts[host].name} has {used[host] / size[host]:.0%}"
        )
        used[hot] -= busy[machine]
        used[host] += busy[machine]
        layout.place(machine, host)


def _why_not(layout: Layout, hot: int, limits: Limits, moved: set[int]) -> str:
    problem = layout.problem
    able = [each for each in np.flatnonzero((layout.at == hot) & problem.movable).tolist() if each not in moved]
    spent = sum(problem.memory[machine] for machine in moved)
    if not able:
        return "nothing on it may move"
    if len(moved) >= limits.moves or all(spent + problem.memory[each] > limits.memory for each in able):
        return "no more may be moved at once"
    return "nothing on it may move to a host that has room for it and stays cool"


def _step(
    layout: Layout, hot: int, busy: Floats, used: Floats, most: Floats, limits: Limits, moved: set[int]
) -> tuple[int, int] | None:
    problem = layout.problem
    memory = problem.memory
    if len(moved) >= limits.moves:
        return None
    spent = sum(memory[machine] for machine in moved)
    here = [
        each
        for each in np.flatnonzero((layout.at == hot) & problem.movable & (busy > 0)).tolist()
        if each not in moved and spent + memory[each] <= limits.memory
    ]
    over = used[hot] - most[hot]
    enough = sorted((each for each in here if busy[each] >= over), key=lambda each: (memory[each], each))
    rest = sorted((each for each in here if busy[each] < over), key=lambda each: (-busy[each], memory[each], each))
    for machine in (*enough, *rest):
        hosts = np.flatnonzero(layout.may(machine) & (used + busy[machine] <= most))
        if len(hosts):
            return machine, best(layout, machine, hosts)
    return None
