"""A score as a sum over hosts: how much of what is allowed each of them takes, by how far it is from the mean.

A score is a sum of roots of mean squares. A root lies below its tangents, so with tangents in place of the roots it
splits into a sum over hosts that is nowhere below it: what keeps to the sum reaches the score. Where the tangents touch
decides how the score is shared out among the axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.evenness import least_deviation
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints

LITTLE = 0.01
"""What each axis is left at least: of the score."""
ABOVE = 1.1
"""What it is left above what is known to be impossible."""


@dataclass(frozen=True)
class Allowance:
    """What hosts may take of a score, 1 in all."""

    mean: Floats
    """Axis → the share that nothing is taken for."""
    slope: Floats
    """Axis → what is taken by the square of the distance from it."""
    counted: Bools
    """Host → whether it takes anything."""

    @classmethod
    def at(cls, layout: Layout, deviation: Floats, score: float) -> Allowance:
        """Return the allowance for a score, by the tangents at some standard deviations that amount to it."""
        objective = layout.objective
        slope = objective.weight / (2 * objective.count * deviation)
        return cls(objective.mean(layout.at), slope / (score / 2), layout.problem.counted)

    def taken(self, host: Ints, shares: Floats) -> Floats:
        """Return what these hosts take of it with these shares (… × axis)."""
        taken: Floats = (shares - self.mean) ** 2 @ self.slope
        return np.where(self.counted[host], taken, 0.0)


def as_it_is(layout: Layout, score: float) -> Allowance:
    """Return the allowance that shares a score out as a layout does."""
    weight = layout.objective.weight
    spread = np.maximum(layout.objective.spread(layout.at), LITTLE * score / weight.sum())
    return Allowance.at(layout, spread * score / (weight @ spread), score)


def corners(layout: Layout, score: float, moves: float) -> Iterator[Allowance]:
    """Yield the allowances that leave all axes but one as little as so many moves may get by with.

    A sum of roots of squares is lowest, for a sum of the squares, where one of them is nearly all of it: so the best
    layouts are often in those corners.
    """
    objective = layout.objective
    weight = objective.weight
    least = least_deviation(objective, None if np.isinf(moves) else int(moves))
    least = np.maximum(least * ABOVE, LITTLE * score / weight.sum())
    left = score - weight @ least
    if left <= 0 or len(weight) != 2:
        return
    for axis in range(len(weight)):
        corner = least.copy()
        corner[axis] += left / weight[axis]
        yield Allowance.at(layout, corner, score)
