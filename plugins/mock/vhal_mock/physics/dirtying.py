"""What a guest writes to its memory: how fast, where, and so how many different bytes in a given time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dirtying:
    """A guest's writes. Counts pages, in bytes: who writes one byte dirties its page."""

    rate: float = 0.0
    """Bytes of pages a second, while the guest has a whole CPU and isn't throttled."""
    working_set: int = 0
    """Bytes of the area that it writes to."""
    pattern: Literal["sweep", "random"] = "sweep"
    """In order, round and round, or anywhere in the area with the same chance."""

    def __post_init__(self) -> None:
        if self.rate < 0 or self.working_set < 0:
            raise ValueError(f"a guest can't write {self.rate} bytes a second to {self.working_set} bytes")

    def dirtied(self, written: float) -> int:
        """Return how many different bytes are dirty after so many were written.

        A sweep dirties every page once before it comes to one again. Random writes of ``x`` times the area leave the
        share ``exp(-x)`` of it clean; that is taken as ``1 / (1 + h + h²/2)^16`` with ``h = x/16``, at most 0.0007 too
        much, since the last digit of ``exp`` isn't the same on every platform.
        """
        if self.pattern == "sweep" or not self.working_set:
            return min(self.working_set, int(written))
        h = written / self.working_set / 16
        grown = 1 + h + h * h / 2
        for _ in range(4):
            # Infinite after very many rounds: then nothing is clean.
            grown *= grown
        return int(self.working_set * (1 - 1 / grown))

    def fresh(self, written: float, unsent: int) -> int:
        """Return how many bytes are dirty after so many were written, besides those that were still to be sent anyway.

        ``unsent`` are bytes of the area. A sweep has just left them behind when a pass ends, since the pass sends in
        the same order: it comes to them when it has been everywhere else. Random writes find as many of them as
        anywhere.
        """
        dirtied = self.dirtied(written)
        if self.pattern == "sweep":
            return max(0, min(dirtied, self.working_set - unsent))
        return max(0, dirtied - (dirtied * unsent // self.working_set if dirtied else 0))
