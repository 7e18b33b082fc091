"""Machines at hosts, and what a change of that would do to the score: the one mutable thing of a search.

It says whether a machine may go somewhere and how the score changes, exactly. Which change to make is decided by
:mod:`~vhal.fleet.balance.descend` and :mod:`~vhal.fleet.balance.search`.
"""

from __future__ import annotations

import numpy as np

from vhal.fleet.balance.problem import SLACK, Bools, Floats, Ints, Problem
from vhal.fleet.balance.score import Objective


class Layout:
    """Where each machine is, with the sums that the score is made of.

    Args:
        objective: What shall be even.
        at: Machine → host to begin with; where they are, by default.
    """

    def __init__(self, objective: Objective, at: Ints | None = None) -> None:
        self.objective = objective
        self.problem: Problem = objective.problem
        self.at: Ints = (self.problem.home if at is None else at).copy()
        self.free = self.problem.free(self.at)
        self.slack = SLACK * np.maximum(self.problem.room.max(axis=0, initial=0.0), 1.0)
        shares = objective.shares(self.at)
        # Deviations from the mean at the beginning: their squares lose no digits.
        self.off: Floats = np.where(objective.per > 0, shares - objective.mean(self.at), 0.0)
        self.tally()
        self._members = [
            np.bincount(each.domain[self.at[each.members]] + 1, minlength=each.domain.max(initial=-1) + 2)
            for each in self.problem.separations
        ]

    def tally(self) -> None:
        """Add up anew, which takes away what errors many small changes have left."""
        self.sums = self.off.sum(axis=0)
        self.squares = (self.off**2).sum(axis=0)
        self._score: float | None = None

    def score_of(self, sums: Floats, squares: Floats) -> Floats:
        """Return the score that sums and squares of deviations (… × axis) amount to."""
        count = self.objective.count
        variance = squares / count - (sums / count) ** 2
        score: Floats = np.sqrt(np.maximum(variance, 0.0)) @ self.objective.weight
        return score

    @property
    def score(self) -> float:
        """How uneven it is now."""
        if self._score is None:
            self._score = float(self.score_of(self.sums, self.squares))
        return self._score

    @property
    def moved(self) -> Ints:
        """The machines that aren't where they were."""
        return np.flatnonzero(self.at != self.problem.home)

    @property
    def memory(self) -> float:
        """The memory of those, GiB."""
        return float(self.problem.memory[self.moved].sum())

    def place(self, machine: int, host: int) -> None:
        """Put a machine on a host, whether it may be there or not."""
        old = int(self.at[machine])
        amount, per, need = self.objective.amount[machine], self.objective.per, self.problem.need[machine]
        for place, change, given in ((old, -amount, -need), (host, amount, need)):
            step, off, free = change * per[place], self.off[place], self.free[place]
            self.sums += step
            self.squares += step * (2 * off + step)
            off += step
            free -= given
        self.at[machine] = host
        self._score = None
        for place in self.problem.apart.get(machine, ()):
            domain = self.problem.separations[place].domain
            self._members[place][domain[old] + 1] -= 1
            self._members[place][domain[host] + 1] += 1

    def may(self, machine: int) -> Bools:
        """Return host → whether the machine may be put there now, beside those that are there."""
        problem = self.problem
        allowed: Bools = problem.open & problem.zones[problem.zone[machine]]
        allowed &= (problem.need[machine] <= self.free + self.slack).all(axis=1)
        allowed &= ~self.crowded(machine)
        allowed[self.at[machine]] = False
        return allowed

    def crowded(self, machine: int) -> Bools:
        """Return host → whether one that the machine must be apart from is in that host's domain."""
        found = np.zeros(len(self.problem.hosts), bool)
        for place in self.problem.apart.get(machine, ()):
            domain = self.problem.separations[place].domain
            others = self._members[place].copy()
            others[0] = 0  # no domain: nobody to be apart from
            mine = domain[self.at[machine]] + 1
            if mine:
                others[mine] -= 1
            found |= (others > 0)[domain + 1]
        return found

    def fits(self, machine: int, host: int) -> bool:
        """Return whether the machine may be put on a host now."""
        problem = self.problem
        return bool(
            problem.open[host]
            and problem.zones[problem.zone[machine], host]
            and (problem.need[machine] <= self.free[host] + self.slack).all()
            and not (machine in problem.apart and self.crowded(machine)[host])
        )

    def changes(self, machines: Ints, hosts: Ints) -> tuple[Floats, Floats]:
        """Return what each machine's move to its host does to sums and to squares: move × axis."""
        amount, per, at = self.objective.amount[machines], self.objective.per, self.at[machines]
        leave, arrive = amount * per[at], amount * per[hosts]
        squares = arrive * (2 * self.off[hosts] + arrive) - leave * (2 * self.off[at] - leave)
        return arrive - leave, squares

    def changes_of_two(self, first: Ints, to: Ints, second: Ints, there: Ints) -> tuple[Floats, Floats]:
        """Return what moving two machines at once does to sums and to squares: pair × axis."""
        amount, per = self.objective.amount, self.objective.per
        at, beside = self.at[first], self.at[second]
        sums, squares = self.changes(first, to)
        more, further = self.changes(second, there)
        leave, arrive = amount[first] * per[at], amount[first] * per[to]
        part, come = amount[second] * per[beside], amount[second] * per[there]
        # Where the two meet on a host, the square of both is not the sum of their squares.
        both = (at == beside)[:, None] * leave * part + (to == there)[:, None] * arrive * come
        both = both - (at == there)[:, None] * leave * come - (to == beside)[:, None] * arrive * part
        return sums + more, squares + further + 2 * both
