"""Machines that go where they are priced lowest, a part here and a part there: what the bounds of plans have in common.

Prices are of amounts at hosts. What machines take then is the inner minimum of a Lagrange dual; smoothed, it has a
gradient. It doesn't say what the prices should be: that is :mod:`~vhal.fleet.balance.bound`'s and
:mod:`~vhal.fleet.balance.evenness`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.estimate import Singles, product
from vhal.fleet.balance.problem import Bools, Floats, Ints, Problem


@dataclass(frozen=True)
class Market:
    """Machines that may move and have somewhere to go; those of the same amounts and zone are one kind."""

    machines: Ints
    kinds: Floats
    """Kind × amounts."""
    closed: tuple[Ints, ...]
    """Kinds and hosts that don't go together."""
    kind: Ints
    """Machine, of those → its kind."""
    home: Ints
    amount: Floats
    """Machine, of those × amounts."""

    @classmethod
    def of(cls, problem: Problem, amount: Floats) -> Market:
        """Return the market of machines (all of a problem) that take these amounts."""
        somewhere: Bools = np.any(problem.open & problem.zones, axis=1)
        machines = np.flatnonzero(problem.movable & somewhere[problem.zone])
        keys = np.column_stack([amount[machines], problem.zone[machines]])
        kinds, kind = np.unique(keys, axis=0, return_inverse=True)
        return cls(
            machines=machines,
            kinds=kinds[:, :-1],
            closed=np.nonzero(~(problem.open & problem.zones[kinds[:, -1].astype(np.intp)])),
            kind=kind.ravel(),
            home=problem.home[machines],
            amount=amount[machines],
        )

    def change(self, price: Floats, going: Floats | float = 0.0) -> Floats:
        """Return machine → what its best host is dearer than where it is.

        Args:
            price: Host × amounts.
            going: What it costs to go, of each machine or all.
        """
        there = self.kinds @ price.T
        there[self.closed] = np.inf
        change: Floats = going + there.min(axis=1)[self.kind] - self._here(price)
        return change

    def soft(self, price: Floats, blur: float, going: Floats | float = 0.0) -> tuple[Floats, Singles]:
        """Return the same with a smoothed minimum, and kind × host: which part of it goes where."""
        there = product(self.kinds, price)
        there[self.closed] = np.inf
        least = there.min(axis=1)
        share = np.exp((least[:, None] - there) / np.float32(blur))
        parts = share.sum(axis=1)
        share /= parts[:, None]
        return going + (least - blur * np.log(parts))[self.kind] - self._here(price), share

    def gain(self, change: Floats, share: Singles, blur: float) -> tuple[float, Floats]:
        """Return the sum of the changes that are below 0, smoothed, and host × amounts: what comes, less what goes."""
        goes = 1 / (1 + np.exp(np.clip(change / blur, -50, 50)))
        moving = self.amount * goes[:, None]
        gone, left = np.zeros((share.shape[1], moving.shape[1])), np.zeros_like(self.kinds)
        for each, part in enumerate(moving.T):
            gone[:, each] = np.bincount(self.home, part, len(gone))
            left[:, each] = np.bincount(self.kind, part, len(left))
        return -blur * float(np.logaddexp(0, -change / blur).sum()), product(left.T, share.T).T - gone

    def _here(self, price: Floats) -> Floats:
        here: Floats = (price[self.home] * self.amount).sum(axis=1)
        return here
