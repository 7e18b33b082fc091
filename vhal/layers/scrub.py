"""Takes out of a recording what must not lie in a repository: secrets always, and on request who and where.

What is known to be secret by its place (user-data, the environment of programs, fields that are named like a password)
is covered wherever it appears again, in messages and in the output of programs, too, and there also as it is written
within JSON, a URL or base64. What looks like a secret (keys, users in URLs, ``password=…``, what is below a home
folder) is covered where it stands. It is no proof: look at a recording before you publish it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vhal.layers.encoding import TAG

HIDDEN = "scrubbed"
"""What stands in place of a secret. It is a valid name, label, user and path segment."""

SHORTEST = 6
"""Shorter values are covered in their place only: all over a recording they would be everywhere."""

_WORDS = re.compile(r"pass(word|wd|phrase)?|tokens?|secrets?|(api)?keys?|credentials?|auth", re.I)
"""A field is secret if one of these is a word of its name."""

_SAYS = r"(?:(?<![a-z])pass|passw(?:or)?d|passphrase|token|secret|(?:api|access)[_-]?key)"
"""How a name of a secret ends, in any case: ``DB_PASSWORD``, ``access_token``."""

_ENDS = re.compile(rf"{_SAYS}$", re.I)

_BINARY = "utf-8", "surrogateescape"

_SAID = r"(?P<quote>\\?[\"'])?(?P<secret>(?(quote)(?:(?!(?P=quote))[^\n])+|[^\s\"',;&]+))"
"""What stands behind it: all of it if it is quoted, also within JSON within a text; else a word."""

_LOOKS = [
    re.compile(pattern, re.S)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.*?)-----END",
        r"\b(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[a-z0-9-]+@openssh\.com)"
        r" (?P<secret>[A-Za-z0-9+/=]{16,}(?: [^\x00-\x1f\x7f\"']*)?)",
        # To the last @, since people forget to escape the one in a password.
        r"://(?P<secret>[^/?#\s\"']+)@",
        rf"(?i:{_SAYS})(?:\\?[\"'])?\s*[=:]\s*{_SAID}",
        rf"(?i:(?<![\w-])--?[a-z-]*{_SAYS})[ \t]+(?!-){_SAID}",
        r"(?i:\b(?:bearer|basic|authorization:\s*\w+)\s+)(?P<secret>[A-Za-z0-9._~+/=-]{8,})",
        r"/(?:home|Users)/(?P<secret>[^\s\"':,;]+)",
    )
]

_HOSTLY = re.compile(
    r"(?P<uuid>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
    r"|(?P<mac>\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b)"
    r"|(?P<ip>(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:]|\.\d))"
)


_HOST = re.compile(r"[A-Za-z][A-Za-z0-9.-]*")
_URL = re.compile(rf"://(?:[^/?#\s\"']+@)?({_HOST.pattern})")


def _home() -> list[re.Pattern[str]]:
    home = str(Path.home())
    return [re.compile(rf"{re.escape(home)}/(?P<secret>[^\s\"':,;]+)")] if home != "/" else []


class Pseudonyms:
    """Other names for hosts, ids and addresses: the same for the same, as long as this object lives.

    Recordings of two hosts that speak of each other share one. Loopback addresses stay.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}

    def cover(self, text: str, hosts: Iterable[str] = (), mask: Callable[[str], str] | None = None) -> str:
        """Return ``text`` with every uuid, address and name of ``hosts`` replaced: by its pseudonym, or by a mask."""
        for host in sorted(hosts, key=lambda name: (-len(name), name)):
            # Within a sentence a short name is a word like another, unless it is quoted.
            pattern = (
                rf"(?<![\w.-]){re.escape(host)}(?![\w-])"
                if len(host) > 3
                else rf"^{re.escape(host)}$|(?<=['/]){re.escape(host)}(?=')"
            )
            text = re.sub(pattern, lambda found: mask(found[0]) if mask else self._name("host", found[0]), text)
        return _HOSTLY.sub(lambda found: self._other(found, mask), text)

    def _other(self, match: re.Match[str], mask: Callable[[str], str] | None) -> str:
        kind, text = str(match.lastgroup), match[0]
        if kind == "ip":
            try:
                address = ip_address(text)
            except ValueError:
                return text
            if address.is_loopback or address.is_unspecified:
                return text
            kind = f"ip{address.version}"
        return mask(text) if mask else self._name(kind, text.lower())

    def _name(self, kind: str, text: str) -> str:
        known = self._given.get((kind, text))
        if known is None:
            number = 1 + sum(other == kind for other, _ in self._given)
            known = self._given[kind, text] = _MADE[kind](number)
        return known


_MADE: dict[str, Callable[[int], str]] = {
    "host": lambda n: f"host-{n}",
    # Version 8 of RFC 9562; addresses for documentation of RFC 5737 and RFC 3849; a locally administered MAC.
    "uuid": lambda n: f"00000000-0000-8000-8000-{n:012x}",
    "ip4": lambda n: f"{('192.0.2', '198.51.100', '203.0.113')[n // 254 % 3]}.{n % 254 + 1}",
    "ip6": lambda n: f"2001:db8::{n:x}",
    "mac": lambda n: "02:" + ":".join(f"{byte:02x}" for byte in n.to_bytes(5)),
}


def blurred(text: str) -> str:
    """Return ``text`` with one mark for each uuid and address, for comparing what has pseudonyms with what has none."""
    return _HOSTLY.sub("?", text)


