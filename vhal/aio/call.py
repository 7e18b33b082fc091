"""Awaiting a blocking call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from vhal.operation import Operation

P = ParamSpec("P")
T = TypeVar("T")


async def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``function`` in a thread and return what it returns.

    When the task is cancelled the operation is aborted, and this waits for its end before it raises
    ``CancelledError``. A call that was past its point of no return has then succeeded; ask the engine.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            loop.call_soon_threadsafe(ended.set)

    operation = Operation(getattr(function, "__name__", "call"), run)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        operation.abort()
        await _end_of(ended)
        operation.wait()
        raise
    return operation.result()


async def _end_of(ended: asyncio.Event) -> None:
    """Wait, however often the task is cancelled meanwhile: half-undone work must not be left alone."""
    while not ended.is_set():
        try:
            await ended.wait()
        except asyncio.CancelledError:
            continue
