"""What happened in a world, in order: the same bytes for the same seed and the same calls.

Not the events that a driver sends (:mod:`vhal.driver.event`), which are a part of it: faults, rounds and hosts are in
it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vhal_mock.clock import Clock


class Entry(NamedTuple):
    """One thing that happened."""

    time_s: float
    """Virtual seconds since the world began."""
    kind: str
    """An event's kind (``started``), or ``fault``, ``round``, ``host-crash`` and the like."""
    host: str
    machine: str
    """The machine's name, or empty."""
    detail: str

    def as_dict(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "time_s": round(self.time_s, 6),
            "kind": self.kind,
            "host": self.host,
            "machine": self.machine,
            "detail": self.detail,
        }


class Log:
    """The entries of a world, the oldest first. Reading it is safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, str, str, str, str]] = []

    def add(self, kind: str, host: str = "", machine: str = "", detail: str = "") -> None:
        """Write down what happens now. Made into an :class:`Entry` when somebody reads it: most are never read."""
        self._entries.append((self._clock.now_s, kind, host, machine, detail))

    def text(self) -> str:
        """Return all of it, a line of JSON each."""
        return "".join(f"{json.dumps(entry.as_dict(), separators=(',', ':'))}\n" for entry in self)

    def since(self, count: int) -> list[Entry]:
        """Return the entries from the ``count``-th on, counted from 0."""
        return [Entry(*entry) for entry in self._entries[count:]]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.since(0))
