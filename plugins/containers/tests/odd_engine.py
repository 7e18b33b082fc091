"""A server that answers as a test wants it, where no sound engine would."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

Behaviour = Callable[[socket.socket, bytes], None]
"""Is given the connection and the request's head; the connection is closed after it."""


def answering(answer: bytes) -> Behaviour:
    def behave(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer)

    return behave


def response(status: str, body: bytes, *, claimed: int | None = None, type: str = "application/json") -> bytes:
    length = len(body) if claimed is None else claimed
    return f"HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: {length}\r\n\r\n".encode() + body


class OddEngine:
    """A server on a Unix socket that answers as it is told, byte by byte: what a real engine does only when it breaks.

    Serves each connection in a thread of its own, one request each, until it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.behaviour: Behaviour = answering(response("200 OK", b"{}"))
        self.heads: list[bytes] = []
        self._ending = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def silent(self, connection: socket.socket, head: bytes) -> None:
        """Behave like a daemon that is stopped: say nothing until the end of the test, or of the connection."""
        connection.recv(1)

    def close(self) -> None:
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(1)
                if not piece:
                    return
                head += piece
            self.heads.append(head)
            self.behaviour(connection, head)
