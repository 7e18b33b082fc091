"""The best single move, again and again: what ``hbal`` does, with the same rule for when to stop.

Exact and deterministic: every machine that may move is tried on every host, in the snapshot's order, and the first of
the best is taken. The work of a step is machines × hosts, without hbal's third factor, since the score of a change
comes from sums (Ganeti's ``Ganeti/HTools/Cluster.hs``, ``tryBalance``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints

NEAR = 0.1
"""hbal's ``--min-gain-limit``: only below this score does a gain count as too small."""
SMALL = 0.01
"""hbal's ``--min-gain``."""
EVEN = 1e-9
"""hbal's ``--min-score``: nobody goes on below it."""


class Grid:
    """Score of every single move, kept up to date while moves are made.

    Args:
        layout: Where machines are; changed by :meth:`take` only.
        machines: Those that may move.
    """

    def __init__(self, layout: Layout, machines: Ints) -> None:
        self.layout = layout
        self.machines = machines
        self.allowed: Bools = np.array([layout.may(machine) for machine in machines.tolist()]).reshape(
            len(machines), len(layout.problem.hosts)
        )
        objective = layout.objective
        self._amount = objective.amount[machines]
        per = objective.per[layout.problem.counted]
        # Where all hosts are alike a move doesn't change the mean: a third of the work.
        self._alike = bool(layout.problem.counted.all() and (per == per[:1]).all())
        self._scores = np.empty(self.allowed.shape)
        self._work = np.empty(self.allowed.shape)
        self._mean = np.empty(self.allowed.shape)

    def scores(self) -> Floats:
        """Return machine × host: the score after that move; infinite where it isn't allowed. Valid until the next."""
        layout, objective = self.layout, self.layout.objective
        count = objective.count
        at = layout.at[self.machines]
        total = self._scores
        total.fill(0.0)
        work, mean = self._work, self._mean
        for axis, weight in enumerate(objective.weight.tolist()):
            amount, off, per = self._amount[:, axis], layout.off[:, axis], objective.per[:, axis]
            leave = amount * per[at]
            rest = layout.squares[axis] - leave * (2 * off[at] - leave)
            if self._alike:
                step = amount * per[0]
                np.multiply.outer(step * (2 / count), off, out=work)
                work += ((rest + step**2 - layout.sums[axis] ** 2 / count) / count)[:, None]
            else:
                np.multiply.outer(amount, per, out=mean)
                np.add(mean, 2 * off, out=work)
                work *= mean
                work += rest[:, None]
                mean += (layout.sums[axis] - leave)[:, None]
                mean *= mean
                mean /= count
                work -= mean
                work /= count
            np.maximum(work, 0.0, out=work)
            np.sqrt(work, out=work)
            if weight != 1.0:
                work *= weight
            total += work
        total[~self.allowed] = np.inf
        return total

    def take(self, machine: int, host: int) -> None:
        """Make a move, and see what is allowed after it."""
        layout = self.layout
        old = int(layout.at[machine])
        layout.place(machine, host)
        self.refresh([old, host], machine)

    def refresh(self, hosts: list[int], *changed: int) -> None:
        """See again what is allowed, after machines were placed that were or are on these hosts."""
        layout, problem = self.layout, self.layout.problem
        need = problem.need[self.machines]
        for each in hosts:
            column = (need <= layout.free[each] + layout.slack).all(axis=1)
            column &= problem.zones[problem.zone[self.machines], each]
            column &= problem.open[each]
            column &= layout.at[self.machines] != each
            self.allowed[:, each] = column
        if problem.apart:
            related = {place for machine in changed for place in problem.apart.get(machine, ())}
            for row, other in enumerate(self.machines.tolist()):
                mine = problem.apart.get(other)
                if mine is not None:
                    if related.intersection(mine):
                        self.allowed[row] = layout.may(other)
                    else:
                        self.allowed[row] &= ~layout.crowded(other)


def descend(
    layout: Layout,
    machines: Ints,
    *,
    most: int | None = None,
    least: float | None = None,
    go: Callable[[], bool] = lambda: True,
) -> list[tuple[int, int]]:
    """Make the best single move until none is worth it; return the moves in their order.

    Args:
        layout: Where machines are; changed.
        machines: Those that may move.
        most: No more moves than these.
        least: The least gain of a move; hbal's rule by default.
        go: Asked before each move whether there is time left.
    """
    grid = Grid(layout, machines)
    made: list[tuple[int, int]] = []
    if not grid.allowed.size:
        return made
    now = layout.score
    while (most is None or len(made) < most) and now > EVEN and go():
        scores = grid.scores()
        place = int(scores.argmin())
        row, host = divmod(place, scores.shape[1])
        gain = now - float(scores[row, host])
        enough = gain > 1e-12 if least is None and now > NEAR else gain >= (SMALL if least is None else least)
        if not enough:
            break
        made.append((int(machines[row]), host))
        grid.take(*made[-1])
        now = layout.score
    return made
