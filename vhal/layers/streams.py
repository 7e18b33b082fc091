"""Streams of a recording: what was read from a console, a program or an archive, kept on the way and given again.

What was written to them isn't kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vhal.driver.capability import ConsoleStream, ProcessStream
from vhal.errors import InvalidState
from vhal.layers.encoding import TAG, tagged, untagged

T = TypeVar("T")

OUTPUT = 1
"""The descriptor of what has only one."""


class Kept:
    """What was read from a stream so far."""

    def __init__(self, kind: str, translated: Callable[[Exception], Exception]) -> None:
        self.kind = kind
        self._translated = translated
        self._pieces: list[tuple[int, bytes]] = []
        self._exit_code: int | None = None
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def data(self) -> dict[str, Any]:
        """Return it as data; pieces that follow each other on one descriptor are one."""
        with self._lock:
            merged: list[tuple[int, bytes]] = []
            for descriptor, piece in self._pieces:
                if merged and merged[-1][0] == descriptor:
                    piece = merged.pop()[1] + piece
                merged.append((descriptor, piece))
            error = None if self._error is None else tagged(self._error)
            return {TAG: self.kind, "pieces": tagged(merged), "exit_code": self._exit_code, "error": error}

    def reading(self, read: Callable[[], T], pieces: Callable[[T], tuple[int, bytes]]) -> T:
        """Read, and keep what came."""
        try:
            found = read()
        except Exception as error:
            self._error = self._translated(error)
            raise
        descriptor, piece = pieces(found)
        if piece:
            with self._lock:
                self._pieces.append((descriptor, piece))
        return found

    def ended(self, code: int | None) -> int | None:
        """Keep what a program ended with, and return it."""
        if code is not None:
            self._exit_code = code
        return code


class RecordedConsole:
    """A console whose output is kept."""

    def __init__(self, stream: ConsoleStream, kept: Kept) -> None:
        self._stream = stream
        self._kept = kept
        self.write = stream.write
        self.close = stream.close

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came, and keep it."""
        return self._kept.reading(lambda: self._stream.read(timeout_s), lambda piece: (OUTPUT, piece))


class RecordedProcess:
    """A program whose output and end are kept."""

    def __init__(self, stream: ProcessStream, kept: Kept) -> None:
        self._stream = stream
        self._kept = kept
        self.write = stream.write
        self.close_input = stream.close_input
        self.close = stream.close

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return what came, and keep it."""
        return self._kept.reading(lambda: self._stream.read(timeout_s), lambda found: found)

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        """Return what it ended with, and keep it."""
        return self._kept.ended(self._stream.exit_code(timeout_s))


def recorded_archive(pieces: Iterator[bytes], kept: Kept) -> Iterator[bytes]:
    """Yield the pieces of an archive, and keep them."""
    while (piece := kept.reading(lambda: next(pieces, b""), lambda piece: (OUTPUT, piece))) != b"":
        yield piece


class Given:
    """What a recorded stream gives again. What is written to it goes nowhere."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._pieces: list[tuple[int, bytes]] = [(descriptor, piece) for descriptor, piece in data["pieces"]]
        self._code: int | None = data["exit_code"]
        self._error: Exception | None = untagged(data["error"])
        self._next = 0
        self._closed = False

    def piece(self) -> tuple[int, bytes]:
        """Return the next piece; ``(0, b"")`` at the end."""
        if self._closed:
            return 0, b""
        if self._next == len(self._pieces):
            if self._error is not None:
                raise self._error
            return 0, b""
        self._next += 1
        return self._pieces[self._next - 1]

    def write(self, data: bytes) -> None:
        """Take ``data``, for which nobody waits."""

    def close_input(self) -> None:
        """Nobody waits for that either."""

    def close(self) -> None:
        """End it."""
        self._closed = True


class ReplayedConsole(Given):
    """A console as it was recorded."""

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came then; ``b""`` at the end."""
        return self.piece()[1]


class ReplayedProcess(Given):
    """A program as it was recorded: it has ended when all that it wrote was read, or when somebody waits for it."""

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return where something came then, and what."""
        return self.piece()

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        """Return what it ended with.

        Raises:
            vhal.errors.InvalidState: Somebody waits for its end, which wasn't recorded.
        """
        if timeout_s == 0 and self._next < len(self._pieces):
            return None
        if self._code is None and timeout_s != 0:
            raise InvalidState("the recording ended before the program did", hint="record it until it has ended")
        return self._code


def replayed_archive(data: dict[str, Any]) -> Iterator[bytes]:
    """Yield the pieces of an archive as they were recorded."""
    given = Given(data)
    while (piece := given.piece()[1]) != b"":
        yield piece
