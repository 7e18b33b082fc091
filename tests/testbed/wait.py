"""Wait for a condition, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import DeadlineError

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], *, deadline: float, what: str, poll: float = 0.02) -> T:
    """Call `condition` until its result is true, and return that result.

    `deadline` and `poll` are seconds from now and between two calls. The condition is always called
    at least once, and once more after the deadline, so that a stalled machine does not fail a
    condition that has come true meanwhile. What the condition raises goes to the caller.

    Raises `DeadlineError` naming `what` when it stayed false.
    """
    end = time.monotonic() + deadline
    while True:
        late = time.monotonic() >= end
        result = condition()
        if result:
            return result
        if late:
            raise DeadlineError(f"{what}: not within {deadline:g} s")
        time.sleep(poll)
