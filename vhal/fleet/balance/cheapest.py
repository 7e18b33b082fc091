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

PRICES = ((4.0, 0.5), (1.0, 0.7), (2.0, 0.7), (8.0, 0.5))
"""Of a move, by the memory of the usual machine; and how fast the rate falls."""
SPENT = 0.75
"""A plan with fewer of the moves than this was made at too high a price of a move: a lower one does better."""
NOTHING = 0.01
"""The price of a move when only memory counts."""
AIM = 0.997
"""Of the mark's score: equal steps that were taken in another order change a mark by some thousandths."""
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
    aim = AIM * mark.score
    memory = LeastMemory(mark.objective, mark.score)
    enough = ENOUGH * memory.of(mark.score)
    attempts = min(max(EFFORT // max(cells, 1), 1), 24)
    random = np.random.default_rng(0)
    spare = False
    for attempt in range(max(attempts, 2)):
        if least <= enough or (attempt >= attempts and not spare):
            break
        if attempt < len(PRICES):
            price, fall = PRICES[attempt]
            tried = search(Layout(mark.objective, start.at), price)
            reached = tried.anneal(aim, (first, last / 100), fall)
        else:
            at = found.at.copy()
            moved = found.moved
            back = random.choice(moved, round(len(moved) * SHAKEN), replace=False)
            at[back] = start.at[back]
            tried = search(Layout(mark.objective, at), NOTHING)
            reached = tried.anneal(aim, (first / 16, last / 100))
        if not reached and tried.layout.score > mark.score:
            continue
        spare = attempt == 0 and tried.moves < SPENT * tried.limits.moves
        if tried.memory > enough and not spare:
            tried.charge(NOTHING)
            tried.cheapen(max(aim, tried.layout.score), (tried.rate, first), rise=4.0)
        cheaper = tried.layout.score <= mark.score and tried.memory < least
        # What can't be reached move by move, without one more that only makes room, is of no use.
        if cheaper and not order(mark.objective, tried.layout.at, hops=0)[1]:
            found, least = tried.layout, tried.memory
    return found, memory
