"""``vhal fleet drain`` and ``restore``: a host is emptied for maintenance, and filled again."""

from __future__ import annotations

from typing import Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, warn, which
from vhal.cli.fleet.carry import carry, dry, kept, limits, settings, show


@verb("drain")
@click.argument("hosts", metavar="HOST…", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Move nothing if a machine finds no place.")
@which
@limits
@dry
@pass_session
def drain(
    session: Session,
    /,
    hosts: tuple[str, ...],
    file: str | None,
    urls: tuple[str, ...],
    strict: bool,
    dry_run: bool,
    **given: Any,
) -> None:
    """Move every machine off hosts, to all others at once.

    Nothing new is put on the hosts from then on, until 'vhal fleet restore'. A machine that finds no place stays, and
    is named with the reason. After a move that failed, the rest is planned anew.
    """
    from vhal.fleet.apply import apply
    from vhal.fleet.drain import plan_drain

    fleet = opened(session, file, urls)
    journal = kept()
    snapshot = fleet.snapshot(over_s=0.0, movable=True)
    plan = plan_drain(snapshot, hosts, strict=strict)
    warn(session, snapshot)
    if dry_run:
        show(session, plan)
        return
    for note in plan.notes:
        session.note(note)
    carry(
        session,
        lambda: apply(
            plan,
            fleet,
            settings(given),
            journal=journal,
            replan=lambda now: plan_drain(now, hosts),
            timeout_s=given["timeout"],
        ),
    )


@verb("restore")
@click.argument("host", metavar="HOST")
@click.option("--empty", is_flag=True, help="Bring nothing back; only let the host be used again.")
@which
@limits
@dry
@pass_session
def restore(
    session: Session,
    /,
    host: str,
    file: str | None,
    urls: tuple[str, ...],
    empty: bool,
    dry_run: bool,
    **given: Any,
) -> None:
    """Let a drained host be used again, and bring back what was moved off it, as far as it still fits."""
    from vhal.fleet.apply import apply
    from vhal.fleet.drain import plan_restore
    from vhal.fleet.snapshot import HostStatus

    fleet = opened(session, file, urls)
    journal = kept()
    fleet.mark(host, HostStatus.UP)
    plan = plan_restore(fleet.snapshot(), host, journal, empty=empty)
    if dry_run:
        show(session, plan)
        return
    for note in plan.notes:
        session.note(note)
    carry(session, lambda: apply(plan, fleet, settings(given), journal=journal, timeout_s=given["timeout"]))
