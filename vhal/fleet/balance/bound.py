"""How good any plan could be: the least score of any placement, and the least memory that any plan must move.

**Score.** On an axis where all hosts are alike and amounts are whole multiples of a unit (a vCPU, a GiB), no placement
is more even than one that hands out the units freely, one by one; that is computed exactly. On other axes the bound is
0. Capacity, rules, and which machines may move are left out: they can only make it worse.

**Memory.** Let machines be divisible, and forget capacity. To move the least memory such that the score is at most S is
then convex, and any point of its Lagrange dual is a bound (Boyd and Vandenberghe, Convex Optimization, 5.1): with a
vector ``g`` for each axis that sums to 0, and the norm of the longest as the multiplier,

    Σ w/√M · g·x₀ − S · max|g| + Σ over machines of min(0, memory + min over hosts of the price difference)

It is evaluated exactly; the ascent that looks for good vectors smooths the minima, and needn't be exact to be valid.
Which machines may move, and where, is heeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.ascent import ascend
from vhal.fleet.balance.estimate import product
from vhal.fleet.balance.problem import Bools, Floats, Ints
from vhal.fleet.balance.score import Objective
from vhal.fleet.plan import Bound
from vhal.spec.units import Bytes

WORK = 40_000_000
"""Cells (kinds of machine × hosts) that the ascent may look at in all; large fleets get fewer steps."""
SHARPNESS = (1 / 16, 1 / 64, 1 / 256)
"""How much the minima are smoothed, stage by stage: by the usual machine's memory."""
STEPS = 40
"""Of the ascent, at most, in each stage."""
LEAST = 3
"""Of the ascent, at least, in each stage."""
POWER = 40.0
"""The longest norm is smoothed as a norm of this power."""


def bound(objective: Objective, at: Ints, memory: LeastMemory | None = None) -> Bound:
    """Return how good any plan could be that reaches the score of machines at these hosts.

    Args:
        objective: What is to be even.
        at: Machine → host in the end.
        memory: What is known already of the least memory.
    """
    score = objective.score(at)
    moved = 0.0
    if (at != objective.problem.home).any():
        moved = (memory or LeastMemory(objective, score)).of(score)
    return Bound(
        score=least_score(objective),
        transferred=Bytes(int(moved * (1 << 30))),
        method="score: units handed out freely on axes where hosts are alike, 0 on others; "
        "memory: Lagrange dual with divisible machines, without capacity",
    )


