"""Output and errors of a program, taken out of the one stream that carries both.

Where a container has no terminal, the engine sends frames: a byte that says which stream, three zeros, the length in
four bytes (most significant first), and that many bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEADER = 8
_STREAMS = (0, 1, 2, 3)
"""Input (echoed), output, errors, and the engine's own complaints."""


class BrokenFrame(ValueError):
    """What came is no frame: the stream isn't multiplexed, or bytes are missing."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one stream, never none: 1 is output, 2 errors."""

    stream: int
    data: bytes


class Demultiplexer:
    """Takes bytes as they come, gives chunks as they are there. Frames may be cut anywhere. For one thread.

    A frame's bytes are handed on as they arrive, so the size that a frame claims is never held in memory.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """Return what ``data`` completes or continues, in order.

        Raises:
            BrokenFrame: There is no frame where one must begin. Nothing more can be read then.
        """
        chunks: list[Chunk] = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                chunks.append(Chunk(self._stream, bytes(piece)))
                continue
            piece = data[at : at + _HEADER - len(self._header)]
            self._header += piece
            at += len(piece)
            if len(self._header) == _HEADER:
                self._begin()
        return chunks

    def end(self) -> None:
        """Say that no more comes.

        Raises:
            BrokenFrame: The stream ended within a frame.
        """
        if self._left or self._header:
            raise BrokenFrame(
                f"the stream ended within a frame, {self._left or _HEADER - len(self._header)} bytes early"
            )

    def _begin(self) -> None:
        header, self._header = bytes(self._header), bytearray()
        if header[0] not in _STREAMS or any(header[1:4]):
            raise BrokenFrame(f"{header.hex(' ')} is no frame's header")
        self._stream = header[0]
        self._left = int.from_bytes(header[4:], "big")
