"""Time that passes when somebody spends it.

Virtual seconds cost nothing, unless the clock has a speed: then it lets that many of them pass in a real one, for
people who want to watch.
"""

from __future__ import annotations

import threading

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
