"""How a simulated guest comes up: a ladder of rungs, each reached at its time or after so many looks.

``ready()`` is the last rung. How much of the boot lies before each is an assumption, of a small Linux guest; what
people rely on is the order.
"""

from __future__ import annotations

from enum import StrEnum


class Rung(StrEnum):
    """How far a guest has come."""

    DEFINED = "defined"
    """It isn't started."""
    POWERED = "powered"
    FIRMWARE = "firmware"
    KERNEL = "kernel"
    NETWORK = "network"
    AGENT = "agent"
    """Programs can be run in it."""
    READY = "ready"
    """Its init has done all that it had to."""


REACHED = {
    Rung.FIRMWARE: 0.05,
    Rung.KERNEL: 0.2,
    Rung.NETWORK: 0.6,
    Rung.AGENT: 0.8,
    Rung.READY: 1.0,
}
"""Rung → fraction of the boot time after which it is reached."""


class Boot:
    """One start of one guest.

    Args:
        begun_s: When it was started.
        takes_s: How long it takes.
        looks: Instead of time: how often somebody must look until it is ready.
    """

    __slots__ = ("begun_s", "looks", "seen", "takes_s")

    def __init__(self, begun_s: float, takes_s: float, looks: int | None = None) -> None:
        self.begun_s, self.takes_s, self.looks = begun_s, takes_s, looks
        self.seen = 0

    def look(self) -> None:
        """Note that somebody looked."""
        self.seen += 1

    def left_s(self, now_s: float, rung: Rung = Rung.READY) -> float:
        """Return the time until a rung is reached; 0 if it is, or if it is looks that count."""
        if self.looks is not None:
            return 0.0
        return max(0.0, self.begun_s + self.takes_s * REACHED.get(rung, 0.0) - now_s)

    def rung(self, now_s: float) -> Rung:
        """Return how far it has come."""
        if self.looks is not None:
            done = self.seen / self.looks
        elif self.takes_s > 0:
            done = (now_s - self.begun_s) / self.takes_s
        else:
            done = 1.0
        reached = Rung.POWERED
        for rung, fraction in REACHED.items():
            if done >= fraction - 1e-9:
                reached = rung
        return reached
