"""What the backend's URLs may say, and the libvirt address that is built from a checked one.

A libvirt address can name programs to run and checks to skip, so none is ever taken from outside: it is put together
here from parts that :meth:`vhal.driver.HostUrl.check` has looked at. Opening it is :mod:`vhal_libvirt.connection`.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from vhal.driver import HostUrl, Transport
from vhal.errors import InvalidUrl

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, without the zero at its end (unix(7))."""

TRANSPORTS: dict[str | None, Transport] = {
    None: Transport(),
    "unix": Transport(parameters={"socket": re.compile(rf"/[A-Za-z0-9_./@+-]{{1,{LONGEST_SOCKET - 1}}}")}),
    "tls": Transport(host=True),
    "ssh": Transport(host=True, user=True),
    "tcp": Transport(host=True, parameters={"plaintext": re.compile("yes")}),
    "test": Transport(),
}
"""Transport → what a URL with it may say."""

PATH = re.compile(r"/(system|session|default)")
"""What the path of a URL may be; :func:`libvirt_uri` checks which one fits which transport."""

_PATHS = {
    None: ("/system", "/session"),
    "unix": ("/system", "/session"),
    "tls": ("/system",),
    "ssh": ("/system", "/session"),
    "tcp": ("/system",),
    "test": ("/default",),
}


def checked(text: str) -> HostUrl:
    """Return the URL in ``text`` if it is one of this backend and asks for nothing it may not ask for.

    Raises:
        vhal.errors.InvalidUrl: It isn't.
    """
    url = HostUrl.parse(text)
    if url.backend != "libvirt":
        raise InvalidUrl(f"{text!r} is no URL of libvirt", hint="write libvirt+TRANSPORT://HOST/system")
    url.check(TRANSPORTS, PATH)
    libvirt_uri(url)
    return url


def libvirt_uri(url: HostUrl) -> str:
    """Return libvirt's own address for a URL.

    Raises:
        vhal.errors.InvalidUrl: Its path doesn't fit its transport, or a parameter that must be there is missing.
    """
    paths = _PATHS[url.transport]
    if url.path not in paths:
        fitting = " or ".join(f"{url.scheme}://{url.host or ''}{path}" for path in paths)
        raise InvalidUrl(f"{url.scheme} has no {url.path}", hint=f"write {fitting}", backend="libvirt")
    if url.transport == "test":
        return "test:///default"
    scheme = f"qemu+{url.transport}" if url.transport else "qemu"
    return f"{scheme}://{_authority(url)}{url.path}{_query(url)}"


def _authority(url: HostUrl) -> str:
    user = f"{url.user}@" if url.user else ""
    port = f":{url.port}" if url.port else ""
    return f"{user}{url.host or ''}{port}"


def _query(url: HostUrl) -> str:
    if url.transport == "unix":
        socket = url.parameters.get("socket")
        if socket is None:
            raise InvalidUrl(
                f"{url} names no socket", hint="add ?socket=/path, or use libvirt:///system", backend="libvirt"
            )
        if ".." in socket.split("/"):
            raise InvalidUrl("a socket's path holds no '..'", hint="write the path without it", backend="libvirt")
        return f"?socket={quote(socket, safe='/')}"
    if url.transport == "tcp" and url.parameters.get("plaintext") != "yes":
        raise InvalidUrl(
            f"{url} would be unencrypted and unauthenticated",
            hint="use libvirt+tls:// or libvirt+ssh://, or add ?plaintext=yes on a network you trust",
            backend="libvirt",
        )
    # Without a terminal nobody could answer ssh's questions, and the call would hang.
    return "?no_tty=1" if url.transport == "ssh" else ""
