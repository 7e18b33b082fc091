"""What an engine answers: its status, its headers, and a body that is read as it comes.

How the request was made is in :mod:`vhal_containers.api.connection`.
"""

from __future__ import annotations

import contextlib
import json
import socket as sockets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpcore2

from vhal_containers.api.errors import ApiError, Unreachable

CHUNK = 64 << 10
ERROR_MOST = 64 << 10
"""Bytes of an error's text that are read."""
DOCUMENT_MOST = 64 << 20
"""Bytes of a JSON document that are read; an engine with thousands of containers stays far below."""


class Answer:
    """A successful answer, whose body is read as it comes. One reader; :meth:`end` from any thread.

    Args:
        response: The library's.
        method: The request's.
        path: The request's.
        named: Gives a context that raises the library's errors under our names.
        closed: Says whether the connection was closed.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers; their names are in small letters.
    """

    def __init__(
        self,
        response: httpcore2.Response,
        method: str,
        path: str,
        *,
        named: Callable[[], contextlib.AbstractContextManager[None]],
        closed: Callable[[], bool],
    ) -> None:
        self._response = response
        self._method = method
        self._path = path
        self._named = named
        self._closed = closed
        self._ended = False
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body as it comes. Ends early, without an error, once :meth:`end` was called.

        Raises:
            Unreachable: The engine broke off before the body's end, or was silent for too long.
        """
        try:
            with self._named():
                yield from self._response.iter_stream()
        except Unreachable:
            if not self._ended or self._closed():
                raise

    def iter_documents(self) -> Iterator[Any]:
        """Yield the JSON documents of the body, one a line, as they come.

        Raises:
            ApiError: A line is no JSON.
            Unreachable: As in :meth:`iter_bytes`.
        """
        rest = b""
        for piece in self.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > DOCUMENT_MOST:
                raise self._not_json("a line is too long")
            for line in lines:
                if line.strip():
                    yield self._parsed(line)
        # Without its end of line a document is whole only if the body ended by itself.
        if rest.strip() and not self._ended:
            yield self._parsed(rest)

    def document(self) -> Any:
        """Read the body and return it as JSON; None if it is empty.

        Raises:
            ApiError: It is no JSON, or too long.
            Unreachable: As in :meth:`iter_bytes`.
        """
        text = bytearray()
        for piece in self.iter_bytes():
            text += piece
            if len(text) > DOCUMENT_MOST:
                raise self._not_json("it is too long")
        return self._parsed(bytes(text)) if text.strip() else None

    def discard(self) -> None:
        """Read the body and forget it, so that the connection can be used again."""
        for _ in self.iter_bytes():
            pass

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return self._ended

    def end(self) -> None:
        """Have whoever reads see the end. Idempotent; never raises; from any thread."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._socket().shutdown(sockets.SHUT_RDWR)

    def refusal(self) -> ApiError:
        """Read the body of an answer that isn't success, and return what it says."""
        text = bytearray()
        # What matters is the status; words that are cut off or late are words less.
        with contextlib.suppress(Unreachable):
            for piece in self.iter_bytes():
                text += piece[: ERROR_MOST - len(text)]
                if len(text) >= ERROR_MOST:
                    break
        said = bytes(text).decode(errors="replace").strip()
        cause = ""
        with contextlib.suppress(ValueError):
            found = json.loads(said)
            if isinstance(found, dict):
                cause = str(found.get("cause") or "")
                said = str(found.get("message") or found.get("error") or cause)
        return ApiError(self.status, said or f"it says {self.status}, and no more", cause, self._method, self._path)

    def take(self) -> tuple[sockets.socket, bytes]:
        """Return the socket of a connection that was handed over, and what came with the answer's headers."""
        stream = self._response.extensions["network_stream"]
        early = b""
        # The library keeps what it read too much, and gives it first. Without waiting: what isn't there comes later.
        with contextlib.suppress(Exception):
            early = stream.read(CHUNK, timeout=0)
        sock = self._socket()
        sock.settimeout(None)
        return sock, early

    def _socket(self) -> sockets.socket:
        sock: sockets.socket = self._response.extensions["network_stream"].get_extra_info("socket")
        return sock

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._not_json(text[:200].decode(errors="replace")) from None

    def _not_json(self, said: str) -> ApiError:
        return ApiError(self.status, f"the engine's answer isn't JSON: {said}", "", self._method, self._path)
