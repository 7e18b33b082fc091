"""Decides which of the faults that shall happen strikes when: by counting, and by a seed.

Without models at import, since every simulated world has a plan and most have no faults: those are
:mod:`vhal.driver.fault`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhal.driver.fault import Fault


@dataclass(frozen=True, slots=True)
class Visit:
    """An operation was at a point."""

    point: str
    host: str
    machine: str
    number: int
    """Which visit of that point on that host for that machine it was, from 0."""


class _Armed:
    """A fault and what it still has to do."""

    __slots__ = ("chance", "fault", "left", "skip")

    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self.skip = fault.skip
        self.left = fault.times
        # Each fault has a stream of its own: adding one doesn't move the others. ``random()`` of a generator that is
        # seeded with a string gives the same numbers on every version of Python.
        self.chance = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def wants(self) -> bool:
        """Return whether it would strike at the visit that it sees now."""
        if self.left == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        return self.fault.probability is None or self.chance.random() < self.fault.probability

    def strike(self) -> Fault:
        """Count a strike and return the fault."""
        if self.left is not None:
            self.left -= 1
        return self.fault


class FaultPlan:
    """Decides what strikes at which visit. The same seed and the same visits give the same strikes.

    Concurrency: safe from any thread.

    Args:
        faults: What shall go wrong.
        seed: Of those with a probability.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.seed = seed
        self.visits: list[Visit] | None = None
        """Every visit, if :meth:`watch` was called."""
        self._armed: list[_Armed] = []
        self._added = 0
        self._counts: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()
        self.idle = True
        """Whether visits don't matter to it. Who has points asks this first, since most plans have no faults."""
        for fault in faults:
            self.add(fault)

    @property
    def faults(self) -> list[Fault]:
        """Those that may still strike."""
        return [armed.fault for armed in self._armed if armed.left != 0]

    def add(self, fault: Fault) -> None:
        """Let ``fault`` strike from now on, too."""
        with self._lock:
            self._armed.append(_Armed(fault, f"{self.seed}:{self._added}"))
            self._added += 1
            self.idle = False

    def clear(self) -> None:
        """Let nothing strike any more."""
        with self._lock:
            self._armed.clear()
            self.idle = self.visits is None

    def watch(self) -> None:
        """Keep every visit from now on in :attr:`visits`."""
        with self._lock:
            self.visits = []
            self._counts.clear()
            self.idle = False

    def strike(self, point: str, host: str = "", machine: str = "") -> Fault | None:
        """Return what strikes at this visit: the first of the faults that does; or None."""
        with self._lock:
            if self.visits is not None:
                key = (point, host, machine)
                number = self._counts.get(key, 0)
                self._counts[key] = number + 1
                self.visits.append(Visit(point, host, machine, number))
            # Each sees the visit, also those after the one that strikes: what one does must not move the others.
            wanting = [armed for armed in self._armed if armed.fault.matches(point, host, machine) and armed.wants()]
            return wanting[0].strike() if wanting else None
