"""A stream of events, with ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

from vhal.driver.event import Event
from vhal.watch import EventStream


class AsyncEventStream:
    """Events from the moment it was made. Closes at the end of an ``async with`` block."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        """The blocking one."""
        self._waiting: asyncio.Future[Event | None] | None = None

    async def next(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event; None when ``timeout_s`` passed without one, or the stream was closed."""
        # A wait that was cancelled is still under way in its thread: the next call takes over, so that the event it
        # gets isn't lost.
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(asyncio.to_thread(self.stream.next, timeout_s))
        event = await asyncio.shield(self._waiting)
        self._waiting = None
        return event

    async def close(self) -> None:
        """Get no more events."""
        await asyncio.to_thread(self.stream.close)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            event = await self.next()
            if event is None:
                return
            yield event

    async def __aenter__(self) -> AsyncEventStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
