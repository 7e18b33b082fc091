"""The best single move, again and again: what ``hbal`` does, with the same rule for when to stop.

Exact and deterministic: every machine that may move is tried on every host, in the snapshot's order, and the first of
the best is taken. The work of a step is machines × hosts, without hbal's third factor, since the score of a change
comes from sums (Ganeti's ``Ganeti/HTools/Cluster.hs``, ``tryBalance``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vhal.fleet.balance.estimate import Singles
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Ints

NEAR = 0.1
"""hbal's ``--min-gain-limit``: only below this score does a gain count as too small."""
SMALL = 0.01
"""hbal's ``--min-gain``."""
EVEN = 1e-9
"""hbal's ``--min-score``: nobody goes on below it."""
ROUGH = 1e-5
"""Relative error of scores in single precision, with room to spare."""
EQUAL = 1e-12
"""Scores that differ by less are equal: the order in which floats were added up doesn't choose a move."""


class Grid:
    """Score of every single move, kept up to date while moves are made.

    In single precision, which is half of the work; what could be the best is computed exactly.

    Args:
        layout: Where machines are; changed by :meth:`take` only.
        machines: Those that may move.
    """

    def __init__(self, layout: Layout, machines: Ints) -> None:
        self.layout = layout
        self.machines = machines
        problem, objective = layout.problem, layout.objective
        self._need = problem.need[machines]
        self._zones: Bools = (problem.open & problem.zones)[problem.zone[machines]]
        self._at = layout.at[machines]
        allowed = self._allowed()
        self.closed: Singles = np.where(allowed, np.float32(0), np.float32(np.inf))
        """Machine × host: infinite where it may not go."""
        # Where all hosts are alike a move doesn't change the mean: less than half of the work.
        self._alike = objective.alike and bool(problem.counted.all())
        # In units in which the score is just the sum over axes of the root of the sum of squares.
        self._unit = objective.weight / objective.count**0.5
        self._amount = objective.amount[machines] * self._unit
        self._changes: Singles = np.empty((len(objective.axes), *allowed.shape), np.float32)
        self._scores: Singles = np.empty(allowed.shape, np.float32)
        self._work: Singles = np.empty(allowed.shape, np.float32)
        self._see(np.arange(len(machines)), slice(None))

    def _allowed(self) -> Bools:
        layout, machines = self.layout, self.machines
        allowed: Bools = self._zones & self._room(slice(None)) & (self._at[:, None] != np.arange(len(layout.free)))
        for row, machine in enumerate(machines.tolist()):
            if machine in layout.problem.apart:
                allowed[row] &= ~layout.crowded(machine)
        return allowed

    def _room(self, hosts: slice | list[int]) -> Bools:
        """Return machine × host, of some hosts: whether there is room."""
        room = self.layout.free[hosts] + self.layout.slack
        found: Bools = self._need[:, :1] <= room[:, 0]
        for axis in range(1, room.shape[1]):
            found &= self._need[:, axis : axis + 1] <= room[:, axis]
        return found

    def _see(self, rows: Ints, hosts: slice | list[int]) -> None:
        """Compute anew what moving some machines to some hosts does to the sum of squares of each axis."""
        per, at, amount = self.layout.objective.per, self._at[rows], self._amount[rows]
        off = self.layout.off * self._unit
        leave = amount * per[at]
        left = leave * (2 * off[at] - leave)
        arrive = amount.T[:, :, None] * per[hosts].T[:, None, :]
        change = arrive + (2 * off[hosts].T)[:, None, :]
        change *= arrive
        change -= left.T[:, :, None]
        if isinstance(hosts, slice):
            self._changes[:, rows] = change
        else:
            self._changes[:, :, hosts] = change

    def best(self) -> tuple[float, int, int]:
        """Return the least score that a move leads to, and the first such move; infinite where none is allowed."""
        layout, scores = self.layout, self._estimates()
        near = np.flatnonzero(scores <= scores.min() + ROUGH * max(layout.score, 1e-3))
        rows, hosts = np.divmod(near, scores.shape[1])
        sums, squares = layout.changes(self.machines[rows], hosts)
        exact = layout.score_of(layout.sums + sums, layout.squares + squares) + self.closed[rows, hosts]
        place = int((exact <= exact.min() + EQUAL).argmax())
        return float(exact[place]), int(self.machines[rows[place]]), int(hosts[place])

    def _estimates(self) -> Singles:
        """Return machine × host: about the score after that move; infinite where it isn't allowed."""
        layout, per = self.layout, self.layout.objective.per
        sums, squares = layout.sums * self._unit, layout.squares * self._unit**2
        total, work = self._scores, self._work
        total[:] = self.closed
        for axis, changes in enumerate(self._changes):
            if self._alike:
                np.add(changes, np.float32(squares[axis] - sums[axis] ** 2 / len(per)), out=work)
            else:
                amount = self._amount[:, axis]
                np.multiply.outer(amount, per[:, axis], out=work, casting="same_kind")
                work += (sums[axis] - amount * per[self._at, axis])[:, None]
                np.square(work, out=work)
                work /= -layout.objective.count
                work += changes
                work += squares[axis]
            np.maximum(work, 0.0, out=work)
            np.sqrt(work, out=work)
            total += work
        return total

    def take(self, machine: int, host: int) -> None:
        """Make a move, and see what is allowed after it."""
        layout = self.layout
        old = int(layout.at[machine])
        layout.place(machine, host)
        self._at = layout.at[self.machines]
        self._see(np.arange(len(self.machines)), [old, host])
        self._see(np.flatnonzero((self._at == old) | (self._at == host)), slice(None))
        self._permit([old, host], machine)

    def _permit(self, hosts: list[int], changed: int) -> None:
        """See again what is allowed, after a machine went from one of these hosts to the other."""
        layout, problem = self.layout, self.layout.problem
        allowed = self._zones[:, hosts] & self._room(hosts) & (self._at[:, None] != np.array(hosts))
        self.closed[:, hosts] = np.where(allowed, np.float32(0), np.float32(np.inf))
        if problem.apart:
            related = set(problem.apart.get(changed, ()))
            for row, other in enumerate(self.machines.tolist()):
                mine = problem.apart.get(other)
                if mine is not None:
                    if related.intersection(mine):
                        self.closed[row] = np.where(layout.may(other), 0.0, np.inf)
                    else:
                        self.closed[row, layout.crowded(other)] = np.inf


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
    if not grid.closed.size:
        return made
    now = layout.score
    while (most is None or len(made) < most) and now > EVEN and go():
        score, machine, host = grid.best()
        gain = now - score
        enough = gain > 1e-12 if least is None and now > NEAR else gain >= (SMALL if least is None else least)
        if not enough:
            break
        made.append((machine, host))
        grid.take(*made[-1])
        now = layout.score
    return made
