"""A checkpoint's archive, checked and changed while it passes: a tar in pieces in, a tar in pieces out.

The destination's engine believes what the archive says: whatever container it names is made, under whatever name. So
what passes here must be the container that was asked for. Its labels are changed on the way, since they can't be
changed afterwards; everything else is passed on byte for byte, and nothing but one small document is held.

It is pure: it knows no engine, and reads and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

BLOCK = 512
CONFIG = "config.dump"
"""The member that says what the container is."""
VOLUMES = "volumes/"
"""Where the content of the container's volumes is."""
CONFIG_MOST = 16 << 20
EXTENDED_MOST = 1 << 20
_NAME, _SIZE, _CHECKSUM, _TYPE, _PREFIX = slice(0, 100), slice(124, 136), slice(148, 156), 156, slice(345, 500)
_MAGIC = slice(257, 263)
_BASE_256 = 0x80
_PLAIN = (b"0", b"\0")
_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"L", b"K", b"x", b"g"
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")


class BrokenArchive(Exception):
    """The archive isn't what it should be; nothing of it may be used."""


class TruncatedArchive(BrokenArchive):
    """It ends too early."""


class ForeignArchive(BrokenArchive):
    """It isn't the checkpoint of the container that was asked for, or no checkpoint at all."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the archive must be, and what it shall say."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that it shall have, beside those that it has."""
    volumes: bool = False
    """Whether the content of volumes passes; without it, it is left out."""


