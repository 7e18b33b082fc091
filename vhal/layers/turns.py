"""One call at a time, for drivers that can't take several: those that say ``concurrent = False``.

What a call hands out to be read later (a console, a program) isn't kept from others: it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from vhal.driver.capability import Capability
from vhal.driver.driver import Driver
from vhal.layers.calls import Call
from vhal.layers.funnel import Around
from vhal.layers.layer import innermost

T = TypeVar("T")

_LOCKS: WeakKeyDictionary[Driver, threading.RLock] = WeakKeyDictionary()
"""The lock of each driver; two connections may share the driver."""


class Turns(Around):
    """A driver around a driver that lets one thread in at a time; it may call within its own call.

    Args:
        inner: The driver.
    """

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.lock = _LOCKS.setdefault(innermost(inner), threading.RLock())

    def around(self, call: Call, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        with self.lock:
            result = method(*args, **kwargs)
        return self._pieces(iter(result)) if call.name == "read_archive" else result

    def provides(self, capability: Capability[T]) -> T | None:
        with self.lock:
            return super().provides(capability)

    def _pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what is read, each piece a turn."""
        try:
            while (piece := self._next(pieces)) is not None:
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                with self.lock:
                    close()

    def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        with self.lock:
            return next(pieces, None)
