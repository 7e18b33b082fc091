"""How busy a simulated guest is, over time: a level between 0 and 1 that changes in steps.

The level is the fraction of its processors that it keeps busy; what it writes to memory, disks and networks goes with
it. Between two steps it is constant, so that what was used in any time can be counted exactly.
"""

from __future__ import annotations

import random
from array import array
from math import ceil, inf
from typing import Protocol

STEP_S = 60.0
"""How long a step of a periodic workload lasts at most."""

SHORTEST_S = 0.1
"""How long a period, or a step of a trace, lasts at least: each costs something whenever use is counted."""


class Workload(Protocol):
    """How busy it is."""

    def level(self, time_s: float) -> float:
        """Return the level at that time."""

    def until(self, time_s: float) -> float:
        """Return when it next changes: later than ``time_s``, infinite for never."""


class Constant:
    """Always the same."""

    __slots__ = ("_level",)

    def __init__(self, level: float) -> None:
        self._level = level

    def level(self, time_s: float) -> float:
        return self._level

    def until(self, time_s: float) -> float:
        return inf


class Periodic:
    """Up and down again, evenly: a day and a night.

    Args:
        low: The level at the beginning of a period.
        high: The level in its middle.
        period_s: How long one lasts.
        phase_s: How far into a period time 0 is.
    """

    __slots__ = ("_high", "_low", "_period_s", "_phase_s", "_step_s")

    def __init__(self, low: float, high: float, period_s: float, phase_s: float = 0.0) -> None:
        self._low, self._high, self._period_s, self._phase_s = low, high, period_s, phase_s
        # An even number of steps in a period: so what is too much at the top is too little at the bottom.
        self._step_s = period_s / (2 * max(8, ceil(period_s / STEP_S / 2)))

    def level(self, time_s: float) -> float:
        # The middle of the step that the time is in: so the mean over a period is exact.
        step = _number(time_s, self._step_s)
        place = ((step + 0.5) * self._step_s + self._phase_s) % self._period_s / self._period_s
        return self._low + (self._high - self._low) * (1 - abs(2 * place - 1))

    def until(self, time_s: float) -> float:
        return _after(time_s, self._step_s)


class Burst:
    """Quiet, with a burst now and then.

    Args:
        low: The level between bursts.
        high: The level in them.
        every_s: One burst in each such time.
        length_s: How long it lasts.
        jitter: How far it may be from the beginning of its time: 0 not at all, 1 anywhere in it.
        seed: Of the jitter.
    """

    __slots__ = ("_every_s", "_high", "_jitter", "_length_s", "_low", "_seed", "_start")

    def __init__(self, low: float, high: float, every_s: float, length_s: float, jitter: float, seed: str) -> None:
        self._low, self._high, self._every_s, self._length_s = low, high, every_s, length_s
        self._jitter, self._seed = jitter, seed
        self._start = (-1, 0.0)

    def _begin(self, number: int) -> float:
        if self._start[0] != number:
            slack = self._jitter * (self._every_s - self._length_s)
            chance = random.Random(f"{self._seed}:{number}").random()  # noqa: S311 - reproducible on purpose
            self._start = (number, number * self._every_s + slack * chance)
        return self._start[1]

    def level(self, time_s: float) -> float:
        start = self._begin(_number(time_s, self._every_s))
        return self._high if start <= time_s < start + self._length_s else self._low

    def until(self, time_s: float) -> float:
        number = _number(time_s, self._every_s)
        start = self._begin(number)
        if time_s < start:
            return start
        if time_s < start + self._length_s:
            return start + self._length_s
        return self._begin(number + 1)


class Trace:
    """What was measured somewhere: one level for each step, from the beginning again when it is over.

    Args:
        levels: The steps.
        interval_s: How long each lasts.
    """

    __slots__ = ("_interval_s", "_levels")

    def __init__(self, levels: array[float], interval_s: float) -> None:
        self._levels, self._interval_s = levels, interval_s

    def level(self, time_s: float) -> float:
        return self._levels[_number(time_s, self._interval_s) % len(self._levels)]

    def until(self, time_s: float) -> float:
        return _after(time_s, self._interval_s)


def _number(time_s: float, step_s: float) -> int:
    """Return which step a time is in. One that begins at a multiple of the step is in it, whatever a quotient says."""
    number = int(time_s / step_s)
    return number + ((number + 1) * step_s <= time_s)


def _after(time_s: float, step_s: float) -> float:
    """Return the next multiple of a step that is later."""
    return (_number(time_s, step_s) + 1) * step_s
