"""Whether what several threads saw could have happened one after the other: a check for linearizability.

A history is linearizable if each operation can be thought to have taken effect at one moment between its call and its
return, so that all of them in that order are what the oracle (:mod:`vhal.testing.oracle`) says. The search is that of
J. M. Wing and C. Gong, *Testing and Verifying Concurrent Objects* (Journal of Parallel and Distributed Computing 17,
1993, section 3): try each operation that no other one returned before, and go on with the rest. What was reached
once with the same rest isn't tried again, as G. Lowe, *Testing for Linearizability* (Concurrency and Computation 29,
2017), adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vhal.testing.model import World
from vhal.testing.oracle import Operation, Refusal, step


@dataclass(frozen=True, slots=True)
class Done:
    """One operation of a history, as its thread saw it."""

    operation: Operation
    called_s: float
    returned_s: float
    error: Refusal = None
    """What it was refused with, or None."""


def linearize(
    history: Sequence[Done], before: World, ends: Callable[[World], bool] = lambda _: True
) -> list[Done] | None:
    """Return the operations in an order in which they could have happened one after the other, or None.

    Args:
        history: What was done, in any order. What had no effect for reasons of its own, as ``Busy``, isn't in it.
        before: The world as it was at the beginning.
        ends: Whether a world is as what was seen at the end.
    """
    reached: set[tuple[frozenset[int], World]] = set()

    def search(left: frozenset[int], world: World) -> list[Done] | None:
        if not left:
            return [] if ends(world) else None
        if (left, world) in reached:
            return None
        reached.add((left, world))
        first_return_s = min(history[place].returned_s for place in left)
        for place in sorted(left):
            done = history[place]
            if done.called_s > first_return_s:
                continue  # another one had returned before it was called
            outcome = step(world, done.operation)
            if outcome.error is not done.error:
                continue
            rest = search(left - {place}, outcome.world)
            if rest is not None:
                return [done, *rest]
        return None

    return search(frozenset(range(len(history))), before)
