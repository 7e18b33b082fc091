"""Time that passes when somebody spends it.

Virtual seconds cost nothing, unless the clock has a speed: then it lets that many of them pass in a real one, for
people who want to watch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from vhal.driver.context import Context
from vhal.errors import OperationTimeout


class Clock:
    """A clock for one world.

    Args:
        speed: Virtual seconds in a real one; None for as fast as it goes.
    """

    def __init__(self, speed: float | None = None) -> None:
        self.now_s = 0.0
        self.speed = speed
        self._lock = threading.Lock()
        self._alarms: dict[Callable[[], None], float] = {}

    def spend(self, seconds: float, ctx: Context | None = None) -> None:
        """Let ``seconds`` pass for the call that ``ctx`` belongs to.

        Raises:
            vhal.errors.OperationAborted: The call was aborted.
            vhal.errors.OperationTimeout: It has no such time left; the time until its deadline has passed.
        """
        if ctx is not None:
            ctx.check()
            remaining = ctx.remaining_s
            if remaining is not None and seconds > remaining:
                self._advance(remaining)
                raise OperationTimeout(
                    f"the operation needed {seconds:g} virtual seconds more and had {remaining:g}",
                    hint="give it a longer timeout_s",
                )
        self._advance(seconds)
        real_s = 0.0
        if self.speed is not None and seconds > 0:
            real_s = seconds / self.speed
            (ctx or Context()).wait(real_s)
        if ctx is not None:
            ctx.advance(seconds - real_s)

    def _advance(self, seconds: float) -> None:
        with self._lock:
            self.now_s += seconds
            due = [alarm for alarm, at_s in self._alarms.items() if at_s <= self.now_s]
            for alarm in due:
                del self._alarms[alarm]
        for alarm in due:
            alarm()

    def wake(self, alarm: Callable[[], None], at_s: float) -> None:
        """Call ``alarm`` when it is ``at_s`` or later, in the thread that spends the time; it must be quick."""
        with self._lock:
            self._alarms[alarm] = at_s

    def forget(self, alarm: Callable[[], None]) -> None:
        """Don't call ``alarm`` any more. Does nothing if it was called."""
        with self._lock:
            self._alarms.pop(alarm, None)
