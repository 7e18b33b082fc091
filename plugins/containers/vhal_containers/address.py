"""What the backend's URLs may say, and the socket or the ssh login that a checked one leads to.

========================================  ==========================================================================
``containers:///``                        the engine of whoever runs this: root's, or one's own rootless one
``containers:///user``                    the rootless engine of whoever runs this
``containers+unix:///abs/path.sock``      the engine at that socket
``containers+ssh://user@host[:port][/…]`` the engine at that socket (root's without one) of another host, through ssh
========================================  ==========================================================================

A path is only ever a socket's, and ssh gets nothing but user, host and port: nothing in a URL can name a program.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from vhal.driver import HostUrl, Transport
from vhal.errors import InvalidUrl

BACKEND = "containers"
ROOT_SOCKET = "/run/podman/podman.sock"
LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, without the zero at its end (unix(7))."""

TRANSPORTS: dict[str | None, Transport] = {
    None: Transport(),
    "unix": Transport(),
    "ssh": Transport(host=True, user=True),
}
"""Transport → what a URL with it may say."""

PATH = re.compile(rf"/[A-Za-z0-9_./@+-]{{0,{LONGEST_SOCKET - 1}}}")
"""What the path of a URL may be; :func:`address` checks which one fits which transport."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a socket of this machine, or with ``host`` one of another."""

    socket: str
    host: str | None = None
    user: str | None = None
    port: int | None = None

    @property
    def local(self) -> bool:
        """Whether the engine is named by a socket of this machine."""
        return self.host is None


def checked(text: str) -> HostUrl:
    """Return the URL in ``text`` if it is one of this backend and asks for nothing it may not ask for.

    Raises:
        vhal.errors.InvalidUrl: It isn't.
    """
    url = HostUrl.parse(text)
    if url.backend != BACKEND:
        raise InvalidUrl(f"{text!r} is no URL of containers", hint="write containers:/// or containers+unix:///SOCKET")
    url.check(TRANSPORTS, PATH)
    address(url)
    return url


def address(url: HostUrl) -> Address:
    """Return where the engine of a checked URL listens.

    Raises:
        vhal.errors.InvalidUrl: Its path doesn't fit its transport, or a rootless engine is meant and there is no place
            where it would be.
    """
    if url.transport is None:
        if url.path == "/user" or (url.path == "/" and os.geteuid() != 0):
            return Address(_own_socket(url))
        if url.path == "/":
            return Address(ROOT_SOCKET)
        raise InvalidUrl(
            f"{url.scheme} has no {url.path}",
            hint=f"write containers:///, containers:///user, or containers+unix://{url.path} for a socket",
            backend=BACKEND,
        )
    if url.transport == "unix":
        return Address(_socket(url))
    socket = ROOT_SOCKET if url.path == "/" else _socket(url)
    # ssh takes an IPv6 address without the brackets that a URL needs.
    return Address(socket, (url.host or "").strip("[]"), url.user, url.port)


def _own_socket(url: HostUrl) -> str:
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    if not folder.startswith("/"):
        raise InvalidUrl(
            f"{url} means the rootless engine, but XDG_RUNTIME_DIR doesn't say where that is",
            hint="log in so that the variable is set, or name the socket: containers+unix:///run/user/UID/podman/podman.sock",
            backend=BACKEND,
        )
    return f"{folder}/podman/podman.sock"


def _socket(url: HostUrl) -> str:
    if url.path == "/":
        raise InvalidUrl(
            f"{url} names no socket", hint="write its path: containers+unix:///run/podman/podman.sock", backend=BACKEND
        )
    parts = url.path.split("/")[1:]
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidUrl(
            f"{url.path!r} isn't the plain path of a socket",
            hint="write it without '..', '.' and '//'",
            backend=BACKEND,
        )
    return url.path
