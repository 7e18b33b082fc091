"""Uphill on a smooth concave function: limited-memory BFGS (Nocedal and Wright, Numerical Optimization, 7.2).

So that a bound needs no solver beside numpy. It knows nothing of what the function is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vhal.fleet.balance.problem import Floats

MEMORY = 20
"""Steps that the curvature is remembered of."""
HALVED = 8
"""How often a step is halved that doesn't lead upwards."""


def ascend(function: Callable[[Floats], tuple[float, Floats]], start: Floats, steps: int) -> Floats:
    """Return a point that is at least as high as the start.

    Args:
        function: Point → value and gradient.
        start: Where to begin.
        steps: How many, at most.
    """
    point = start
    value, slope = function(point)
    past: list[tuple[Floats, Floats, float]] = []
    for _ in range(steps):
        way = _direction(slope, past)
        rise = float((way * slope).sum())
        if rise <= 1e-12 * max(1.0, abs(value)):
            break
        if not past:
            # The gradient says nothing of how far.
            way, rise = _scaled(way, rise, point)
        length = 1.0
        for _ in range(HALVED):
            there = point + length * way
            higher, steeper = function(there)
            if higher >= value + 1e-4 * length * rise:
                break
            length /= 2
        else:
            if not past:
                break
            past = []  # where it bends sharply, what is remembered of it misleads
            continue
        step, bend = there - point, slope - steeper
        curvature = float((step * bend).sum())
        if curvature > 1e-12:
            past = [*past[1 - MEMORY :], (step, bend, curvature)]
        point, value, slope = there, higher, steeper
    return point


def _scaled(way: Floats, rise: float, point: Floats) -> tuple[Floats, float]:
    scale = 0.1 * float(np.linalg.norm(point)) / max(float(np.linalg.norm(way)), 1e-12) or 1.0
    return way * scale, rise * scale


def _direction(slope: Floats, past: list[tuple[Floats, Floats, float]]) -> Floats:
    way = slope.copy()
    shares = []
    for step, bend, curvature in reversed(past):
        share = float((step * way).sum()) / curvature
        shares.append(share)
        way -= share * bend
    if past:
        _, bend, curvature = past[-1]
        way *= curvature / float((bend * bend).sum())
    for (step, bend, curvature), share in zip(past, reversed(shares), strict=True):
        way += step * (share - float((bend * way).sum()) / curvature)
    return way
