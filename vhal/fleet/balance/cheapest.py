"""The same score with as few moves, and less memory: several searches, and the best of what they find.

Some begin where machines are. The dual of the bound tells what a GiB is worth about the score that is wanted: single
moves are made while the rate falls past it, then pairs of moves until the score is reached. What a move is charged
beside its memory is set so that the limit of moves just suffices. Where all of them miss the score, one begins at the
plan to beat and makes it cheaper. Small fleets get more: where machines are of few kinds, the best changes of all hosts
are put together by a solver (:mod:`~vhal.fleet.balance.assembly`); else there are more attempts, from the best that was
found, with some of its machines sent home (iterated local search: Lourenço, Martin and Stützle, 2003). The plan to beat
is kept, so what comes out is never worse than it. What a search does is in :mod:`~vhal.fleet.balance.search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vhal.fleet.balance.bound import LeastMemory
from vhal.fleet.balance.kinds import Kinds
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.order import order
from vhal.fleet.balance.search import Search

PRICE = 3.0
"""Of a move, to begin with, by the memory of the usual machine."""
NOTHING = 0.01
"""The price of a move when only memory counts."""
WAYS = ((0.6, 0.25), (0.6, 1.0), (0.7, 0.25), (0.5, 0.06))
"""How fast the rate of single moves falls, and where that of pairs begins: by the dual's."""
FAR = (4.0, 0.02)
"""Where the rate of single moves begins and ends: by the dual's."""
FULL = 1.1
"""Single moves by the limit of moves, where the price is right: pairs send some home."""
NEAR = (0.95, 1.2)
"""What is near enough to that."""
DEARER, CHEAPER = 1.5, 0.9
"""What the price of a move is multiplied with after an attempt that missed the score, and at least after another."""
DEAREST = 16.0
AIM = 0.997
"""Of the mark's score: equal steps that were taken in another order change a mark by some thousandths."""
ERROR = 1e-10
"""Relative error of a score that was added up in another order."""
ENOUGH = 1.15
"""Nobody looks further below this many times the lower bound."""
EFFORT = 50_000
"""Machines × hosts of a fleet that gets one attempt. Small ones get more: they are less even by nature."""
SOLVED, DOUBTED, SOLVABLE = 10_000, 50_000, 200_000
"""Machines × hosts of fleets that a solver is asked about, though it takes longer: where searches don't come near to
the bound; where they find little; and if it is wanted."""
LITTLE = 0.9
"""Of the mark's memory: who doesn't send less than that has found little."""
FEW = 32
"""Kinds of machines that it is asked about, at most."""
LARGE = 1 << 20
"""Machines × hosts above which the first attempt that finds anything has to do, of two."""
ATTEMPTS = (2, 24)
"""How many there are at least, and at most."""
SHAKEN = 0.5
"""The share of moved machines that are sent home before a new attempt."""


