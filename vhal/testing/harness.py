"""How the suite gets at a backend: what it can't know by itself."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vhal.driver.driver import Driver
from vhal.spec.machine import MachineSpec

_numbers = itertools.count(1)


def _policy() -> dict[str, object]:
    return {}


@dataclass(frozen=True)
class Harness:
    """What a backend's author gives the suite."""

    open: Callable[[], Driver]
    """Return a driver for a host; called once a test, closed after it."""
    spec: Callable[[str], MachineSpec]
    """Return the smallest machine of that name that starts."""
    peer: Callable[[], Driver] | None = None
    """Return a driver for another host that machines can move to."""
    policy: Callable[[], dict[str, object]] = field(default=_policy)
    """Fields of the migration policy that a move between the two hosts needs."""
    listens: bool = True
    """Whether the machine's guest stops when it is asked."""
    has_agent: bool = True
    """Whether the machine's guest tells that it is ready."""
    patience_s: float = 60.0
    """How long something may take that takes no time on the mock."""
    prefix: str = field(default_factory=lambda: f"kit{os.getpid()}-")
    """What the names of the suite's machines begin with; it touches no others."""
    slow: bool = False
    """Whether each call takes its time, as on a real engine: made-up sequences are then few and short."""
    tells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Calls of which the engine can't tell what the contract says → the kinds of event that it tells of instead."""

    def name(self) -> str:
        """Return a name that no machine has."""
        return f"{self.prefix}{next(_numbers)}"

    def settle(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds: the only way in which the suite waits.

        Raises:
            AssertionError: It didn't within ``patience_s``.
        """
        deadline = time.monotonic() + self.patience_s
        pause_s = 0.001
        while not condition():
            assert time.monotonic() < deadline, f"{what} has not come about within {self.patience_s:g} s"
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 2)
