"""How long a machine takes to move, and how long it stands still: a model that a simulator steps through.

``precopy`` is a VM's memory, ``stopcopy`` a container's, ``blockcopy`` a disk that isn't shared; each gives one
:class:`Step` after the other, and is told how long it took. ``dirtying`` is what the guest writes, ``costs`` what it
takes besides. Links, clocks and machines are the caller's. docs/explanation/physics.md compares it with real QEMU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vhal_mock.physics.blockcopy import BlockCopy
from vhal_mock.physics.costs import Costs
from vhal_mock.physics.dirtying import Dirtying
from vhal_mock.physics.precopy import DOWNTIME_LIMIT_S, PreCopy
from vhal_mock.physics.step import Step
from vhal_mock.physics.stopcopy import StopAndCopy

__all__ = ["DOWNTIME_LIMIT_S", "BlockCopy", "Costs", "Dirtying", "PreCopy", "Step", "StopAndCopy", "rounds"]

SETUP_S = 0.05
"""Time to open connections and start the receiving side."""
SWITCH_S = 0.02
"""What a switch-over takes besides the memory that is left: device state, a last round trip."""
THROTTLE_FIRST, THROTTLE_STEP, THROTTLE_MOST = 0.2, 0.1, 0.99
MOST_ROUNDS = 1000
"""A migration that hasn't converged by then never will."""


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over the memory that is to be sent."""

    number: int
    """From 1."""
    sent: int
    """Bytes."""
    seconds: float
    left: int
    """Bytes dirtied meanwhile."""
    last: bool
    """Whether the guest stands still during it."""


def rounds(
    memory: int,
    dirty_rate: float,
    working_set: int,
    bandwidth: float,
    *,
    downtime_limit_s: float = DOWNTIME_LIMIT_S,
    auto_converge: bool = False,
    post_copy: bool = False,
) -> Iterator[Round]:
    """Yield the rounds of a migration; the last one is the switch-over. Ends without one if it doesn't converge.

    Args:
        memory: Bytes to send at first.
        dirty_rate: Bytes a second that the guest writes.
        working_set: Bytes that it writes to.
        bandwidth: Bytes a second of the link.
        downtime_limit_s: The switch-over happens when what is left takes no longer.
        auto_converge: Slow the guest down when a round leaves more than half of what it sent.
        post_copy: Switch after the first round, whatever is left.
    """
    to_send, throttle = memory, 0.0
    for number in range(1, MOST_ROUNDS + 1):
        seconds = to_send / bandwidth
        left = min(working_set, int(dirty_rate * (1 - throttle) * seconds))
        yield Round(number, to_send, seconds, left, last=False)
        if post_copy or left / bandwidth <= downtime_limit_s:
            still = 0.0 if post_copy else left / bandwidth
            yield Round(number + 1, left, still + SWITCH_S, 0, last=True)
            return
        if auto_converge and left * 2 > to_send:
            throttle = min(THROTTLE_MOST, throttle + (THROTTLE_STEP if throttle else THROTTLE_FIRST))
        to_send = left