class Scrubber:
    """Covers the secrets of one recording.

    Args:
        secrets: Values that are known to be secret.
        names: Whole values that must stay, since the recording is found or read by them.
        pseudonyms: Other names for what tells who and where; None to let it stay.
        hosts: Names of hosts, for the pseudonyms; those in fields named ``host`` and in URLs are known anyway.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        names: Iterable[str] = (),
        pseudonyms: Pseudonyms | None = None,
        hosts: Iterable[str] = (),
    ) -> None:
        self._names = frozenset(names)
        self._secrets: set[str] = set()
        for secret in secrets:
            self._learn(secret)
        self._pseudonyms = pseudonyms
        self._hosts = set(hosts)
        self._looks = [*_LOOKS, *_home()]
        self._known: list[str] = []
        self._done: dict[str, str] = {}

    def scrubbed(self, data: Any) -> Any:
        """Return a copy of ``data``, tables, lists, texts and bytes, without its secrets."""
        self._collect(data, hidden=False)
        # The longest first, since one may be a part of another.
        self._known = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        return self._rewritten(data, hidden=False, archive=False)

    def _collect(self, data: Any, *, hidden: bool) -> None:
        if isinstance(data, dict):
            for key, item in data.items():
                if key in ("host", "hostname") and isinstance(item, str) and _HOST.fullmatch(item):
                    self._hosts.add(item)
                self._collect(item, hidden=hidden or _covers(key, item))
        elif isinstance(data, list):
            for before, item in pairwise([None, *data]):
                self._collect(item, hidden=hidden or _is_flag(before))
        elif isinstance(data, str):
            self._hosts.update(_URL.findall(data))
            if hidden:
                self._learn(data)

    def _learn(self, secret: str) -> None:
        if len(secret) < SHORTEST or secret in self._names:
            return
        address = _HOSTLY.fullmatch(secret)
        # An address tells where, not what; and what has one isn't valid without it. A uuid can be a key, too.
        if address is None or address.lastgroup == "uuid":
            self._secrets.add(secret)

    def _rewritten(self, data: Any, *, hidden: bool, archive: bool) -> Any:
        if isinstance(data, dict):
            archive = archive or data.get(TAG) == "archive"
            return {
                self._text(str(key)): self._rewritten(item, hidden=hidden or _covers(key, item), archive=archive)
                for key, item in data.items()
            }
        if isinstance(data, list):
            return [
                self._rewritten(item, hidden=hidden or _is_flag(before), archive=archive)
                for before, item in pairwise([None, *data])
            ]
        if isinstance(data, bytes):
            return self._bytes(data, archive)
        if hidden and data is not None and not isinstance(data, bool):
            # A key keeps its kind, since that is what makes it a valid one.
            kind = re.match(r"(ssh-\S+|ecdsa-\S+|sk-\S+) ", data) if isinstance(data, str) else None
            return f"{kind[1]} {HIDDEN}" if kind else HIDDEN
        return self._text(data) if isinstance(data, str) else data

    def _text(self, text: str) -> str:
        if text not in self._done:  # the same texts come in every call
            self._done[text] = self._scrubbed_text(text)
        return self._done[text]

    def _scrubbed_text(self, text: str) -> str:
        known = text in self._names
        text = text if known else self._covered(text, lambda secret: HIDDEN)
        if self._pseudonyms is None:
            return text
        return self._pseudonyms.cover(text, () if known else self._hosts)

    def _bytes(self, data: bytes, archive: bool) -> bytes:
        # As long as they were, so that an archive stays one.
        text = self._covered(data.decode(*_BINARY), _as_long)
        if self._pseudonyms is not None:
            text = self._pseudonyms.cover(text, self._hosts, _as_long if archive else None)
        return text.encode(*_BINARY)

    def _covered(self, text: str, mask: Callable[[str], str]) -> str:
        for secret in self._known:
            text = text.replace(secret, mask(secret))
        for looks in self._looks:
            text = looks.sub(lambda match: _within(match, mask), text)
        return text


@lru_cache(4096)
def is_secret(key: object) -> bool:
    """Return whether a field of that name is secret: the environment of a program is, and ``db_password``."""
    name = str(key)
    words = re.findall(r"[a-z]+|[A-Z]+[a-z]*", name)
    return name == "env" or _ENDS.search(name) is not None or any(_WORDS.fullmatch(word) for word in words)


def _covers(key: object, item: object) -> bool:
    # An environment has variables; a label of that name says "production".
    return is_secret(key) and not (key == "env" and isinstance(item, str))


def _is_flag(argument: object) -> bool:
    """Return whether what follows ``argument`` on a command line is secret."""
    return isinstance(argument, str) and argument[:1] == "-" and "=" not in argument and is_secret(argument)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it is written within JSON, source code, a URL and base64."""
    yield from (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""))
    data = secret.encode(*_BINARY)
    yield b64encode(data).decode()
    for before in range(3):
        # Within a longer text it begins at any of the three bytes that four characters stand for. The characters at its
        # ends also stand for what is around it.
        whole = slice(-(-before * 8 // 6), (before + len(data)) * 8 // 6)
        yield b64encode(bytes(before) + data).decode()[whole]


def _as_long(secret: str) -> str:
    return "x" * len(secret.encode(*_BINARY))


def _within(match: re.Match[str], mask: Callable[[str], str]) -> str:
    begin, end = match.start("secret") - match.start(), match.end("secret") - match.start()
    return match[0][:begin] + mask(match["secret"]) + match[0][end:]
