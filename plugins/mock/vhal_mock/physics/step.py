"""One step of a copy: what is to be sent next, and what the guest does meanwhile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What a simulator carries out before it asks for the next one. A pass over the memory has one or more of them."""

    number: int
    """Of the pass, from 1; 0 for what comes before the first."""
    bytes: int
    """To be sent over the link."""
    fixed_s: float = 0.0
    """Seconds that it takes besides."""
    most: float = float("inf")
    """Bytes a second that the sender manages, however fast the link is."""
    still: bool = False
    """Whether the guest stands still: downtime."""
    last: bool = False
    """Whether nothing comes after it."""
    remote: bool = False
    """Whether the guest runs on the destination already, while the rest of its memory is still on the source: a failure
    of either or of the link now loses the machine."""
    throttle: float = 0.0
    """The share of its time that the guest is held back, 0 to 0.99."""

    def seconds(self, bandwidth: float) -> float:
        """Return how long it takes with so many bytes a second of the link all the time."""
        return self.fixed_s + (self.bytes / min(bandwidth, self.most) if self.bytes else 0.0)
