"""What many changes would do to the score, to first order: which of them are worth a closer look.

A score is a sum of square roots of sums of squares. With the roots replaced by their tangents it is quadratic in what
moves, and splits into a part of the machine, a part of the host, and their product: a matrix product gives all
machines on all hosts at once. A root lies below its tangent, so a change is never worse than it looks here. What is
made is always checked exactly first, by :mod:`~vhal.fleet.balance.trial`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Floats, Ints

Singles = NDArray[np.float32]
"""Estimates: half the memory of doubles, and precise enough to choose by."""

CELLS = 1 << 20
"""Machines × hosts, or machines × machines, that are looked at in one go; of more, a part."""
SHORT = 256
"""Changes that get a closer look, of each round of estimates."""
_SINGLE_THREAD = 1 << 18
"""OpenBLAS begins threads for products of more multiplications; waiting for each other they cost more than they do."""


@dataclass(frozen=True)
class Tangent:
    """The score's slope at a layout: of putting amounts on hosts."""

    tilt: Floats
    """Host × axis: change of the score by one more unit of amount there."""
    curve: Floats
    """Host × axis: change by the square of that amount."""

    @classmethod
    def of(cls, layout: Layout) -> Tangent:
        """Return the slope at a layout."""
        objective = layout.objective
        count, per = objective.count, objective.per
        deviation = np.sqrt(np.maximum(layout.squares / count - (layout.sums / count) ** 2, 0.0))
        # At an even axis the tangent is upright; a chord over a fraction of one machine's step stands for it.
        step = objective.largest / np.sqrt(count)
        slope = objective.weight / (2 * count * np.maximum(np.maximum(deviation, step / 4), 1e-12))
        return cls(slope * 2 * (layout.off - layout.sums / count) * per, slope * per**2)


def product(left: Floats | Singles, right: Floats | Singles) -> Singles:
    """Return ``left @ right.T`` in single precision, computed by this thread alone."""
    mine, other = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False).T
    found = np.empty((len(mine), other.shape[1]), np.float32)
    rows = max(1, _SINGLE_THREAD // max(1, other.size))
    for first in range(0, len(mine), rows):
        np.matmul(mine[first : first + rows], other, out=found[first : first + rows])
    return found


def departures(layout: Layout, tangent: Tangent, machines: Ints) -> Floats:
    """Return machine → change of the score if it just left."""
    amount, at = layout.objective.amount.take(machines, axis=0), layout.at[machines]
    slope = amount * tangent.curve.take(at, axis=0) - tangent.tilt.take(at, axis=0)
    change: Floats = np.einsum("ij,ij->i", amount, slope)
    return change


def arrivals(layout: Layout, tangent: Tangent, machines: Ints, hosts: Ints) -> Singles:
    """Return machine × host: change of the score if the machine was there in addition."""
    return product(layout.objective.moments[machines], np.hstack([tangent.tilt[hosts], tangent.curve[hosts]]))


def exchanges(layout: Layout, tangent: Tangent, first: Ints, second: Ints) -> Singles:
    """Return machine × machine: change of the score if they changed places. On one host it is meaningless."""
    amount, at = layout.objective.amount, layout.at
    return exchanged(tangent, (amount[first], at[first]), (amount[second], at[second]))


def exchanged(tangent: Tangent, first: tuple[Floats, Ints], second: tuple[Floats, Ints]) -> Singles:
    """Return the change of the score if amounts changed places with other amounts: of each its size and its host."""
    (x, tilt, curve), (y, slope, bend) = (
        (amount, tangent.tilt[at], tangent.curve[at]) for amount, at in (first, second)
    )
    # (x - y)(tilt' - tilt) + (x - y)²(curve + curve'), multiplied out into what is of one, of the other, of both.
    mine = np.hstack([x, tilt - 2 * x * curve, x**2, curve])
    other = np.hstack([slope - 2 * y * bend, y, bend, y**2])
    change = product(mine, other)
    change += (x**2 * curve - x * tilt).sum(axis=1).astype(np.float32)[:, None]
    change += (y**2 * bend - y * slope).sum(axis=1).astype(np.float32)
    return change


def equal(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Return the places, in each of two lists of hosts, where both are the same one."""
    # Through short numbers, and without a second axis: a few times as fast as numpy.nonzero of a matrix.
    small = np.uint16 if max(left.max(initial=0), right.max(initial=0)) < 1 << 16 else np.intp
    same = np.flatnonzero(left.astype(small)[:, None] == right.astype(small))
    rows, columns = np.divmod(same, max(len(right), 1))
    return rows, columns


def best_of(values: Floats | Singles, most: int) -> Ints:
    """Return where there are improvements; of more than ``most`` the best."""
    good = np.flatnonzero(values < 0)
    if len(good) > most:
        good = good[np.argpartition(values[good], most)[:most]]
    return good


def best_of_each(change: Singles) -> tuple[Ints, Ints]:
    """Return the best column of each row where it is an improvement; of many rows the best."""
    columns = change.argmin(axis=1)
    rows = best_of(change[np.arange(len(columns)), columns], SHORT)
    return rows, columns[rows]
