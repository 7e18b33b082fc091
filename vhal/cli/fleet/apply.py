"""``vhal fleet apply``: a plan from a file, carried out. How, is :mod:`vhal.fleet.apply`'s."""

from __future__ import annotations

from typing import Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.fleet.carry import carry, dry, kept, limits, settings, show


@verb("apply")
@click.argument("plan", metavar="PLAN")
@which
@limits
@dry
@pass_session
def apply(session: Session, /, plan: str, file: str | None, urls: tuple[str, ...], dry_run: bool, **given: Any) -> None:
    """Carry out the plan in a JSON file.

    It is refused if the fleet has changed since it was made; the error says how. Each move is looked at again before
    it begins. Ctrl-C begins no more, undoes what is under way, and leaves each machine running.
    """
    from vhal.fleet.apply import apply as carried
    from vhal.fleet.outdated import refuse_outdated
    from vhal.fleet.plan import Plan

    found = Plan.load(plan)
    fleet = opened(session, file, urls)
    journal = kept()
    if dry_run:
        refuse_outdated(found, fleet.snapshot())
        show(session, found)
        return
    carry(session, lambda: carried(found, fleet, settings(given), journal=journal, timeout_s=given["timeout"]))
