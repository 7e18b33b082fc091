"""What of a fleet is written down in the journal: the kinds of its works, which are unfinished, and whose they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vhal.errors import Busy, NotFound
from vhal.fleet.members.inventory import known_uuid
from vhal.fleet.snapshot import FleetSnapshot
from vhal.journal import Journal, Work

PLAN = "plan"
"""Moves of a plan: see :mod:`vhal.fleet.moves.apply`."""

EVACUATION = "evacuation"
"""Machines of a dead host, started elsewhere: see :mod:`vhal.fleet.moves.evacuate`."""


def refuse_emptying(journal: Journal, names: Collection[str]) -> None:
    """Return if no process is emptying one of these hosts.

    Raises:
        vhal.errors.Busy: One is.
    """
    for kind in (PLAN, EVACUATION):
        for work in journal.works(kind, ended=False):
            emptied = work.data["emptied"] if kind == PLAN else [work.data["host"]]
            host = next((name for name in emptied if name in names), None)
            if host is not None and work.under_way:
                raise Busy(f"work {work.id} is emptying host {host}", hint="wait for its end, or abort it", host=host)


def unfinished(journal: Journal) -> list[Work]:
    """Return the plans that were begun, haven't ended, and that nobody carries out, the oldest first."""
    return [work for work in journal.works(PLAN, ended=False) if not work.under_way]


def hosts(work: Work) -> Mapping[str, str | None]:
    """Return the hosts of a plan and their uuids; none of a plan that was written down before these were."""
    found: Mapping[str, str | None] = work.data.get("hosts", {})
    return found


def refuse_strange(work: Work, now: FleetSnapshot) -> None:
    """Return if the hosts of a plan that was written down are this fleet's.

    One journal may know of several fleets. In another one than its own a plan finds none of its machines, and would be
    over with nothing done; its own fleet would never hear of it again.

    Raises:
        vhal.errors.NotFound: One isn't in this fleet, or is another host that is called the same.
    """
    there = {host.name: known_uuid(host) for host in now.hosts}
    for name, uuid in hosts(work).items():
        if name not in there:
            why = "isn't in this fleet"
        elif uuid and there[name] and uuid != there[name]:
            why = "is another host in this fleet"
        else:
            continue
        raise NotFound(
            f"work {work.id} moves machines of host {name}, which {why}",
            hint="go on with it in the fleet that it was begun in",
            host=name,
        )
