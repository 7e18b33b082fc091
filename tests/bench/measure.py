"""Two things, measured in turn in one run, so that what else the machine does hits both alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """What came of one comparison."""

    name: str
    ours_s: float
    """Median, seconds."""
    peer_s: float
    """Median, seconds."""
    ratio: float
    """Ours by the peer's, of the medians."""
    limit: float
    """It shall not be more."""
    runs: int
    note: str = ""
    unit: str = "s"
    """What is compared, if it isn't time."""

    @property
    def ok(self) -> bool:
        """Whether it is within its limit."""
        return self.ratio <= self.limit

    @property
    def figures(self) -> str:
        """What was measured, with its unit."""
        if self.unit == "s":
            return f"{self.ours_s * 1000:.1f} / {self.peer_s * 1000:.1f} ms"
        return f"{self.ours_s:.4g} / {self.peer_s:.4g} {self.unit}"

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {**asdict(self), "ok": self.ok}


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    gc.collect()
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def compare(
    name: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    limit: float,
    runs: int = 7,
    note: str = "",
) -> Ratio:
    """Run both in turn, after one run of each that doesn't count, and compare the medians.

    Args:
        name: Of the comparison.
        ours: Does it once with vhal; returns its seconds.
        peer: Does it once without; returns its seconds.
        limit: The ratio that it shall not exceed.
        runs: How often, at least 5.
        note: What else one should know.
    """
    ours(), peer()
    mine: list[float] = []
    theirs: list[float] = []
    for place in range(runs):
        # Who goes first alternates: the second one of a pair finds warm caches.
        for whose, call in ((mine, ours), (theirs, peer))[:: 1 if place % 2 else -1]:
            whose.append(call())
    ours_s, peer_s = statistics.median(mine), statistics.median(theirs)
    return Ratio(name, ours_s, peer_s, ours_s / peer_s, limit, runs, note)
