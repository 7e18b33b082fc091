"""How the holder of a lab talks to its supervisor.

One request and one reply for each connection, over a unix socket in the lab's private folder. A
reply can carry a file descriptor; that is how a pidfd or a socket made inside the lab's namespaces
gets out of them.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from .errors import LabError

__all__ = ["REQUEST_BYTES", "answer", "ask", "ask_fd"]

REQUEST_BYTES = 65536
_TIMEOUT_S = 20.0


def _exchange(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(_TIMEOUT_S)
        try:
            link.connect(str(path))
            link.send(json.dumps(request).encode())
            data, fds, _, _ = socket.recv_fds(link, REQUEST_BYTES, 1)
        except OSError as error:
            raise LabError(f"the lab at {path.parent} does not answer: {error}") from error
    for fd in fds:
        os.set_inheritable(fd, False)
    reply: dict[str, Any] = json.loads(data) if data else {"error": "the lab has ended"}
    if "error" in reply:
        for fd in fds:
            os.close(fd)
        raise LabError(str(reply["error"]))
    return reply, fds


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the supervisor and return its reply.

    Raises `LabError` with the supervisor's words when it refuses, or when there is none.
    """
    reply, fds = _exchange(path, request)
    for fd in fds:
        os.close(fd)
    return reply


def ask_fd(path: Path, request: dict[str, Any]) -> int:
    """Send a request whose reply is a file descriptor, which the caller then owns.

    Raises `LabError` as `ask` does.
    """
    _, fds = _exchange(path, request)
    if not fds:
        raise LabError(f"no file descriptor came for {request}")
    return fds[0]


def answer(link: socket.socket, reply: dict[str, Any], fd: int | None = None) -> None:
    """Send a reply; a peer which has gone is no error."""
    fds = [] if fd is None else [fd]
    try:
        socket.send_fds(link, [json.dumps(reply).encode()], fds)
    except OSError:
        # The one who asked has died. The supervisor serves on.
        return
