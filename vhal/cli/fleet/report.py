"""``vhal fleet report``: how well a fleet is used. What the columns mean is :mod:`vhal.fleet.figures.report`."""

from __future__ import annotations

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, over, warn, which
from vhal.cli.output import document, table


@verb("report")
@which
@over
@pass_session
def report(session: Session, file: str | None, urls: tuple[str, ...], over: float) -> None:
    """Show what is bought, allocated, used and wasted, for each host and in all.

    Allocated is what was promised to machines, running or not; used is what running ones use; wasted is what was
    promised and isn't used; free is what can still be promised. The first five of these columns are of processors, the
    others of memory.
    """
    from vhal.fleet.figures.report import HEADERS, report, row

    snapshot = opened(session, file, urls).snapshot(over_s=over)
    found = report(snapshot)
    if session.json:
        document([found.as_dict()])
    else:
        table(HEADERS, [row(use) for use in (*found.hosts, found.fleet)])
    warn(session, snapshot)
