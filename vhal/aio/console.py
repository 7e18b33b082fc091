"""A console, with ``await``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from vhal.aio.call import call
from vhal.console import Console

P = ParamSpec("P")
T = TypeVar("T")


class AsyncConsole:
    """An open console. Closes at the end of an ``async with`` block."""

    def __init__(self, console: Console) -> None:
        self.console = console
        """The blocking one."""

    async def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came."""
        return await self._until_closed(self.console.read, timeout_s)

    async def expect(self, pattern: str | bytes, timeout_s: float = 60.0) -> re.Match[bytes]:
        """Read until ``pattern`` is found."""
        return await self._until_closed(self.console.expect, pattern, timeout_s)

    async def _until_closed(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a read; a cancelled one closes the console, since nothing else ends a read that waits."""
        task = asyncio.ensure_future(call(function, *args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.console.close()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def write(self, data: bytes | str) -> None:
        """Send ``data``."""
        await call(self.console.write, data)

    async def close(self) -> None:
        """End it."""
        await call(self.console.close)

    async def __aenter__(self) -> AsyncConsole:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
