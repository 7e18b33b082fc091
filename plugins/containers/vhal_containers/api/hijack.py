"""A connection that the engine handed over: the bytes of a program's input, output and errors.

The engine answers an attach or an exec with ``101 UPGRADED``; from then on the socket carries no HTTP.
"""

from __future__ import annotations

import contextlib
import select
import socket as sockets
import threading
import time
from collections import deque
from collections.abc import Callable

from vhal_containers.api.errors import Unreachable
from vhal_containers.api.framing import BrokenFrame, Chunk, Demultiplexer

_CHUNK = 64 << 10
_FOR_EVER = -1


class Hijacked:
    """Both directions of an attached program. One reader and one writer at a time; closed from any thread."""

    def __init__(self, sock: sockets.socket, early: bytes, *, multiplexed: bool, release: Callable[[], None]) -> None:
        self._sock = sock
        self._release = release
        self._frames = Demultiplexer() if multiplexed else None
        self._waiting: deque[Chunk] = deque()
        self._ended = False
        self._input_ended = False
        self._closed = False
        self._closing = threading.Lock()
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        if early:
            self._take(early)

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return the stream (1: output, 2: errors) and what came on it, at least a byte.

        ``(0, b"")`` at the end, when ``timeout_s`` passed, or once it is closed. With a terminal all is on 1.

        Raises:
            Unreachable: The engine broke off within a frame, or the connection was lost.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            while not self._waiting:
                if self._ended or self._closed or not self._readable(deadline):
                    return 0, b""
                self._receive()
            chunk = self._waiting.popleft()
            return chunk.stream, chunk.data

    @property
    def ended(self) -> bool:
        """Whether everything was read, or it is closed."""
        return (self._ended and not self._waiting) or self._closed

    def write(self, data: bytes) -> None:
        """Send all of ``data`` to the program's input.

        Raises:
            Unreachable: The program has ended, nobody reads its input any more, or it is closed.
        """
        with self._writing:
            if self._closed or self._input_ended:
                raise Unreachable("the program's input was closed")
            try:
                self._sock.sendall(data)
            except OSError as error:
                raise Unreachable("nobody reads the program's input any more", sent=True) from error

    def end_input(self) -> None:
        """Have the program see the end of its input. Idempotent; never raises."""
        with self._writing, contextlib.suppress(OSError):
            if not self._input_ended:
                self._input_ended = True
                self._sock.shutdown(sockets.SHUT_WR)

    def close(self) -> None:
        """Let go of it; a read that waits returns. The program isn't ended. Idempotent; never raises."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError):
            # Wakes a thread that reads or writes; closing the descriptor under it would not.
            self._sock.shutdown(sockets.SHUT_RDWR)
        with self._reading, self._writing, contextlib.suppress(Exception):
            self._release()

    def _readable(self, deadline: float | None) -> bool:
        poll = select.poll()
        try:
            poll.register(self._sock, select.POLLIN)
        except (OSError, ValueError):
            return False
        left_ms = _FOR_EVER if deadline is None else max(0, round((deadline - time.monotonic()) * 1000))
        return bool(poll.poll(left_ms))

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except ConnectionResetError:
            # So ends a program whose input was still being sent.
            data = b""
        except OSError as error:
            if self._closed:
                return
            raise Unreachable(f"the connection to the program was lost: {error}", sent=True) from error
        if data:
            self._take(data)
            return
        self._ended = True
        if self._frames is not None and not self._closed:
            try:
                self._frames.end()
            except BrokenFrame as error:
                raise Unreachable(f"the engine broke off: {error}", sent=True) from error

    def _take(self, data: bytes) -> None:
        if self._frames is None:
            self._waiting.append(Chunk(1, data))
            return
        try:
            self._waiting.extend(self._frames.feed(data))
        except BrokenFrame as error:
            self._ended = True
            raise Unreachable(f"what the engine sends makes no sense: {error}", sent=True) from error
