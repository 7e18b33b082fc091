"""What is around every single call of a driver: its turn, if it takes one call at a time, and the words of its errors.

Not what is around a change of a machine (its lock, its state): that is :mod:`vhal.layers.guard`, which uses this.
"""

from __future__ import annotations

import threading
from types import TracebackType

from vhal.driver.driver import Driver
from vhal.errors import VhalError
from vhal.layers.layer import typed


class Care:
    """Whatever is raised in the block comes out as one of :mod:`vhal.errors`, with its place filled in.

    Concurrency: any number of threads may be in the block, also a thread within itself, unless it has turns.

    Args:
        driver: Whose calls are in the block.
        host: What to call its host in errors.
        turns: Held while the block runs; None to let everybody in.
    """

    __slots__ = ("_driver", "_host", "_turns")

    def __init__(self, driver: Driver, host: str, turns: threading.RLock | None = None) -> None:
        self._driver, self._host, self._turns = driver, host, turns

    def __enter__(self) -> None:
        if self._turns is not None:
            self._turns.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._turns is not None:
            self._turns.release()
        if error is None:
            return
        if isinstance(error, VhalError):
            self._place(error)
        elif isinstance(error, Exception):
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> VhalError:
        ours = typed(self._driver, error)
        self._place(ours)
        return ours

    def _place(self, error: VhalError) -> None:
        error.backend = error.backend or self._driver.backend
        error.host = error.host or self._host
