"""Changes of one machine or of two, each the best for its price, until a score is reached: what plans are made by.

Moving has a price: the memory that is sent, and something for every move. The exchange rate between price and score
begins high, so that first only those machines move that do most good for their size, and falls until the score is
reached (annealing, but of a price, and without chance). A machine that goes home gives its price back. Where single
moves are at their end, pairs go on: two machines change places, or one goes home and another moves instead. Without a
limit of moves, up to two of a host at once change places with up to two of another in the end; where hosts differ in
size, random changes (:mod:`~vhal.fleet.balance.shake`) lead to where all that begins once more.

That is local search with 1- and 2-exchanges (Aarts and Lenstra, Local Search in Combinatorial Optimization, 1997) on a
Lagrangian of the problem "least memory moved such that the score is at most so much".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from vhal.fleet.balance.bundles import bundles
from vhal.fleet.balance.estimate import (
    CELLS,
    SHORT,
    Singles,
    Tangent,
    arrivals,
    best_of,
    best_of_each,
    departures,
    exchanged,
)
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.pairs import elsewhere, exchange, instead
from vhal.fleet.balance.problem import Ints
from vhal.fleet.balance.shake import Shaker
from vhal.fleet.balance.trial import Limits, Trial

BUNDLES = 1 << 12
"""Bundles of machines that are looked at."""
SAMPLE = 128
"""Hosts that a machine is tried on where there are too many for all."""
ROUNDS = 8
"""Rounds of pairs at one rate, where only a part of them can be looked at."""
DEARER = 10.0
"""What the price of a move is multiplied with among random changes, by which nearly all machines would leave home."""
LOOKS = 3
"""Samples in a row that must have nothing good in them."""


class Search(Trial):
    """A search over where machines could be.

    Args:
        layout: Where machines are; changed.
        machines: Those that may move.
        usual: The memory of a usual machine, GiB.
        per_move: The price of a move, whatever the machine's size, by that.
        limits: What may not be exceeded.
        go: Whether there is time left.
        seed: Of the choice among too many hosts.
        frugal: Whether no two machines change places that both haven't moved: that is dear, and most of all pairs.
    """

    def __init__(
        self,
        layout: Layout,
        machines: Ints,
        usual: float,
        per_move: float,
        limits: Limits | None = None,
        go: Callable[[], bool] = lambda: True,
        seed: int = 0,
        frugal: bool = False,
    ) -> None:
        super().__init__(layout, machines, usual, per_move, limits)
        self.frugal = frugal
        self._go = go
        self._random = np.random.default_rng(seed)
        self._whole = len(machines) * len(self.problem.hosts) <= CELLS
        self._mean = layout.objective.amount.mean(axis=0)

    def anneal(self, target: float, rates: tuple[float, float], fall: float = 0.5, pairs: bool = True) -> bool:
        """Change what is worth its price while that falls, until the score is reached; return whether it was.

        Args:
            target: The score that is enough.
            rates: Score by GiB, at the beginning and at the end.
            fall: What the rate is multiplied with when nothing is worth its price any more.
            pairs: Whether pairs of machines are tried, too.
        """
        self.target = target
        self.rate, last = rates
        self._fall(last, fall, pairs)
        # Elsewhere there is little to gain by it.
        if pairs and self._whole and self.limits == Limits() and not self.layout.objective.alike:
            self._shake(pairs)
        return self.layout.score <= target

    def _fall(self, last: float, fall: float, pairs: bool) -> None:
        """Change what is worth its price, while that falls to the last."""
        while not self._done():
            self.layout.tally()
            barren = 0
            while not self._done() and barren < (1 if self._whole else LOOKS):
                barren = 0 if self.singles() else barren + 1
            rounds = 0
            while pairs and not self._done() and (self._whole or rounds < ROUNDS) and self.twos():
                self.singles()
                rounds += 1
            if self.rate <= last and not (pairs and self._whole and not self.frugal and self.bundles()):
                break
            self.rate = max(self.rate * fall, last)

    def _shake(self, pairs: bool) -> None:
        """Begin once more where random changes lead to, and stay there if that ends better."""
        at, value = self.layout.at.copy(), self._value()
        self._go_to(Shaker(self.layout, self.machines, DEARER * self.rate * self.price, self._random).run(self._go))
        self._fall(self.rate, 1.0, pairs)
        if self._value() > value:
            self._go_to(at)

    def _value(self) -> float:
        """Return the score, and what was paid for it."""
        return self.layout.score + self.rate * float(self.price[self.away].sum())

    def _go_to(self, at: Ints) -> None:
        for machine in np.flatnonzero(at != self.layout.at).tolist():
            self._put(machine, int(at[machine]))
        self.layout.tally()

    def cheapen(self, ceiling: float, rates: tuple[float, float], rise: float = 2.0) -> None:
        """Move less, at a score that is below a ceiling and stays there.

        Args:
            ceiling: The score that isn't exceeded.
            rates: Score by GiB, at the beginning and at the end.
            rise: What the rate is multiplied with when nothing is worth it any more.
        """
        self.limits = replace(self.limits, score=ceiling)
        self.target = -np.inf
        self.rate, last = rates
        while self.rate <= last and not self._done():
            self.layout.tally()
            while not self._done() and self.singles() + self.twos():
                pass
            self.rate *= rise

    def _done(self) -> bool:
        return self.layout.score <= self.target or not self._go()

    def singles(self) -> int:
        """Make single moves that are worth their price; return how many."""
        layout, tangent = self.layout, Tangent.of(self.layout)
        leaving = departures(layout, tangent, self.machines)
        away, price = self.away[self.machines], self.rate * self.price[self.machines]
        paid = np.where(away, 0.0, price)
        whole = self._whole
        # Nobody arrives for less than where all axes are at their lowest.
        lowest = np.where(self.problem.open[:, None], tangent.tilt, 0.0).min(axis=0)
        hopeful = leaving + layout.objective.amount.take(self.machines, axis=0) @ lowest < np.where(away, price, -price)
        rows = np.flatnonzero(hopeful if whole else hopeful & (leaving < 0))
        chosen: list[tuple[Ints, Ints, Singles]] = []
        size = CELLS // (len(self.problem.hosts) if whole else SAMPLE) + 1
        known = self._hosts(tangent, whole)
        for first in range(0, len(rows), size if whole else 512):
            part = rows[first : first + (size if whole else 512)]
            # A different part of them for each part of the machines: else all would want the same host.
            hosts = known if whole else self._random.permutation(known)[:SAMPLE]
            change = arrivals(layout, tangent, self.machines[part], hosts)
            change += (leaving + paid)[part].astype(np.float32)[:, None]
            if whole:
                self.refund(change, self.machines[part])
            best, value = self.roomy(change, self.machines[part], hosts)
            chosen.append((part, hosts[best], value))
        if not chosen:
            return 0
        places, hosts, values = (np.concatenate(column) for column in zip(*chosen, strict=True))
        good = best_of(values, max(SHORT, len(self.problem.hosts)))
        return self.make(self.machines[places[good]], hosts[good])

    def _hosts(self, tangent: Tangent, whole: bool) -> Ints:
        """Return all hosts, or the colder half where they are too many."""
        if whole:
            return np.arange(len(self.problem.hosts))
        usual = self._mean
        heat = np.where(self.problem.open, tangent.tilt @ usual, np.inf)
        return np.argsort(heat, kind="stable")[: max(SAMPLE, len(heat) // 2)]

    def twos(self) -> int:
        """Change pairs of machines where that is worth its price; return how many pairs."""
        done = 0
        for look in (instead, elsewhere, partial(exchange, frugal=self.frugal)):
            if not self._done():
                done += self.make_pairs(look(self))
        return done

    def bundles(self) -> int:
        """Let up to two machines of a host change places with up to two of another; return how many times."""
        layout, objective = self.layout, self.layout.objective
        second = bundles(layout, self.machines, self.paid(self.machines), BUNDLES, self._random)
        # All that stand on the most uneven hosts, with all.
        uneven = np.argsort(-(np.abs(layout.off) * objective.weight).sum(axis=1), kind="stable")
        place = np.argsort(uneven)[second.host]
        chosen = np.argsort(place, kind="stable")[: CELLS // len(second.host)]
        first = second.of(chosen)
        change = exchanged(Tangent.of(layout), (first.amount, first.host), (second.amount, second.host))
        change += first.paid.astype(np.float32)[:, None]
        change += second.paid.astype(np.float32)
        change[first.host[:, None] == second.host] = 0.0
        rows, columns = best_of_each(change)
        if not len(rows):
            return 0
        steps = [
            first.steps(row, int(second.host[column])) + second.steps(column, int(first.host[row]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        touched = np.column_stack([first.host[rows], second.host[columns]])
        return self.take(change[rows, columns].astype(float), steps, touched)
