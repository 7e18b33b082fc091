"""Connection URLs: ``backend[+transport]://[user@]host[:port]/path[?key=value]``, taken apart and checked.

A URL may come from a form, a file or a chat message. So it is never handed to an engine: it is parsed into parts, each
part is checked here against what the backend declares, and the backend builds its own address from the parts. Nothing
in a URL can name a program, a key file or a verification to skip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vhal.errors import InvalidUrl

_URL = re.compile(
    r"(?P<backend>[a-z][a-z0-9-]{0,31})(?:\+(?P<transport>[a-z][a-z0-9-]{0,15}))?://"
    r"(?:(?P<user>[^@/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[^:/?#@\[\]]*)(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Transport:
    """What one transport of a backend allows in a URL. Everything that isn't named is refused."""

    host: bool | None = False
    """Whether the URL names a host: it must (True), must not (False) or may (None)."""
    user: bool = False
    """Whether it may name a user."""
    parameters: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    """Query key → what its value must match, whole."""


@dataclass(frozen=True, slots=True)
class HostUrl:
    """A checked connection URL."""

    backend: str
    transport: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    path: str = "/"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> HostUrl:
        """Return the URL's parts.

        Raises:
            vhal.errors.InvalidUrl: It is malformed, or holds a password.
        """
        if len(text) > 2048 or not _PRINTABLE.fullmatch(text):
            raise InvalidUrl(
                "a connection URL is 1 to 2,048 printable ASCII characters",
                hint="percent-encode what isn't",
            )
        match = _URL.fullmatch(text)
        if match is None:
            raise InvalidUrl(
                f"{_shown(text)!r} is no connection URL",
                hint="write BACKEND:///PATH or BACKEND+TRANSPORT://HOST/PATH, as in mock:///a or libvirt:///system",
            )
        host, user, port = match["host"] or None, match["user"], match["port"]
        if user is not None and ":" in user:
            raise InvalidUrl(
                "a connection URL holds no password",
                hint="let the engine's own client configuration hold it",
            )
        if user is not None and not _USER.fullmatch(user):
            raise InvalidUrl(
                f"{user!r} is no user name", hint="letters, digits, '_', '.', '-'; not first a digit or '-'"
            )
        if host is not None and not _HOST.fullmatch(host):
            raise InvalidUrl(
                f"{host!r} is no host name or address",
                hint="write a DNS name, an IPv4 address, or an IPv6 address in brackets",
            )
        if port is not None and (host is None or not port or not 0 < int(port) < 65536):
            raise InvalidUrl(f"{port!r} is no port of a host", hint="write HOST:PORT, with 1 to 65535")
        return cls(
            backend=match["backend"],
            transport=match["transport"],
            host=host,
            port=int(port) if port else None,
            user=user,
            path=_decoded(match["path"] or "/"),
            parameters=_parameters(match["query"]),
        )

    def check(self, transports: Mapping[str | None, Transport], path: re.Pattern[str]) -> HostUrl:
        """Return the URL if the backend's declaration allows all of it.

        Args:
            transports: Name (None for none) → what it allows.
            path: What the path must match, whole.

        Raises:
            vhal.errors.InvalidUrl: It doesn't; the message names the part, the hint what is allowed.
        """
        allowed = transports.get(self.transport)
        if allowed is None:
            known = ", ".join(self.backend if t is None else f"{self.backend}+{t}" for t in transports)
            named = f"transport {self.transport!r}" if self.transport else "no transport"
            raise InvalidUrl(
                f"{self.backend} has {named}" if not self.transport else f"{self.backend} knows no {named}",
                hint=f"use one of {known}",
                backend=self.backend,
            )
        if allowed.host and self.host is None:
            raise InvalidUrl(f"{self} names no host", hint="write it after the //", backend=self.backend)
        if allowed.host is False and self.host is not None:
            raise InvalidUrl(
                f"{self.scheme} reaches this machine only, but names host {self.host!r}",
                hint=f"write three slashes: {self.scheme}://{self.path}",
                backend=self.backend,
            )
        if self.user is not None and not allowed.user:
            raise InvalidUrl(
                f"{self.scheme} takes no user name", hint="leave out what is before the '@'", backend=self.backend
            )
        if not path.fullmatch(self.path):
            raise InvalidUrl(
                f"{self.path!r} is no path of {self.scheme}", hint=f"it must match {path.pattern}", backend=self.backend
            )  # fmt: skip
        for key, value in self.parameters.items():
            pattern = allowed.parameters.get(key)
            if pattern is None:
                known = ", ".join(allowed.parameters) or "none"
                raise InvalidUrl(
                    f"{self.scheme} takes no parameter {key!r}", hint=f"allowed: {known}", backend=self.backend
                )  # fmt: skip
            if not pattern.fullmatch(value):
                raise InvalidUrl(
                    f"parameter {key!r} has a value that isn't allowed",
                    hint=f"it must match {pattern.pattern}",
                    backend=self.backend,
                )
        return self

    @property
    def scheme(self) -> str:
        """``backend`` or ``backend+transport``."""
        return f"{self.backend}+{self.transport}" if self.transport else self.backend

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        query = "&".join(f"{key}={_encoded(value, '&')}" for key, value in self.parameters.items())
        return f"{self.scheme}://{user}{self.host or ''}{port}{_encoded(self.path, '?')}{'?' + query if query else ''}"


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise InvalidUrl(f"{text!r} holds a '%' that encodes nothing", hint="write a '%' as %25")
    # Not urllib's: importing it takes longer than all else that an address needs.
    plain = re.sub("%(..)", lambda code: chr(int(code[1], 16)), text) if "%" in text else text
    if re.search(r"[^\x20-\x7e]", plain):
        raise InvalidUrl(
            "a connection URL holds printable ASCII characters only, encoded or not", hint="leave the others out"
        )
    return plain


def _encoded(text: str, mark: str) -> str:
    """Return ``text`` such that parsing it gives it back; ``mark`` would end it."""
    return re.sub(rf"[ %#{mark}]", lambda found: f"%{ord(found[0]):02X}", text)


def _parameters(query: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (query or "").split("&") if query else []:
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", key):
            raise InvalidUrl(f"{_shown(part)!r} is no key=value", hint="write ?key=value&key=value")
        if key in found:
            raise InvalidUrl(f"parameter {key!r} is given twice", hint="give it once")
        found[key] = _decoded(value)
    return found


def _shown(text: str) -> str:
    # A URL that can't be parsed may hold a password anywhere before its '@'.
    return re.sub(r"(:?//|:).*@", r"\1…@", text)
