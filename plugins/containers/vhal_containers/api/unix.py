"""Unix sockets for the HTTP library, opened with errors of our own.

All that are open are known, so that every wait can be ended.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket as sockets
import threading
import weakref
from collections.abc import Iterable
from typing import Any

import httpcore2

from vhal_containers.api.errors import Denied, Unreachable


class UnixStream(httpcore2.NetworkStream):
    """A connected socket. One reader and one writer at a time; :meth:`end` from any thread.

    Attributes:
        ended: Whether :meth:`end` was called.
    """

    def __init__(self, sock: sockets.socket) -> None:
        self._sock = sock
        self.ended = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(timeout)
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._sock.settimeout(timeout)
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # On an idle connection this means that the engine has closed it.
            poll = select.poll()
            with contextlib.suppress(OSError, ValueError):
                poll.register(self._sock, select.POLLIN)
                return bool(poll.poll(0))
            return True
        return self._sock if info == "socket" else None

    def end(self) -> None:
        """Have whoever reads or writes see the end. Idempotent; never raises."""
        self.ended = True
        with contextlib.suppress(OSError):
            # To close the descriptor would leave a reader in another thread waiting; this wakes it.
            self._sock.shutdown(sockets.SHUT_RDWR)


class UnixBackend(httpcore2.NetworkBackend):
    """Opens connections to one socket. Safe to use from several threads.

    Args:
        where: What to call the socket in errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[UnixStream] = weakref.WeakSet()
        self._ended = False

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> UnixStream:
        """Connect.

        Raises:
            Denied: The socket's permissions don't let us in.
            Unreachable: Nobody accepts, or :meth:`end` was called.
        """
        sock = sockets.socket(sockets.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(path)
        except OSError as error:
            sock.close()
            raise self._refused(error, timeout) from error
        stream = UnixStream(sock)
        with self._lock:
            if not self._ended:
                self._open.add(stream)
                return stream
        sock.close()
        raise Unreachable("the connection was closed")

    def end(self) -> None:
        """Have whoever reads or writes see the end, and open nothing any more. Idempotent; never raises."""
        with self._lock:
            self._ended = True
            streams = list(self._open)
        for stream in streams:
            stream.end()

    def _refused(self, error: OSError, timeout: float | None) -> Unreachable:
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self._where} doesn't accept within {timeout:g} s")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Denied(f"no permission to use {self._where}")
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Unreachable(f"there is no {self._where}; the engine's service isn't running, or listens elsewhere")
        if error.errno == errno.ECONNREFUSED:
            return Unreachable(f"nobody listens at {self._where}; the engine's service isn't running")
        if error.errno == errno.EAGAIN:
            return Unreachable(f"{self._where} accepts nobody now: too many are waiting")
        return Unreachable(f"{self._where} can't be connected to: {error}")
