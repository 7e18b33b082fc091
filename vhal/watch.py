"""A stream of events to read from, fed by a host's listeners."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from types import TracebackType

from vhal import _opened
from vhal.driver.event import Event

_END = None
MOST = 100_000
"""Events that may wait to be read. Beyond, the oldest are dropped and counted."""


class EventStream:
    """Events in the order in which they happened to each machine, from the moment it was made.

    Iterating ends when it is closed. Closes at the end of a ``with`` block.

    Concurrency: one reader; close from any thread.
    """

    def __init__(self, subscribe: Callable[[Callable[[Event], None]], Callable[[], None]]) -> None:
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.closed = False
        """Whether it has been closed."""
        self.dropped = 0
        self._unsubscribe = subscribe(self._put)
        _opened.tell(self)

    def next(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event; None when ``timeout_s`` passed without one, or the stream was closed."""
        if self.closed and self._queue.empty():
            return None
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Get no more events. Idempotent."""
        if not self.closed:
            self.closed = True
            self._unsubscribe()
            self._queue.put(_END)

    def _put(self, event: Event) -> None:
        while self._queue.qsize() >= MOST:
            self._queue.get()
            self.dropped += 1
        self._queue.put(event)

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self.next()
            if event is None:
                return
            yield event

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
