"""Connections of one transfer's own to both engines, which end when the transfer shall end.

An engine that is asked to freeze or to bring back a container says nothing until it has; and a connection is the only
thing that can be taken away from it. So these are cut on an abort and at the deadline, whatever waits for them; but not
once all has been sent and only the engine's word is missing: then the machine is about to run, and to look away just
then would help nobody. For that word there is :data:`LAST_WORD_S` more.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from vhal.driver import Context
from vhal_containers.address import Address, address, checked
from vhal_containers.api import Connection, Libpod

LAST_WORD_S = 5.0


class Lines:
    """Both ends. Used as a context; :meth:`sent` from the thread that sends.

    Args:
        source: URL of the source's engine.
        destination: URL of the destination's.
        ctx: When it shall end.

    Attributes:
        source: The source's engine.
        destination: The destination's.
        where: Where the destination's engine listens.
    """

    def __init__(self, source: str, destination: str, ctx: Context) -> None:
        self._ctx = ctx
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._all_sent = False
        self._timers: list[threading.Timer] = []
        try:
            self.source = self._stack.enter_context(connected(address(checked(source))))
            self.where = address(checked(destination))
            self.destination = self._stack.enter_context(connected(self.where))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        remaining = self._ctx.remaining_s
        if remaining is not None:
            self._later(remaining)
        self._stack.enter_context(self._ctx.on_abort(self._end))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            timers, self._timers = self._timers, []
            self._all_sent = True
        for timer in timers:
            timer.cancel()
        self._stack.close()

    def sent(self) -> None:
        """Say that all has been sent. From now on there is time for the last word."""
        with self._lock:
            self._all_sent = True

    def _later(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _end(self) -> None:
        with self._lock:
            if self._all_sent:
                self._all_sent = False
                self._later(LAST_WORD_S)
                return
        self.source.connection.close()
        self.destination.connection.close()


@contextlib.contextmanager
def connected(where: Address) -> Iterator[Libpod]:
    """Give the engine at an address, on a connection of its own. It isn't asked its version: that takes a second."""
    if where.host is None:
        connection = Connection(where.socket)
    else:
        connection = Connection.over_ssh(where.host, where.socket, user=where.user, port=where.port)
    with connection:
        yield Libpod(connection)
