"""``vhal fleet apply``: a plan from a file, carried out. How, is :mod:`vhal.fleet.moves.apply`'s."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.fleet.carry import dry, kept, limits, planned, settings
from vhal.cli.fleet.show import check, views

if TYPE_CHECKING:
    from vhal.fleet.moves.applied import Applied
    from vhal.fleet.moves.carrier import OnEvent


@verb("apply")
@click.argument("plan", metavar="PLAN")
@which
@limits
@views
@dry
@pass_session
def apply(
    session: Session,
    /,
    plan: str,
    file: str | None,
    urls: tuple[str, ...],
    plot: Path | None,
    html: Path | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Carry out the plan in a JSON file.

    It is refused if the fleet has changed since it was made; the error says how. Each move is looked at again before
    it begins. After a move that failed, the rest is planned anew by what made the plan. Ctrl-C begins no more, undoes
    what is under way, and leaves each machine running.
    """
    from vhal.fleet.moves.outdated import refuse_outdated
    from vhal.fleet.plan import Plan

    check(plot, html)
    found = Plan.load(plan)
    fleet = opened(session, file, urls)
    journal = kept()
    snapshot = fleet.snapshot()
    refuse_outdated(found, snapshot)

    def call(on_event: OnEvent) -> Applied:
        return fleet.apply(found, settings(given), journal=journal, on_event=on_event, timeout_s=given["timeout"])

    planned(session, found, snapshot, {"plot": plot, "html": html}, None if dry_run else call)