class Cheapest:
    """Looks for a layout with the score of a mark, no more moves, and the least memory.

    Args:
        mark: The layout to beat.
        start: Where machines are.
        search: Makes a search of a layout and a price of a move, within limits.
        moves: The limit of moves that was asked for.
        rates: Score by GiB that hardly anything is worth, and that nearly everything is.
        go: Whether there is time left.
        thorough: Whether to take longer than searches do.
    """

    def __init__(
        self,
        mark: Layout,
        start: Layout,
        search: Callable[[Layout, float], Search],
        moves: int | None,
        rates: tuple[float, float],
        go: Callable[[], bool] = lambda: True,
        thorough: bool = False,
    ) -> None:
        self.found = mark
        self.memory = LeastMemory(mark.objective, mark.score, moves)
        """How little it could be."""
        self._mark, self._start, self._search = mark, start, search
        self._first, self._last = rates
        self._go, self._thorough = go, thorough
        self._moves = len(mark.moved) if moves is None else moves
        self._rate = self.memory.rate or self._first
        self._aim = AIM * mark.score
        self._ceiling = mark.score * (1 + ERROR)
        self._least = mark.memory
        self._enough = 0.0 if thorough else ENOUGH * self.memory.of(mark.score)
        self._price = PRICE
        self._random = np.random.default_rng(0)

    def run(self, cells: int) -> None:
        """Look for it, with an effort that is set by machines × hosts."""
        if cells > LARGE:
            self._price = 2 * PRICE
            for way in WAYS[:2]:
                if self.found is self._mark:
                    self._keep(self._anew(*way, tries=1))
            return
        solvable = cells <= SOLVABLE and 0 < len(Kinds.of(self._mark).memory) <= FEW
        attempts = int(np.clip((EFFORT / max(cells, 1)) ** 1.5, *ATTEMPTS))
        if self._thorough or (solvable and cells <= SOLVED):
            attempts = ATTEMPTS[not solvable]
        self._attempt(attempts)
        far = self._least > self._enough and (self._thorough or cells <= SOLVED)
        if solvable and (far or (cells <= DOUBTED and self._least > LITTLE * self._mark.memory)):
            from vhal.fleet.balance.assembly import assemble  # with its solver, which takes a while to import

            self._hold(assemble(self.found, self._ceiling, self._moves, self._go))

    def _attempt(self, attempts: int) -> None:
        """Search so many times, or until it is near enough to the bound."""
        anew = max(attempts // 4, 2)
        for attempt in range(attempts):
            if self._least <= self._enough:
                return
            way = WAYS[attempt % len(WAYS)]
            if attempt < anew:
                self._keep(self._anew(*way, tries=1 if attempt else 3))
            else:
                self._keep(self._shaken(*way, NOTHING if attempt % 2 else self._price))
            if attempt == anew - 1 and self.found is self._mark:
                beaten = self._search(Layout(self._mark.objective, self._mark.at), NOTHING)
                beaten.rate = FAR[1] * self._rate
                self._keep(self._cheapened(beaten))

    def _anew(self, fall: float, begin: float, tries: int) -> Search:
        """Return a search from where machines are, at a price of a move that makes the limit just suffice."""
        for _ in range(tries):
            tried = self._search(Layout(self._mark.objective, self._start.at), self._price)
            limits, tried.limits = tried.limits, replace(tried.limits, moves=np.inf)
            tried.anneal(self._aim, (FAR[0] * self._rate, FAR[1] * self._rate), fall, pairs=False)
            tried.limits = limits
            used = tried.moves / max(limits.moves, 1)
            if NEAR[0] <= used <= NEAR[1]:
                break
            self._price *= float(np.clip((used / FULL) ** 4, 0.1, 5.0))
        return self._reached(tried, begin)

    def _shaken(self, fall: float, begin: float, price: float) -> Search:
        """Return a search from the best that was found, with some of its machines sent home."""
        at, moved = self.found.at.copy(), self.found.moved
        back = self._random.choice(moved, round(len(moved) * SHAKEN), replace=False)
        at[back] = self._start.at[back]
        tried = self._search(Layout(self._mark.objective, at), price)
        tried.anneal(self._aim, (self._rate, FAR[1] * self._rate), fall, pairs=False)
        return self._reached(tried, begin)

    def _reached(self, tried: Search, begin: float) -> Search:
        """Go on with pairs until the score is reached, then make it cheaper."""
        tried.anneal(self._aim, (begin * self._rate, self._last))
        if tried.moves > tried.limits.moves:
            tried.shed()
            tried.anneal(self._aim, (begin * self._rate, self._last))
        self._cheapened(tried)
        if tried.layout.score > self._ceiling:
            self._price = min(self._price * DEARER, DEAREST)  # too many of the moves were spent on small machines
        else:
            self._price *= float(np.clip((tried.moves / max(tried.limits.moves, 1)) ** 4, 0.3, CHEAPER))
        return tried

    def _cheapened(self, tried: Search) -> Search:
        if tried.layout.score <= self._ceiling and tried.memory > self._enough:
            tried.charge(NOTHING)
            rates = 4.0 * tried.rate, max(self._first, self._rate)
            tried.cheapen(max(self._aim, tried.layout.score), rates, rise=4.0)
        return tried

    def _keep(self, tried: Search) -> None:
        """Remember what was found if it is better."""
        if tried.layout.score <= self._ceiling and tried.moves <= tried.limits.moves:
            self._hold(tried.layout)

    def _hold(self, layout: Layout) -> None:
        memory = layout.memory
        # What can't be reached move by move, without one more that only makes room, is of no use.
        if memory < self._least and not order(self._mark.objective, layout.at, hops=0)[1]:
            self.found, self._least = layout, memory
