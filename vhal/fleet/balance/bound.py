"""How good any plan could be: the least score of any placement, and the least memory that any plan must move.

**Score.** That is :mod:`~vhal.fleet.balance.evenness`'s.

**Memory.** Let machines be divisible, and forget capacity. To move the least memory such that the score is at most S is
then convex, and any point of its Lagrange dual is a bound (Boyd and Vandenberghe, Convex Optimization, 5.1): with a
vector ``g`` for each axis that sums to 0, the norm of the longest as the multiplier of the score, and λ ≥ 0 as the
multiplier of the moves, of which there are at most K,

    Σ w/√M · g·x₀ − S · max|g| + Σ w c (max|g| − |g|) − λ K
    + Σ over machines of min(0, memory + λ + min over hosts of the price difference)

``c`` is the least deviation of an axis that K moves can reach: what one axis can't get rid of, the others must. The
best λ for given vectors is that at which K machines are worth moving. The bound is evaluated exactly; the ascent that
looks for good vectors smooths the minima, and needn't be exact to be valid. Which machines may move, and where, is
heeded. Without a limit of moves K is the number of machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vhal.fleet.balance.ascent import ascend
from vhal.fleet.balance.evenness import least_deviation, least_score
from vhal.fleet.balance.market import Market
from vhal.fleet.balance.problem import Floats, Ints
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
        moves: The most that a plan may move; None for any number. Where rules had to be mended by more, that many.
        memory: What is known already of the least memory, with the same limit.
    """
    score, made = objective.score(at), int((at != objective.problem.home).sum())
    if moves is not None and made > moves:
        moves, memory = made, None
    moved = 0.0
    if made:
        moved = (memory or LeastMemory(objective, score, moves)).of(score)
    least, how = least_score(objective)
    plans = "any plan" if moves is None else f"plans of at most {moves} moves"
    return Bound(
        score=least,
        transferred=Bytes(int(moved * (1 << 30))),
        method=f"score: {how}; memory: of {plans}, Lagrange dual with divisible machines, without capacity",
    )


@dataclass(frozen=True)
class _Dual:
    """The dual problem.

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
    market: Market
    memory: Floats
    """Machine of the market → GiB."""

    @classmethod
    def of(cls, objective: Objective, moves: int | None) -> _Dual:
        """Return the dual of moving those machines that may move and have somewhere to go."""
        problem = objective.problem
        market = Market.of(problem, objective.amount)
        movable = len(market.machines)
        return cls(
            objective=objective,
            moves=movable if moves is None else min(moves, movable),
            stuck=objective.weight * least_deviation(objective, moves),
            start=objective.shares(problem.home),
            weight=objective.weight / np.sqrt(objective.count),
            market=market,
            memory=problem.memory[market.machines],
        )

    def price(self, vectors: Floats) -> Floats:
        """Return host × axis: the price of an amount there."""
        return self.weight * vectors * self.objective.per

    def per_move(self, change: Floats) -> float:
        """Return the best price of a move, where moving the machines changes the price by so much without one."""
        if self.moves >= len(change):
            return 0.0
        return max(0.0, -float(np.partition(change, self.moves)[self.moves]))

    def value(self, vectors: Floats, score: float) -> float:
        """Return the bound that these vectors give, in GiB."""
        vectors = self.objective.centred(vectors)
        change = self.market.change(self.price(vectors), self.memory)
        per_move = self.per_move(change)
        norms = np.linalg.norm(vectors, axis=0)
        fixed = (self.weight * vectors * self.start).sum() - score * norms.max() - per_move * self.moves
        fixed += (self.stuck * (norms.max() - norms)).sum()
        return max(float(fixed + np.minimum(change + per_move, 0.0).sum()), 0.0)

    def smooth(self, vectors: Floats, score: float, blur: float) -> tuple[float, Floats]:
        """Return a smoothed value, and its gradient."""
        vectors = self.objective.centred(vectors)
        change, share = self.market.soft(self.price(vectors), blur, self.memory)
        per_move = self.per_move(change)
        gained, flow = self.market.gain(change + per_move, share, blur)
        norms = np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
        longest = norms.max() * ((norms / norms.max()) ** POWER).sum() ** (1 / POWER)
        free = score - self.stuck.sum()
        value = (self.weight * vectors * self.start).sum() - free * longest - (self.stuck * norms).sum()
        value += gained - per_move * self.moves
        length = free * (norms / longest) ** (POWER - 1) + self.stuck
        slope = self.weight * (self.start + flow * self.objective.per) - length * vectors / norms
        return float(value), self.objective.centred(slope)


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
        if not usual or not dual.moves:
            return  # nothing can move, or what moves has no memory
        uneven = objective.centred(dual.start)
        uneven = uneven / np.maximum(np.linalg.norm(uneven, axis=0), 1e-12)
        rough = usual * np.sqrt(objective.count) / max(objective.score(objective.problem.home), 1e-9)
        most = float(np.clip(SMALL / (len(dual.memory) * len(dual.start)), *STEPS))
        steps = int(np.clip(WORK / (len(dual.market.kinds) * len(dual.start) * len(SHARPNESS)), LEAST, most))
        scaled = (uneven * rough * scale for scale in np.geomspace(0.1, 1e4, min(16, 2 * steps)))
        vectors = max(scaled, key=lambda each: dual.value(each, score))
        self._found.append(vectors)
        for sharpness in SHARPNESS:
            vectors = ascend(partial(dual.smooth, score=score, blur=sharpness * usual), vectors, steps)
            self._found.append(vectors)
        best = max(self._found, key=lambda each: dual.value(each, score))
        self.rate = 1 / max(float(np.linalg.norm(objective.centred(best), axis=0).max()), 1e-12)

    def of(self, score: float) -> float:
        """Return GiB that every plan moves that reaches this score."""
        return max((self._dual.value(vectors, score) for vectors in self._found), default=0.0)
