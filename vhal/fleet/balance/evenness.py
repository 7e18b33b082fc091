"""How even a fleet could be at best: the least deviation of each axis, and the least score.

**An axis** where all hosts are alike and amounts are whole multiples of a unit (a vCPU, a GiB) can't be more even than
if the units were handed out freely, one by one; that is computed exactly.

**The score** of all axes together: let machines be divisible. For vectors ``g``, one for each axis, that sum to 0 and
are no longer than 1, a standard deviation √M σ = |share - mean| is at least g·share, so a placement's score is at least
Σ w/√M g·share, and that is at least its minimum over placements, in which each machine is where it is priced lowest:
any point of a Lagrange dual is a bound (Boyd and Vandenberghe, Convex Optimization, 5.1). With what is known of each
axis, c, and multipliers u ≥ 0 of the room on each host,

    Σ w/√M g·x₀ + Σ w c (1 - |g|) - u·(room that is free) + Σ over machines of min(0, price difference)

It is evaluated exactly; the ascent that looks for good points smooths the minima, and charges for longer vectors. Which
machines may move, and where, is heeded; which have to be apart isn't.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vhal.fleet.balance.ascent import ascend
from vhal.fleet.balance.market import Market
from vhal.fleet.balance.problem import SLACK, Floats
from vhal.fleet.balance.score import Objective

WORK = 40_000_000
"""Prices that the ascent may look at in all; large fleets get fewer steps."""
SHARPNESS = (1 / 8, 1 / 32, 1 / 128)
"""How much the minima are smoothed, stage by stage: by what the usual machine costs."""
STEPS = 50
"""Of the ascent, at most, in each stage: more find little."""
FEWEST = 30
"""Steps, in all, that aren't too few to begin."""
CHARGE = 0.6
"""For the square of what a vector is longer than 1: by the score as it is, and the more the sharper."""
ROOM = 0.1
"""The root of what room is worth to begin with."""


def least_score(objective: Objective) -> tuple[float, str]:
    """Return a score that no plan's end is below, and in words how it was found.

    On fleets that are too large for an ascent it is that of units, which is 0 on axes where hosts aren't alike; and on
    those whose machines, if they were divisible, could be shared out evenly.
    """
    if not objective.problem.counted.any():
        return 0.0, "no host counts"
    dual = _Dual.of(objective)
    now, units = objective.score(objective.problem.home), float(dual.stuck.sum())
    if not now or not dual.usual:
        return now * (1 - SLACK), "as it is, since no move makes it lower"
    words = "units handed out freely on axes where hosts are alike"
    steps = WORK // dual.prices
    if steps < FEWEST or _sharable(objective):
        return units, f"{words}, 0 on others"
    point, found = dual.begin(), units
    for sharpness in SHARPNESS:
        blur, charge = sharpness * dual.usual, CHARGE * now / sharpness
        point = ascend(partial(dual.smooth, blur=blur, charge=charge), point, min(steps, STEPS))
        steps = max(steps - STEPS, 0)
        found = max(found, dual.value(point) - SLACK * now)
    return found, f"Lagrange dual with divisible machines, within capacity; {words}"


def _sharable(objective: Objective) -> bool:
    """Return whether a part of each machine could be on each host: then the dual has nothing to add."""
    problem = objective.problem
    free = problem.movable.all() and problem.open.all() and problem.zones.all()
    fits = (problem.need.sum(axis=0) / len(problem.room) <= problem.room).all()
    return bool(free and fits and objective.alike and (objective.base == objective.base[:1]).all())


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


@dataclass(frozen=True)
class _Dual:
    """The dual problem. A point of it: host × the vectors of axes, and the roots of what its room is worth."""

    objective: Objective
    market: Market
    """Machines by what they take of axes, and by what they need of the largest host's room."""
    stuck: Floats
    """Axis → its least deviation, by its weight."""
    start: Floats
    """Host × axis: shares as they are."""
    free: Floats
    """Host × resource: what machines may come to need there, by the largest host's room."""
    weight: Floats

    @classmethod
    def of(cls, objective: Objective) -> _Dual:
        """Return the dual of the score, wherever the machines may go."""
        problem = objective.problem
        largest = np.maximum(problem.room.max(axis=0), 1.0)
        return cls(
            objective=objective,
            market=Market.of(problem, np.hstack([objective.amount, problem.need / largest])),
            stuck=objective.weight * least_deviation(objective),
            start=objective.shares(problem.home),
            free=np.maximum(problem.free(problem.home) / largest, 0.0) + SLACK,
            weight=objective.weight / np.sqrt(objective.count),
        )

    @property
    def prices(self) -> int:
        """How many prices a step looks at."""
        return len(self.market.kinds) * len(self.start) + self.market.amount.size

    @property
    def usual(self) -> float:
        """What the usual machine costs with the usual prices; 0 if it is the same wherever machines are."""
        if not len(self.market.amount):
            return 0.0
        amount = self.market.amount[:, : len(self.weight)].mean(axis=0)
        return float(amount @ (self.weight * self.objective.per.mean(axis=0)) / np.sqrt(self.objective.count))

    def begin(self) -> Floats:
        """Return a point to begin at: the way in which it is uneven now."""
        uneven = self.objective.centred(self.start)
        uneven /= np.maximum(np.linalg.norm(uneven, axis=0), 1e-12)
        return np.hstack([uneven, np.full(self.free.shape, ROOM)])

    def value(self, point: Floats) -> float:
        """Return the bound that a point gives; vectors that are too long are made shorter."""
        vectors, room = self._parts(point)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=0), 1.0)
        change = self.market.change(self._price(vectors, room))
        return self._stays(vectors, room) + float(np.minimum(change, 0.0).sum())

    def smooth(self, point: Floats, blur: float, charge: float) -> tuple[float, Floats]:
        """Return a smoothed value, less a charge for vectors that are too long, and its gradient."""
        vectors, room = self._parts(point)
        change, share = self.market.soft(self._price(vectors, room), blur)
        gained, flow = self.market.gain(change, share, blur)
        axes, norms = len(self.weight), np.linalg.norm(vectors, axis=0)
        over = np.maximum(norms - 1.0, 0.0)
        value = self._stays(vectors, room) + gained - charge / 2 * float((over**2).sum())
        slope = self.weight * (self.start + flow[:, :axes] * self.objective.per)
        slope -= (self.stuck + charge * over) * vectors / np.maximum(norms, 1e-12)
        worth = 2 * point[:, axes:] * (flow[:, axes:] - self.free) / self.objective.count
        return value, np.hstack([self.objective.centred(slope), worth])

    def _parts(self, point: Floats) -> tuple[Floats, Floats]:
        axes = len(self.weight)
        return self.objective.centred(point[:, :axes]), point[:, axes:] ** 2 / self.objective.count

    def _price(self, vectors: Floats, room: Floats) -> Floats:
        return np.hstack([self.weight * vectors * self.objective.per, room])

    def _stays(self, vectors: Floats, room: Floats) -> float:
        known = (self.stuck * (1.0 - np.linalg.norm(vectors, axis=0))).sum()
        return float((self.weight * vectors * self.start).sum() + known - (room * self.free).sum())
