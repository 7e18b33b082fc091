"""Things that come one after another, for as long as the engine sends them: events, logs, archives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Self, TypeVar

from vhal_containers.api.answer import Answer

T_co = TypeVar("T_co", covariant=True)


class Feed(Generic[T_co]):
    """An answer that is being read, once, by one thread. It holds a connection until it is closed, from any thread.

    Made from a request whose answer has begun: what happens from now on is in it. Iterating raises
    :class:`~vhal_containers.api.errors.Unreachable` where the engine breaks off, and ends quietly once it was closed.

    Attributes:
        headers: The answer's headers.
    """

    def __init__(
        self, request: contextlib.AbstractContextManager[Answer], read: Callable[[Answer], Iterator[T_co]]
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._answer = self._stack.enter_context(request)
        self._items = read(self._answer)
        self.headers: Mapping[str, str] = self._answer.headers

    def __iter__(self) -> Iterator[T_co]:
        return self._items

    def close(self) -> None:
        """Let go of it; whoever reads sees the end. Idempotent."""
        self._answer.end()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