class CheckpointFilter:
    """Passes one archive on. Not for several threads.

    Attributes:
        read: Bytes taken.
        written: Bytes given.
    """

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._held = bytearray()
        self._left = 0
        self._passing = True
        self._extended: dict[str, str] = {}
        self._config: bytearray | None = None
        self._config_header = b""
        self._collected: bytearray | None = None
        self._collected_type = b""
        self._collected_size = 0
        self._deferred = b""
        self._seen = False
        self._zeros = 0
        self.read = 0
        self.written = 0

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of any size, and return what can be passed on.

        Raises:
            ForeignArchive: It isn't the expected container's.
        """
        self.read += len(piece)
        if self._left >= len(piece) and self._passing and self._config is self._collected is None:
            # Nearly all of an archive is memory, at which nobody has to look: it isn't even copied.
            self._left -= len(piece)
            self.written += len(piece)
            return piece
        out = bytearray()
        rest = memoryview(piece)
        while rest:
            taken = rest[: self._left or BLOCK - len(self._held)]
            rest = rest[len(taken) :]
            if self._left:
                self._content(taken, out)
                continue
            self._held += taken
            if len(self._held) == BLOCK:
                block, self._held = bytes(self._held), bytearray()
                self._block(block, out)
        self.written += len(out)
        return bytes(out)

    def finish(self) -> None:
        """Say that there is no more.

        Raises:
            TruncatedArchive: There should be.
            ForeignArchive: It nowhere says which container it is.
        """
        if self._held or self._left or self._deferred or self._zeros < 2:
            raise TruncatedArchive(f"the checkpoint's archive ends after {self.read} bytes, before its end")
        if not self._seen:
            raise ForeignArchive("the archive is no checkpoint of a container")

    def _block(self, block: bytes, out: bytearray) -> None:
        if self._zeros >= 2 or not any(block):
            self._end(block, out)
        elif self._zeros:
            raise ForeignArchive("the archive goes on after its end")
        else:
            self._header(block, out)

    def _end(self, block: bytes, out: bytearray) -> None:
        if any(block):
            raise ForeignArchive("the archive goes on after its end")
        if self._deferred:
            raise ForeignArchive("the archive ends after half a member")
        self._zeros += 1
        out += block

    def _content(self, taken: memoryview, out: bytearray) -> None:
        self._left -= len(taken)
        if self._config is not None:
            self._config += taken
            if not self._left:
                self._rewrite(out)
        elif self._collected is not None:
            self._collected += taken
            if not self._left:
                self._extend()
        elif self._passing:
            out += taken

    def _header(self, block: bytes, out: bytearray) -> None:
        if not _sum_is_right(block):
            raise ForeignArchive("what comes is no tar archive")
        kind = block[_TYPE : _TYPE + 1]
        size = _number(block[_SIZE])
        if kind in (_LONG_NAME, _LONG_LINK, _EXTENDED):
            if size > EXTENDED_MOST:
                raise ForeignArchive("a member's name is too long")
            # They belong to the member that follows, and pass or don't pass with it.
            self._collected, self._collected_type, self._collected_size = bytearray(), kind, size
            self._deferred += block
            self._left = _padded(size)
            if not self._left:
                self._extend()
            return
        name = _plain_name(self._extended.get("path") or _name_of(block))
        if "size" in self._extended:
            size = _decimal(self._extended["size"])
        elif kind in _WITHOUT_CONTENT:
            size = 0
        extended, self._extended, deferred, self._deferred = bool(self._extended), {}, self._deferred, b""
        self._passing = self._expected.volumes or kind == _GLOBAL or not name.startswith(VOLUMES)
        self._left = _padded(size)
        if name == CONFIG:
            if self._seen or extended or kind not in _PLAIN or size > CONFIG_MOST or not size:
                raise ForeignArchive("the checkpoint says in a strange way which container it is")
            self._seen = True
            self._config, self._config_header, self._collected_size = bytearray(), block, size
        elif self._passing:
            out += deferred
            out += block

    def _extend(self) -> None:
        collected, size = bytes(self._collected or b""), self._collected_size
        self._deferred += collected
        content = collected[:size]
        if self._collected_type == _LONG_NAME:
            self._extended["path"] = content.split(b"\0")[0].decode(errors="surrogateescape")
        elif self._collected_type == _EXTENDED:
            self._extended.update(_records(content))
        else:
            self._extended.setdefault("linkpath", "")
        self._collected = None

    def _rewrite(self, out: bytearray) -> None:
        text = bytes(self._config or b"")[: self._collected_size]
        self._config = None
        changed = _changed(text, self._expected)
        out += _resized(self._config_header, len(changed))
        out += changed
        out += bytes(-len(changed) % BLOCK)


def filtered(pieces: Iterable[bytes], through: CheckpointFilter) -> Iterator[bytes]:
    """Yield an archive as it comes out of a filter.

    Raises:
        BrokenArchive: As the filter says; what was yielded before is to be thrown away.
    """
    for piece in pieces:
        out = through.feed(piece)
        if out:
            yield out
    through.finish()


def _changed(text: bytes, expected: Expected) -> bytes:
    try:
        config: Any = json.loads(text)
    except ValueError as error:
        raise ForeignArchive("the checkpoint doesn't say which container it is") from error
    if not isinstance(config, dict):
        raise ForeignArchive("the checkpoint doesn't say which container it is")
    for key, what, wanted in (
        ("id", "id", expected.id),
        ("name", "name", expected.name),
        ("rootfsImageID", "image", expected.image),
    ):
        if config.get(key) != wanted:
            raise ForeignArchive(f"the checkpoint is of another container: its {what} isn't {wanted!r}")
    labels = config.get("labels") or {}
    if not isinstance(labels, dict):
        raise ForeignArchive("the checkpoint's labels make no sense")
    config["labels"] = {**labels, **expected.labels}
    return json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _name_of(block: bytes) -> str:
    name = block[_NAME].split(b"\0")[0]
    prefix = block[_PREFIX].split(b"\0")[0] if block[_MAGIC] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode(errors="surrogateescape")


def _plain_name(name: str) -> str:
    parts = name.split("/")
    if ".." in parts or name.startswith("/"):
        raise ForeignArchive(f"the archive has a member {name!r}, which would be outside")
    return "/".join(part for part in parts if part not in ("", "."))


def _number(text: bytes) -> int:
    if text[0] & _BASE_256:
        value = int.from_bytes(bytes([text[0] & ~_BASE_256]) + text[1:], "big")
        if text[0] != _BASE_256:
            raise ForeignArchive("a member has a strange size")
        return value
    digits = text.strip(b"\0 ")
    if not digits:
        return 0
    try:
        value = int(digits, 8)
    except ValueError:
        raise ForeignArchive("a member's size is no number") from None
    if value < 0:
        raise ForeignArchive("a member's size is no number")
    return value


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ForeignArchive("a member's size is no number")
    return int(text)


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the records of an extended header: ``LENGTH KEY=VALUE`` and the end of the line each."""
    while content.strip(b"\0"):
        length, space, _ = content.partition(b" ")
        if not space or not length.isdigit() or len(length) > 8 or not len(length) + 3 <= int(length) <= len(content):
            raise ForeignArchive("a member's header makes no sense")
        record, content = content[len(length) + 1 : int(length)], content[int(length) :]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise ForeignArchive("a member's header makes no sense")
        if key.startswith(b"GNU.sparse"):
            raise ForeignArchive("a member has holes, which isn't expected")
        yield key.decode(errors="surrogateescape"), value[:-1].decode(errors="surrogateescape")


def _sum_is_right(block: bytes) -> bool:
    try:
        told = int(block[_CHECKSUM].strip(b"\0 ") or b"-1", 8)
    except ValueError:
        return False
    return told == _sum(block)


def _sum(block: bytes) -> int:
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _resized(header: bytes, size: int) -> bytes:
    block = bytearray(header)
    block[_SIZE] = b"%011o\0" % size
    block[_CHECKSUM] = b"%06o\0 " % _sum(bytes(block))
    return bytes(block)
