"""The changes of all hosts that together move the least memory: column generation, then a choice in whole numbers.

Prices of kinds of machines bring what one host sends and another takes together. With them each host's best change is
found by itself; a linear program of the changes that are known tells better prices, until none is worth adding. A
program in whole numbers then chooses of those that cost little more than nothing at these prices. The programs are
:mod:`~vhal.fleet.balance.master`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vhal.fleet.balance.allowance import Allowance, as_it_is, corners
from vhal.fleet.balance.columns import Columns, keys, near, small
from vhal.fleet.balance.kinds import Kinds
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.master import Master
from vhal.fleet.balance.problem import Ints

BATCH = 4
"""Changes of each host that are added at once."""
ROUNDS = 60
"""Of adding them, at most."""
CLOSE = 0.002
"""Prices are good enough if the linear program can't become cheaper than by this share of what is known."""
CHOICE = 400
"""Changes to choose from, in whole numbers."""
WORTHLESS = 1e-6
"""GiB that are none."""
CORNERED = 10_000
"""Machines × hosts up to which corners are tried: on larger fleets they lead nowhere that the layout's way doesn't."""
PROMISE = 0.98
"""What a linear program must promise to be worth a choice: so much less than the best that was found."""


class Generation:
    """Changes that are worth making, for one allowance.

    Args:
        kinds: What can move.
        allowance: How even it has to become.
        moves: How many machines may move.
        known: A solution to begin with.
    """

    def __init__(self, kinds: Kinds, allowance: Allowance, moves: float, known: Layout) -> None:
        self._kinds, self._allowance, self._moves = kinds, allowance, moves
        self._close = CLOSE * known.memory
        hosts = np.arange(len(kinds.home))
        nothing = Columns.made(kinds, allowance, hosts, np.zeros_like(kinds.home))
        start = Columns.all([Columns.made(kinds, allowance, hosts, kinds.changes(known)), nothing])
        self._pool = Columns.all([start, small(kinds, allowance)])
        self._keys = np.sort(keys(self._pool))
        self._added = np.arange(len(start.host))
        self._master = self._new()
        self._master.add(start)
        self.worth = self._master.solve()

    def _new(self) -> Master:
        return Master(len(self._kinds.home), len(self._kinds.memory), self._moves)

    def run(self, go: Callable[[], bool]) -> None:
        """Add changes until none would make it cheaper."""
        for _ in range(ROUNDS):
            best = self._best()
            if not len(best):
                self._grow(self._added[self._master.shares() > WORTHLESS])
                best = self._best()
            if not len(best) or not go():
                break
            self._master.add(self._pool.of(best))
            self._added = np.concatenate([self._added, best])
            self.worth = self._master.solve()

    def _best(self) -> Ints:
        """Return the changes that would make it cheaper, of each host the best; none if they hardly would."""
        cost, host = self.worth.costs(self._pool), self._pool.host
        good = np.flatnonzero(cost < -WORTHLESS)
        good = good[np.lexsort((cost[good], host[good]))]
        first = np.searchsorted(host[good], host[good])
        cheaper = -cost[good[np.unique(first)]].sum()
        if cheaper < self._close:
            return good[:0]
        return good[np.arange(len(good)) - first < BATCH]

    def _grow(self, chosen: Ints) -> None:
        """Make changes that are near to these known."""
        more = near(self._kinds, self._allowance, self._pool.of(chosen))
        key, first = np.unique(keys(more), return_index=True)
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        fresh = self._keys[place] != key
        self._pool = Columns.all([self._pool, more.of(first[fresh])])
        self._keys = np.sort(np.concatenate([self._keys, key[fresh]]))

    def choose(self, below: float) -> Layout | None:
        """Return the best in whole numbers, if one is found that moves less memory than that."""
        cost = self.worth.costs(self._pool)
        chosen = np.flatnonzero(cost < below - self.worth.least)
        chosen = chosen[np.argsort(cost[chosen], kind="stable")[:CHOICE]]
        columns = self._pool.of(chosen)
        master = self._new()
        master.add(columns)
        made = master.choose()
        if made is None:
            return None
        changes = np.zeros_like(self._kinds.home)
        changes[columns.host[made]] = columns.change[made]
        return self._kinds.carried_out(changes)


def assemble(layout: Layout, score: float, moves: float, go: Callable[[], bool]) -> Layout:
    """Return a layout that reaches a score with less memory, or the same if none was found.

    Args:
        layout: One that reaches it.
        score: That score. At 0 a root has no tangent: then nothing is looked for.
        moves: How many machines may move.
        go: Whether there is time left.
    """
    kinds = Kinds.of(layout)
    moved = layout.moved
    moves -= len(moved) - int(np.isin(moved, kinds.machines).sum())
    found = layout
    ways = [as_it_is(layout, score)] if score > 0 else []
    if ways and len(kinds.machines) * len(kinds.home) <= CORNERED:
        ways += corners(layout, score, moves)
    while ways and go():
        tried = [Generation(kinds, way, moves, found) for way in ways]
        for each in tried:
            each.run(go)
        ways = []
        for each in sorted(tried, key=lambda each: each.worth.least):
            chosen = each.choose(found.memory) if each.worth.least < PROMISE * found.memory and go() else None
            if chosen is not None and chosen.score <= score and chosen.memory < found.memory:
                found, ways = chosen, [as_it_is(chosen, score)]
    return found