def least_score(objective: Objective) -> float:
    """Return a score that no placement of the machines is below."""
    counted = objective.problem.counted
    inside = counted[objective.problem.home]
    total = 0.0
    if not counted.all():
        return total  # machines may leave what counts
    for axis, weight in enumerate(objective.weight):
        amount, per = objective.amount[inside, axis], objective.per[counted, axis]
        whole = np.rint(amount).astype(np.int64)
        if not len(whole) or (whole != amount).any() or (per != per[0]).any():
            continue
        unit = float(np.gcd.reduce(whole))
        if unit:
            total += float(weight) * _spread(objective.base[counted, axis], unit, int(whole.sum() // unit)) * per[0]
    return float(total)


def _spread(base: Floats, unit: float, count: int) -> float:
    """Return the standard deviation after units were handed out one by one, each to whom has least."""
    level = (base.sum() + unit * count) / len(base)
    given = np.floor((level - base) / unit)
    have = np.sort(base + unit * given)
    have[: round(count - given.sum())] += unit
    return float(have.std())


@dataclass(frozen=True)
class _Dual:
    """The dual problem: machines of one size and zone are one kind."""

    objective: Objective
    start: Floats
    """Host × axis: shares as they are."""
    weight: Floats
    kinds: Floats
    closed: tuple[Ints, ...]
    """Kinds and hosts that don't go together."""
    kind: Ints
    home: Ints
    memory: Floats
    amount: Floats

    @classmethod
    def of(cls, objective: Objective) -> _Dual:
        """Return the dual of moving those machines that may move and have somewhere to go."""
        problem = objective.problem
        somewhere: Bools = np.any(problem.open & problem.zones, axis=1)
        machines = np.flatnonzero(problem.movable & somewhere[problem.zone])
        keys = np.column_stack([objective.amount[machines], problem.zone[machines]])
        kinds, kind = np.unique(keys, axis=0, return_inverse=True)
        return cls(
            objective=objective,
            start=objective.shares(problem.home),
            weight=objective.weight / np.sqrt(objective.count),
            kinds=kinds[:, :-1],
            closed=np.nonzero(~(problem.open & problem.zones[kinds[:, -1].astype(np.intp)])),
            kind=kind.ravel(),
            home=problem.home[machines],
            memory=problem.memory[machines],
            amount=objective.amount[machines],
        )

    def centred(self, vectors: Floats) -> Floats:
        """Return vectors that sum to 0 over the hosts that count, and are 0 on others."""
        counted = self.objective.problem.counted[:, None]
        inside = np.where(counted, vectors, 0.0)
        return np.where(counted, inside - inside.sum(axis=0) / counted.sum(), 0.0)

    def prices(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Return host × axis: the price of an amount there; and machine → the price of where it is."""
        price = self.weight * vectors * self.objective.per
        return price, (price[self.home] * self.amount).sum(axis=1)

    def value(self, vectors: Floats, score: float) -> float:
        """Return the bound that these vectors give, in GiB."""
        vectors = self.centred(vectors)
        price, here = self.prices(vectors)
        there = self.kinds @ price.T
        there[self.closed] = np.inf
        change = self.memory + there.min(axis=1)[self.kind] - here
        longest = np.linalg.norm(vectors, axis=0).max()
        fixed = (self.weight * vectors * self.start).sum() - score * longest
        return max(float(fixed + change[change < 0].sum()), 0.0)

    def smooth(self, vectors: Floats, score: float, blur: float) -> tuple[float, Floats]:
        """Return a smoothed value, and its gradient."""
        vectors = self.centred(vectors)
        price, here = self.prices(vectors)
        there = product(self.kinds, price)
        there[self.closed] = np.inf
        least = there.min(axis=1)
        share = np.exp((least[:, None] - there) / np.float32(blur))
        parts = share.sum(axis=1)
        share /= parts[:, None]
        change = self.memory + (least - blur * np.log(parts))[self.kind] - here
        goes = 1 / (1 + np.exp(np.clip(change / blur, -50, 50)))
        norms = np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
        longest = norms.max() * ((norms / norms.max()) ** POWER).sum() ** (1 / POWER)
        value = (self.weight * vectors * self.start).sum() - score * longest
        value -= blur * np.logaddexp(0, -change / blur).sum()
        moving = self.amount * goes[:, None]
        flow = self.start.copy()
        gone, left = np.zeros_like(flow), np.zeros_like(self.kinds)
        for axis, part in enumerate(moving.T):
            gone[:, axis] = np.bincount(self.home, part, len(flow))
            left[:, axis] = np.bincount(self.kind, part, len(left))
        flow += (product(left.T, share.T).T - gone) * self.objective.per
        slope = self.weight * flow - score * (norms / longest) ** (POWER - 1) * vectors / norms
        return float(value), self.centred(slope)


class LeastMemory:
    """What every plan must move at least, that reaches some score.

    Args:
        objective: What is to be even.
        score: About the score that will be asked for: there the bound is best. It is valid at any.
    """

    def __init__(self, objective: Objective, score: float) -> None:
        self._dual = dual = _Dual.of(objective)
        self._found: list[Floats] = []
        usual = float(dual.memory.mean()) if len(dual.memory) else 0.0
        if not usual:
            return  # nothing can move, or what moves has no memory
        uneven = dual.centred(dual.start)
        uneven = uneven / np.maximum(np.linalg.norm(uneven, axis=0), 1e-12)
        rough = usual * np.sqrt(objective.count) / max(objective.score(objective.problem.home), 1e-9)
        steps = int(np.clip(WORK / ((len(dual.kinds) * len(dual.start)) * len(SHARPNESS)), LEAST, STEPS))
        scaled = (uneven * rough * scale for scale in np.geomspace(0.1, 1e4, min(16, 2 * steps)))
        vectors = max(scaled, key=lambda each: dual.value(each, score))
        self._found.append(vectors)
        for sharpness in SHARPNESS:
            vectors = ascend(lambda each, blur=sharpness * usual: dual.smooth(each, score, blur), vectors, steps)  # type: ignore[misc]
            self._found.append(vectors)

    def of(self, score: float) -> float:
        """Return GiB that every plan moves that reaches this score."""
        return max((self._dual.value(vectors, score) for vectors in self._found), default=0.0)
