"""A connection to one engine: HTTP over its Unix socket, or over one that ssh forwards.

Requests and answers stream, so nothing big is held in memory. Nothing is waited for without end unless the caller wants
it so: connecting always has a timeout, and an answer has the one that the call gives.
"""

from __future__ import annotations

import contextlib
import json
import socket as sockets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpcore2

from vhal_containers.api.errors import ApiError, Unreachable
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.path import Parameters, query
from vhal_containers.api.tunnel import Tunnel
from vhal_containers.api.unix import UnixBackend

CONNECT_S = 5.0
"""A socket of this machine accepts at once, or not at all."""
ROOT = "/v4.0.0/libpod"
"""The oldest version of the API that has everything; every later engine serves it."""
CHUNK = 64 << 10
ERROR_MOST = 64 << 10
"""Bytes of an error's text that are read."""
DOCUMENT_MOST = 64 << 20
"""Bytes of a JSON document that are read; an engine with thousands of containers stays far below."""

Body = bytes | Iterable[bytes]
TAR = "application/x-tar"

_IDLE_MOST = 16
_IDLE_S = 30.0
_SUCCESS = 2
_SWITCHING = 101


class Connection:
    """Carries requests to one engine, over as many connections at once as there are calls. Safe for several threads.

    Nothing is opened until the first request, and what was opened is used again. Every method raises:

    * :class:`~vhal_containers.api.errors.ApiError` where the engine answers with anything but success;
    * :class:`~vhal_containers.api.errors.Denied` where the socket or ssh doesn't let us in;
    * :class:`~vhal_containers.api.errors.Unreachable` where the engine isn't there, is silent for longer than the
      call's timeout, breaks off, or the connection was closed.

    Args:
        socket: The engine's socket on this machine.
        connect_s: For how long to try to connect.
        tunnel: What makes ``socket`` lead to another host. It is closed with the connection.

    Attributes:
        root: What every path begins with: the API that is spoken, and its version.
    """

    def __init__(self, socket: Path | str, *, connect_s: float = CONNECT_S, tunnel: Tunnel | None = None) -> None:
        self._where = str(socket) if tunnel is None else f"the engine's socket on {tunnel.host}"
        self._tunnel = tunnel
        self._connect_s = connect_s
        self._closed = False
        self.root = ROOT
        self._backend = UnixBackend(self._where)
        self._pool = httpcore2.ConnectionPool(
            uds=str(socket),
            max_connections=None,
            max_keepalive_connections=_IDLE_MOST,
            keepalive_expiry=_IDLE_S,
            network_backend=self._backend,
        )

    @classmethod
    def over_ssh(cls, host: str, socket: str, *, user: str | None = None, port: int | None = None) -> Self:
        """Return a connection to the engine at ``socket`` on another host. ssh starts at the first request.

        If ssh ends, the next request starts it again.

        Raises:
            ValueError: Host, socket, user or port isn't what it must be.
        """
        tunnel = Tunnel(host, socket, user=user, port=port)
        return cls(tunnel.socket, tunnel=tunnel)

    def get(self, path: str, parameters: Parameters | None = None, *, timeout_s: float | None = None) -> Any:
        """Return the JSON document at ``path``; None if the answer is empty."""
        return self.call("GET", path, parameters, timeout_s=timeout_s)

    def post(
        self,
        path: str,
        parameters: Parameters | None = None,
        *,
        document: Any = None,
        body: Body | None = None,
        type: str = TAR,
        timeout_s: float | None = None,
    ) -> Any:
        """Send a JSON document, or a body of that type piece by piece, and return the answer's document."""
        return self.call("POST", path, parameters, document=document, body=body, type=type, timeout_s=timeout_s)

    def put(
        self, path: str, parameters: Parameters | None = None, *, body: Body, timeout_s: float | None = None
    ) -> Any:
        """Send a tar archive piece by piece, and return the answer's document."""
        return self.call("PUT", path, parameters, body=body, timeout_s=timeout_s)

    def delete(self, path: str, parameters: Parameters | None = None, *, timeout_s: float | None = None) -> Any:
        """Have what is at ``path`` deleted, and return the answer's document."""
        return self.call("DELETE", path, parameters, timeout_s=timeout_s)

    def call(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        document: Any = None,
        body: Body | None = None,
        type: str = TAR,
        timeout_s: float | None = None,
    ) -> Any:
        """Make a request and return the answer's JSON document; None if the answer is empty."""
        with self.stream(
            method, path, parameters, document=document, body=body, type=type, timeout_s=timeout_s
        ) as answer:
            return answer.document()

    def call_quietly(self, method: str, path: str, parameters: Parameters | None, timeout_s: float | None) -> None:
        """Make a request whose answer's body, whatever it is, doesn't matter."""
        with self.stream(method, path, parameters, timeout_s=timeout_s) as answer:
            answer.discard()

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        document: Any = None,
        body: Body | None = None,
        type: str = TAR,
        timeout_s: float | None = None,
    ) -> Iterator[Answer]:
        """Make a request and give the answer, whose body is still to come.

        Args:
            method: The HTTP method.
            path: What :func:`vhal_containers.api.path.path` made, below the API's root.
            parameters: The query.
            document: What to send as JSON.
            body: What to send piece by piece. What iterating it raises is raised here, and the engine sees a body that
                was cut off.
            type: The body's content type.
            timeout_s: For how long the engine may say nothing; None for ever.
        """
        headers: dict[str, str] = {}
        # Without a body its length is said too: 0.
        content: Body | None = b"" if body is None and method in ("POST", "PUT") else body
        if document is not None:
            content, headers["Content-Type"] = json.dumps(document).encode(), "application/json"
        elif body is not None:
            headers["Content-Type"] = type
        with self._request(method, path, parameters, content, headers, timeout_s) as answer:
            yield answer

    def hijack(
        self,
        path: str,
        parameters: Parameters | None = None,
        *,
        document: Any = None,
        multiplexed: bool,
        timeout_s: float | None = None,
    ) -> Hijacked:
        """POST, and take the connection over for bytes in both directions. The caller closes it.

        Args:
            path: As for :meth:`stream`.
            parameters: The query.
            document: What to send as JSON.
            multiplexed: Whether what comes is in frames: so it is where there is no terminal.
            timeout_s: For how long the engine may take to agree.
        """
        with contextlib.ExitStack() as stack:
            answer = stack.enter_context(
                self._request(
                    "POST",
                    path,
                    parameters,
                    b"" if document is None else json.dumps(document).encode(),
                    {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"},
                    timeout_s,
                )
            )
            if answer.status != _SWITCHING:
                raise ApiError(answer.status, "the engine didn't hand the connection over", "", "POST", path)
            sock, early = answer.take()
            return Hijacked(sock, early, multiplexed=multiplexed, release=stack.pop_all().close)

    def close(self) -> None:
        """End everything, answers that are being read as well. Idempotent; never raises."""
        self._closed = True
        self._backend.end()
        with contextlib.suppress(Exception):
            self._pool.close()
        if self._tunnel is not None:
            self._tunnel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _request(
        self,
        method: str,
        path: str,
        parameters: Parameters | None,
        content: Body | None,
        headers: Mapping[str, str],
        timeout_s: float | None,
    ) -> Iterator[Answer]:
        if self._tunnel is not None:
            self._tunnel.open()
        if self._closed:
            raise Unreachable("the connection was closed")
        asked = query(parameters or {})
        timeouts = {"connect": self._connect_s, "read": timeout_s, "write": timeout_s, "pool": None}
        with contextlib.ExitStack() as stack:
            with self._named(timeout_s):
                response = stack.enter_context(
                    self._pool.stream(
                        method,
                        f"http://engine{self.root}{path}{'?' if asked else ''}{asked}",
                        headers=list(headers.items()),
                        content=content if content is None or isinstance(content, bytes) else iter(content),
                        extensions={"timeout": timeouts},
                    )
                )
            answer = Answer(self, response, method, path, timeout_s)
            if answer.status // 100 != _SUCCESS and answer.status != _SWITCHING:
                raise answer.refusal()
            yield answer

    @contextlib.contextmanager
    def _named(self, timeout_s: float | None) -> Iterator[None]:
        """Raise what the library raises under our names."""
        try:
            yield
        except httpcore2.TimeoutException as error:
            raise Unreachable(f"the engine at {self._where} said nothing for {timeout_s:g} s", sent=True) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            if self._closed:
                raise Unreachable("the connection was closed", sent=True) from error
            complaint = self._tunnel.complaint() if self._tunnel is not None else ""
            reason = complaint or str(error) or type(error).__name__
            raise Unreachable(f"the engine at {self._where} broke off: {reason}", sent=True) from error


class Answer:
    """A successful answer, whose body is read as it comes. One reader; :meth:`end` from any thread.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers; their names are in small letters.
    """

    def __init__(
        self, connection: Connection, response: httpcore2.Response, method: str, path: str, timeout_s: float | None
    ) -> None:
        self._connection = connection
        self._response = response
        self._method = method
        self._path = path
        self._timeout_s = timeout_s
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
            with self._connection._named(self._timeout_s):
                yield from self._response.iter_stream()
        except Unreachable:
            if not self._ended or self._connection._closed:
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
