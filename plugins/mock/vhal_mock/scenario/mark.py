"""What is marked when a result is drawn: moves and troubles, from when they began to when they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver.page import Span

if TYPE_CHECKING:
    from vhal_mock.scenario.result import Result

TROUBLES = {
    "host-crash": "host-up",
    "partition": "mended",
    "hang": "answers",
    "slow-link": None,
    "disk-full": None,
    "fault": None,
    "crashed": None,
    "failed": None,
}
"""Kinds of entry that are marked as something that went wrong → the kind that tells of its end, if one does."""


def marks(result: Result) -> list[Span]:
    """Return what is marked, by time."""
    found = [
        Span(move.begun_s, move.begun_s + move.total_s, f"{move.machine}: {move.source} → {move.destination}")
        for move in result.moves
    ]
    found += [
        Span(action.begun_s, result.until_s, f"{action.machine}: {action.action}, under way", "unfinished")
        for action in result.unfinished
    ]
    for place, entry in enumerate(result.entries):
        # Those that fell with their host are its trouble.
        if entry.kind in TROUBLES and entry.detail != "its host lost power":
            said = entry.detail.split(":")[0] if entry.kind in ("failed", "fault") else ""
            label = " ".join(filter(None, (entry.kind, said, entry.machine or entry.host)))
            found.append(Span(entry.time_s, _end(result, place), label, "trouble"))
    return sorted(found, key=lambda span: (span.begun_s, span.ended_s, span.label))


def _end(result: Result, place: int) -> float:
    """Return when the trouble ended that an entry tells of: at once, if no other entry does."""
    entry = result.entries[place]
    kind = TROUBLES[entry.kind]
    if kind is None:
        return entry.time_s
    later = result.entries[place + 1 :]
    return next((end.time_s for end in later if (end.kind, end.host) == (kind, entry.host)), result.until_s)
