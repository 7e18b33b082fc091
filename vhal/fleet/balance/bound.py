"""How good any plan could be: the least score of any placement, and the least memory that any plan must move.

**Score.** On an axis where all hosts are alike and amounts are whole multiples of a unit (a vCPU, a GiB), no placement
is more even than one that hands out the units freely, one by one; that is computed exactly. On other axes the bound is
0. Capacity, rules, and which machines may move are left out: they can only make it worse.

**Memory.** Let machines be divisible, and forget capacity. To move the least memory such that the score is at most S is
then convex, and any point of its Lagrange dual is a bound (Boyd and Vandenberghe, Convex Optimization, 5.1): with a
vector ``g`` for each axis that sums to 0, the norm of the longest as the multiplier of the score, and λ ≥ 0 as the
multiplier of the moves, of which there are at most K,

    Σ w/√M · g·x₀ − S · max|g| + Σ w c (max|g| − |g|) − λ K
    + Σ over machines of min(0, memory + λ + min over hosts of the price difference)

``c`` is the least deviation of an axis that K moves can reach, as for the score: what one axis can't get rid of, the
others must. The best λ for given vectors is that at which K machines are worth moving. The bound is evaluated exactly;
the ascent that looks for good vectors smooths the minima, and needn't be exact to be valid. Which machines may move,
and where, is heeded. Without a limit of moves K is the number of machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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
STEPS = (60, 150)
"""Of the ascent, at most, in each stage: on most fleets, and on the smallest, where a step costs next to nothing."""
SMALL = 1_000_000
"""Machines × hosts × steps that cost next to nothing."""
LEAST = 3
"""Of the ascent, at least, in each stage."""
POWER = 40.0
"""The longest norm is smoothed as a norm of this power."""


def bound(objective: Objective, at: Ints, moves: int | None = None, memory: LeastMemory | None = None) -> Bound:
    """Return how good any plan could be that reaches the score of machines at these hosts.

    Args:
        objective: What is to be even.
        at: Machine → host in the end.
        moves: The most that a plan may move; None for any number.
        memory: What is known already of the least memory, with the same limit.
    """
    score = objective.score(at)
    moved = 0.0
    if (at != objective.problem.home).any():
        moved = (memory or LeastMemory(objective, score, moves)).of(score)
    plans = "any plan" if moves is None else f"plans of at most {moves} moves"
    return Bound(
        score=least_score(objective),
        transferred=Bytes(int(moved * (1 << 30))),
        method="score: units handed out freely on axes where hosts are alike, 0 on others; "
        f"memory: of {plans}, Lagrange dual with divisible machines, without capacity",
    )


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


@dataclass(frozen=True)
class _Dual:
    """The dual problem: machines of one size and zone are one kind.

    A point of it are the vectors, host × axis. The best price of a move for them is known: where so many machines are
    worth moving as there may be moves.
    """

    objective: Objective
    moves: int
    """How many there may be."""
    stuck: Floats
    """Axis → the deviation that so many moves can't get rid of, by its weight."""
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
    def of(cls, objective: Objective, moves: int | None) -> _Dual:
        """Return the dual of moving those machines that may move and have somewhere to go."""
        problem = objective.problem
        somewhere: Bools = np.any(problem.open & problem.zones, axis=1)
        machines = np.flatnonzero(problem.movable & somewhere[problem.zone])
        keys = np.column_stack([objective.amount[machines], problem.zone[machines]])
        kinds, kind = np.unique(keys, axis=0, return_inverse=True)
        return cls(
            objective=objective,
            moves=len(machines) if moves is None else min(moves, len(machines)),
            stuck=objective.weight * least_deviation(objective, moves),
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

    def per_move(self, change: Floats) -> float:
        """Return the best price of a move, where moving the machines changes the price by so much without one."""
        if self.moves >= len(change):
            return 0.0
        return max(0.0, -float(np.partition(change, self.moves)[self.moves]))

    def value(self, vectors: Floats, score: float) -> float:
        """Return the bound that these vectors give, in GiB."""
        vectors = self.centred(vectors)
        price, here = self.prices(vectors)
        there = self.kinds @ price.T
        there[self.closed] = np.inf
        change = self.memory + there.min(axis=1)[self.kind] - here
        per_move = self.per_move(change)
        norms = np.linalg.norm(vectors, axis=0)
        fixed = (self.weight * vectors * self.start).sum() - score * norms.max() - per_move * self.moves
        fixed += (self.stuck * (norms.max() - norms)).sum()
        return max(float(fixed + np.minimum(change + per_move, 0.0).sum()), 0.0)

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
        per_move = self.per_move(change)
        change += per_move
        goes = 1 / (1 + np.exp(np.clip(change / blur, -50, 50)))
        norms = np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
        longest = norms.max() * ((norms / norms.max()) ** POWER).sum() ** (1 / POWER)
        free = score - self.stuck.sum()
        value = (self.weight * vectors * self.start).sum() - free * longest - (self.stuck * norms).sum()
        value -= blur * np.logaddexp(0, -change / blur).sum() + per_move * self.moves
        moving = self.amount * goes[:, None]
        flow = self.start.copy()
        gone, left = np.zeros_like(flow), np.zeros_like(self.kinds)
        for axis, part in enumerate(moving.T):
            gone[:, axis] = np.bincount(self.home, part, len(flow))
            left[:, axis] = np.bincount(self.kind, part, len(left))
        flow += (product(left.T, share.T).T - gone) * self.objective.per
        length = free * (norms / longest) ** (POWER - 1) + self.stuck
        return float(value), self.centred(self.weight * flow - length * vectors / norms)


class LeastMemory:
    """What every plan must move at least, that reaches some score.

    Args:
        objective: What is to be even.
        score: About the score that will be asked for: there the bound is best. It is valid at any.
        moves: The most that a plan may move; None for any number.
    """

    def __init__(self, objective: Objective, score: float, moves: int | None = None) -> None:
        self._dual = dual = _Dual.of(objective, moves)
        self._found: list[Floats] = []
        self.rate = 0.0
        """Score that a GiB is worth there, by the best point that was found; 0 if there is none."""
        usual = float(dual.memory.mean()) if len(dual.memory) else 0.0
        if not usual:
            return  # nothing can move, or what moves has no memory
        uneven = dual.centred(dual.start)
        uneven = uneven / np.maximum(np.linalg.norm(uneven, axis=0), 1e-12)
        rough = usual * np.sqrt(objective.count) / max(objective.score(objective.problem.home), 1e-9)
        most = float(np.clip(SMALL / (len(dual.kind) * len(dual.start)), *STEPS))
        steps = int(np.clip(WORK / (len(dual.kinds) * len(dual.start) * len(SHARPNESS)), LEAST, most))
        scaled = (uneven * rough * scale for scale in np.geomspace(0.1, 1e4, min(16, 2 * steps)))
        vectors = max(scaled, key=lambda each: dual.value(each, score))
        self._found.append(vectors)
        for sharpness in SHARPNESS:
            vectors = ascend(partial(dual.smooth, score=score, blur=sharpness * usual), vectors, steps)
            self._found.append(vectors)
        best = max(self._found, key=lambda each: dual.value(each, score))
        self.rate = 1 / max(float(np.linalg.norm(dual.centred(best), axis=0).max()), 1e-12)

    def of(self, score: float) -> float:
        """Return GiB that every plan moves that reaches this score."""
        return max((self._dual.value(vectors, score) for vectors in self._found), default=0.0)
