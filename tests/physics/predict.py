"""What the model says about a move that was measured."""

from __future__ import annotations

from dataclasses import dataclass

from vhal_mock.physics import DOWNTIME_LIMIT_S, Costs, Dirtying, PreCopy

from tests.physics.cells import AREA, MEMORY, MIB, Cell

BYTES = MEMORY + 540672
"""What QEMU counts as the guest's memory: firmware, and two pages that docs/decisions/0008 is about, come on top."""
BASE = 462848
"""Of that, what isn't zero in a guest that writes nothing, as QEMU counted it."""


@dataclass(frozen=True)
class Prediction:
    """What the model expects."""

    complete: bool
    total_s: float
    downtime_s: float
    sent: int
    iterations: int


def predict(cell: Cell, dirty_rate: float, costs: Costs, *, within_s: float, at_once: bool = False) -> Prediction:
    """Run the model for a cell.

    Args:
        cell: How the guest moves.
        dirty_rate: Bytes a second that it writes.
        costs: Of the host and its engine.
        within_s: When it is called off.
        at_once: Whether a post-copy is switched to right away, not after the first pass.
    """
    copy = PreCopy(
        BYTES,
        BASE + (AREA if cell.pages else 0),
        Dirtying(dirty_rate, AREA if cell.pages else 0),
        limit=None if cell.bandwidth is None else float(cell.bandwidth * MIB),
        downtime_limit_s=cell.max_downtime_s or DOWNTIME_LIMIT_S,
        auto_converge=cell.auto_converge,
        post_copy=cell.post_copy,
        streams=cell.parallel,
        costs=costs,
    )
    if cell.post_copy and at_once:
        copy.switch()
    while not copy.over and copy.elapsed_s < within_s:
        # The hosts' link is this machine's memory: what one stream manages is all that limits it.
        copy.done(copy.next().seconds(float("inf")))
    return Prediction(copy.complete, copy.elapsed_s, copy.downtime_s, copy.sent, copy.iterations)
