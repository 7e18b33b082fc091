"""How fast bytes go over: counted, told, and no faster than allowed; ended on an abort or a passed deadline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from vhal.driver import Context, Progress

_TELL_S = 0.1
_SHARE_S = 0.05
"""A piece is cut so that none takes longer than this at the allowed speed."""


class Pace:
    """Counts what a transfer sends, over all that it sends.

    Args:
        ctx: Told of the progress, and asked whether to go on.
        limit: Bytes a second, or None.
        total: Bytes to come in all, as far as known.
    """

    def __init__(self, ctx: Context, limit: int | None, total: int) -> None:
        self._ctx = ctx
        self._limit = limit
        self._total = total
        self._told = 0.0
        self._begun = time.monotonic()
        self._owed = self._begun
        self.done = 0

    def expect(self, more: int) -> None:
        """Say that so many bytes more come than was known, or fewer."""
        self._total = max(0, self._total + more)

    def through(self, pieces: Iterable[bytes], what: str) -> Iterator[bytes]:
        """Yield the pieces at the allowed speed.

        Raises:
            vhal.errors.OperationAborted: Somebody asked for the end.
            vhal.errors.OperationTimeout: The deadline has passed.
        """
        share = max(4096, int(self._limit * _SHARE_S)) if self._limit else 0
        for piece in pieces:
            for at in range(0, len(piece), share or len(piece) or 1):
                part = piece[at : at + share] if share else piece
                self._wait(len(part))
                self._ctx.check()
                yield part
                self.done += len(part)
                self._tell(what)

    def _wait(self, size: int) -> None:
        if self._limit is None:
            return
        now = time.monotonic()
        # What wasn't used while nothing came is not made up for.
        self._owed = max(self._owed, now - _SHARE_S) + size / self._limit
        if self._owed > now:
            self._ctx.wait(self._owed - now)

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        if now - self._told < _TELL_S:
            return
        self._told = now
        elapsed = now - self._begun
        rate = int(self.done / elapsed) if elapsed > 0 else None
        total = max(self._total, self.done)
        self._ctx.report(Progress("transfer", self.done, total, rate, iteration=1, message=what))
