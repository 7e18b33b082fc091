"""``vhal fleet resume``: what was left in the middle, listed and gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.fleet.carry import carry, kept, limits, settings
from vhal.cli.output import document, table

if TYPE_CHECKING:
    from vhal.fleet.moves.applied import Applied
    from vhal.fleet.moves.carrier import OnEvent
    from vhal.journal import Work


@verb("resume")
@click.argument("work", metavar="[WORK]", required=False)
@which
@limits
@pass_session
def resume(session: Session, /, work: str | None, file: str | None, urls: tuple[str, ...], **given: Any) -> None:
    """Go on with a plan whose process died, or of which a move was in doubt.

    Without WORK it lists what is unfinished. What the hosts show counts: a machine that was on its way is brought to
    one of its ends, and never runs twice.
    """
    from vhal.fleet.moves.apply import resume as carried
    from vhal.fleet.moves.works import hosts, unfinished
    from vhal.journal import Journal

    if work is None:
        with Journal() as journal:
            found = unfinished(journal)
        rows = [(each.id, each.data["kind"], list(hosts(each)), len(each.steps), _open(each)) for each in found]
        if session.json:
            document(dict(zip(("work", "kind", "hosts", "moves", "open"), row, strict=True)) for row in rows)
        else:
            lines = [(work, kind, ",".join(names), moves, left) for work, kind, names, moves, left in rows]
            table(["WORK", "KIND", "HOSTS", "MOVES", "OPEN"], lines, right=["MOVES", "OPEN"])
        return
    fleet = opened(session, file, urls)
    journal = kept()

    def call(on_event: OnEvent) -> Applied:
        return carried(work, fleet, settings(given), journal=journal, on_event=on_event, timeout_s=given["timeout"])

    carry(session, call)


def _open(work: Work) -> int:
    """Return how many of its moves haven't ended."""
    from vhal.journal import StepState

    return sum(step.state is not StepState.ENDED for step in work.steps)
