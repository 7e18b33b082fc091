"""Where the machines of some hosts go when those hosts must become empty. Fast, and nothing else moves.

What is to be emptied, and what comes of what finds no place, is :mod:`vhal.fleet.drain`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.repair import best
from vhal.fleet.balance.score import even


def vacate(problem: Problem, hosts: Collection[str]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return (machine, host) for all that has to leave, in an order that is feasible, and what finds no place.

    The largest machines choose first, each the host with the least score after it. The hosts take nothing meanwhile,
    and don't count for the score. Machines that can't be moved are among those without a place.

    Args:
        problem: The fleet.
        hosts: Names of those that must become empty.
    """
    leaving = np.array([host.name in hosts for host in problem.hosts], bool)
    rest = replace(problem, open=problem.open & ~leaving, counted=problem.counted & ~leaving)
    layout = Layout(even(rest))
    inside = np.flatnonzero(leaving[problem.home])
    order = inside[np.lexsort((inside, -problem.need[inside, 1], -problem.need[inside, 0]))]
    moves: list[tuple[int, int]] = []
    stuck: list[int] = []
    for machine in order.tolist():
        free = np.flatnonzero(layout.may(machine)) if problem.movable[machine] else ()
        if len(free):
            moves.append((machine, best(layout, machine, np.asarray(free))))
            layout.place(*moves[-1])
        else:
            stuck.append(machine)
    return moves, stuck
