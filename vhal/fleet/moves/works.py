"""What of a fleet is written down in the journal: the kinds of its works, and which of them are unfinished."""

from __future__ import annotations

from collections.abc import Collection

from vhal.errors import Busy
from vhal.journal import Journal, Work

PLAN = "plan"
"""Moves of a plan: see :mod:`vhal.fleet.moves.apply`."""

EVACUATION = "evacuation"
"""Machines of a dead host, started elsewhere: see :mod:`vhal.fleet.moves.evacuate`."""


def refuse_emptying(journal: Journal, hosts: Collection[str]) -> None:
    """Return if no process is emptying one of these hosts.

    Raises:
        vhal.errors.Busy: One is.
    """
    for kind in (PLAN, EVACUATION):
        for work in journal.works(kind, ended=False):
            emptied = work.data["emptied"] if kind == PLAN else [work.data["host"]]
            host = next((name for name in emptied if name in hosts), None)
            if host is not None and work.under_way:
                raise Busy(f"work {work.id} is emptying host {host}", hint="wait for its end, or abort it", host=host)


def unfinished(journal: Journal) -> list[Work]:
    """Return the plans that were begun, haven't ended, and that nobody carries out, the oldest first."""
    return [work for work in journal.works(PLAN, ended=False) if not work.under_way]
