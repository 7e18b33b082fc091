"""A connection to one engine: HTTP over its Unix socket, or over one that ssh forwards.

Requests and answers stream, so nothing big is held in memory. Nothing is waited for without end unless the caller wants
it so: connecting always has a timeout, and an answer has the one that the call gives.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpcore2

from vhal_containers.api.answer import Answer
from vhal_containers.api.errors import ApiError, Unreachable
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.path import Parameters, query
from vhal_containers.api.plain import plain
from vhal_containers.api.tunnel import Tunnel
from vhal_containers.api.unix import UnixBackend

CONNECT_S = 5.0
"""A socket of this machine accepts at once, or not at all."""
ROOT = "/v4.0.0/libpod"
"""The oldest version of the API that has everything; every later engine serves it."""

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
        self._socket = str(socket)
        self._backend = UnixBackend(self._where)
        self._pool = httpcore2.ConnectionPool(
            uds=self._socket,
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
        unframed: bool = False,
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
            unframed: Have the answer's body come :mod:`plain <vhal_containers.api.plain>`: faster, but one that the
                engine broke off looks whole. Nothing is sent then but the query.
            timeout_s: For how long the engine may say nothing; None for ever.
        """
        headers: dict[str, str] = {}
        # Without a body its length is said too: 0.
        content: Body | None = b"" if body is None and method in ("POST", "PUT") else body
        if document is not None:
            content, headers["Content-Type"] = json.dumps(document).encode(), "application/json"
        elif body is not None:
            headers["Content-Type"] = type
        with self._request(method, path, parameters, content, headers, timeout_s, unframed=unframed) as answer:
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
        *,
        unframed: bool = False,
    ) -> Iterator[Answer]:
        if self._tunnel is not None:
            self._tunnel.open()
        if self._closed:
            raise Unreachable("the connection was closed")
        asked = query(parameters or {})
        target = f"{self.root}{path}{'?' if asked else ''}{asked}"
        with contextlib.ExitStack() as stack:
            with self._named(timeout_s):
                response = stack.enter_context(
                    plain(self._backend.connect_unix_socket(self._socket, self._connect_s), method, target, timeout_s)
                    if unframed
                    else self._pool.stream(
                        method,
                        f"http://engine{target}",
                        headers=list(headers.items()),
                        content=content if content is None or isinstance(content, bytes) else iter(content),
                        extensions={
                            "timeout": {"connect": self._connect_s, "read": timeout_s, "write": timeout_s, "pool": None}
                        },
                    )
                )
            answer = Answer(response, method, path, named=lambda: self._named(timeout_s), closed=lambda: self._closed)
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
