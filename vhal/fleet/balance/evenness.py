"""How even a fleet could be at best: the least deviation of each axis, and the least score.

On an axis where all hosts are alike and amounts are whole multiples of a unit (a vCPU, a GiB), no placement is more
even than one that hands out the units freely, one by one; that is computed exactly. On other axes the bound is 0.
Capacity, rules, and which machines may move are left out: they can only make it worse.
"""

from __future__ import annotations

import numpy as np

from vhal.fleet.balance.problem import Floats
from vhal.fleet.balance.score import Objective


def least_score(objective: Objective) -> float:
    """Return a score that no placement of the machines is below."""
    return float(objective.weight @ least_deviation(objective))


def least_deviation(objective: Objective, moves: int | None = None) -> Floats:
    """Return axis → a standard deviation that no placement of the machines is below.

    Args:
        objective: What is to be even.
        moves: The most machines that move; None for any number.
    """
    problem, counted = objective.problem, objective.problem.counted
    found = np.zeros(len(objective.weight))
    if not counted.all():
        return found  # machines may leave what counts
    for axis in range(len(found)):
        amount, per = objective.amount[:, axis], objective.per[:, axis]
        whole = np.rint(amount).astype(np.int64)
        if not len(whole) or (whole != amount).any() or (per != per[0]).any():
            continue
        unit = float(np.gcd.reduce(whole))
        if not unit:
            continue
        base, given = objective.base[:, axis], np.bincount(problem.home, amount, len(per))
        least = _spread(base, unit, int(whole.sum() // unit))
        if moves is not None:
            units = int(np.sort(amount[problem.movable])[::-1][:moves].sum() // unit)
            least = max(least, _shifted(base + given, unit, units))
        found[axis] = least * per[0]
    return found


def _spread(base: Floats, unit: float, count: int) -> float:
    """Return the standard deviation after units were handed out one by one, each to whom has least."""
    level = (base.sum() + unit * count) / len(base)
    given = np.floor((level - base) / unit)
    have = np.sort(base + unit * given)
    have[: round(count - given.sum())] += unit
    return float(have.std())


def _shifted(have: Floats, unit: float, count: int) -> float:
    """Return the standard deviation after units were taken one by one from whom has most, for whom has least.

    0 if there are enough of them to make it as even as it gets.
    """
    high, low = _capped(have, unit, count), -_capped(-have, unit, count)
    if high.max() - low.min() < 1.5 * unit:
        return 0.0
    return float((high + low - have).std())


def _capped(have: Floats, unit: float, count: int) -> Floats:
    """Return what is left after units were taken one by one, each from whom has most."""
    floor, roof = float(have.min()) - unit * (count + 1), float(have.max())
    for _ in range(60):
        middle = (floor + roof) / 2
        if np.ceil(np.maximum(have - middle, 0.0) / unit).sum() <= count:
            roof = middle
        else:
            floor = middle
    taken = np.ceil(np.maximum(have - roof, 0.0) / unit)
    left = have - unit * taken
    left[np.argsort(-left, kind="stable")[: round(count - taken.sum())]] -= unit
    return left
