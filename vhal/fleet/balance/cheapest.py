"""The same score with as few moves, and less memory: several searches, and the best of what they find.

They begin where machines are, at different prices of a move; then from the best that was found, with some of its
machines sent home (iterated local search: Lourenço, Martin and Stützle, 2003). The plan to beat is kept, so what comes
out is never worse than it. What a search does is in :mod:`~vhal.fleet.balance.search`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vhal.fleet.balance.bound import LeastMemory
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.order import order
from vhal.fleet.balance.search import Search

PRICES = (4.0, 1.0, 2.0, 8.0)
"""Of a move, by the memory of the usual machine."""
NOTHING = 0.01
"""The price of a move when only memory counts."""
ENOUGH = 1.2
"""Nobody looks further below this many times the lower bound."""
EFFORT = 60_000
"""Machines × hosts × attempts: small fleets get more attempts, since they are less even by nature."""
SHAKEN = 0.5
"""The share of moved machines that are sent home before a new attempt."""


def cheapest(
    mark: Layout, start: Layout, search: Callable[[Layout, float], Search], rates: tuple[float, float], cells: int
) -> tuple[Layout, LeastMemory]:
    """Return a layout with the score of a mark, no more moves, and the least memory found; and how little it could be.

    Args:
        mark: The layout to beat.
        start: Where machines are.
        search: Makes a search of a layout and a price of a move, within limits.
        rates: Score by GiB at which searches begin and end.
        cells: Machines × hosts.
    """
    found, least = mark, float(mark.problem.memory[mark.moved].sum())
    first, last = rates
    memory = LeastMemory(mark.objective, mark.score)
    enough = ENOUGH * memory.of(mark.score)
    attempts = min(max(EFFORT // max(cells, 1), 1), 24)
    random = np.random.default_rng(0)
    for attempt in range(attempts):
        if least <= enough:
            break
        if attempt < len(PRICES):
            tried = search(Layout(mark.objective, start.at), PRICES[attempt])
            reached = tried.anneal(mark.score, (first, last / 100))
        else:
            at = found.at.copy()
            moved = found.moved
            back = random.choice(moved, round(len(moved) * SHAKEN), replace=False)
            at[back] = start.at[back]
            tried = search(Layout(mark.objective, at), NOTHING)
            reached = tried.anneal(mark.score, (first / 16, last / 100))
        if not reached:
            continue
        if tried.memory > enough:
            tried.charge(NOTHING)
            tried.cheapen(mark.score, (tried.rate, first), rise=4.0)
        cheaper = tried.layout.score <= mark.score and tried.memory < least
        # What can't be reached move by move, without one more that only makes room, is of no use.
        if cheaper and not order(mark.objective, tried.layout.at, hops=0)[1]:
            found, least = tried.layout, tried.memory
    return found, memory
