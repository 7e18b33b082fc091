"""A program that runs in a machine, with ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from vhal.aio.call import call
from vhal.execution import Execution

P = ParamSpec("P")
T = TypeVar("T")


class AsyncExecution:
    """A program that was started in a machine. At the end of an ``async with`` block it is let go of, not ended."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        """The blocking one."""

    @property
    def command(self) -> tuple[str, ...]:
        """What was started."""
        return self.execution.command

    async def exit_code(self) -> int | None:
        """Return what it ended with; None while it runs."""
        return await call(lambda: self.execution.exit_code)

    async def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return where something came, and what."""
        return await self._until_closed(self.execution.read, timeout_s)

    async def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and return what it ended with."""
        return await call(self.execution.wait, timeout_s)

    async def _until_closed(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a read; a cancelled one lets go of the program, since nothing else ends a read that waits."""
        task = asyncio.ensure_future(call(function, *args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.execution.close()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def write(self, data: bytes | str) -> None:
        """Send ``data`` to its input."""
        await call(self.execution.write, data)

    async def close_input(self) -> None:
        """Have it see the end of its input."""
        await call(self.execution.close_input)

    async def close(self) -> None:
        """Let go of it."""
        await call(self.execution.close)

    async def __aenter__(self) -> AsyncExecution:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
