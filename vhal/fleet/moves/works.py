"""What of a fleet is written down in the journal: the kinds of its works, and which of them are unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vhal.journal import Journal, Work

PLAN = "plan"
"""Moves of a plan: see :mod:`vhal.fleet.moves.apply`."""

EVACUATION = "evacuation"
"""Machines of a dead host, started elsewhere: see :mod:`vhal.fleet.moves.evacuate`."""


@contextmanager
def opened(journal: Journal | None) -> Iterator[Journal]:
    """Give the journal, or the user's for as long as the block runs."""
    if journal is not None:
        yield journal
    else:
        with Journal() as mine:
            yield mine


def unfinished(journal: Journal) -> list[Work]:
    """Return the plans that were begun, haven't ended, and that nobody carries out, the oldest first."""
    return [work for work in journal.works(PLAN, ended=False) if not work.under_way]


def drained(journal: Journal) -> dict[str, str]:
    """Return the hosts that a drain or an evacuation keeps empty: name → id of the work; until they are restored.

    A host that was evacuated still has its machines when it comes back: they must be deleted there, not be started.
    """
    found: dict[str, str] = {}
    for work in journal.works():
        if work.kind == EVACUATION:
            found[work.data["host"]] = work.id
        if work.kind != PLAN:
            continue
        for name in work.data["emptied"]:
            found[name] = work.id
        for name in work.data["restored"]:
            found.pop(name, None)
    return found
