"""``vhal fleet drain`` and ``restore``: a host is emptied for maintenance, and filled again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, warn, which
from vhal.cli.fleet.carry import dry, kept, limits, output, planned, settings
from vhal.cli.fleet.show import check, views

if TYPE_CHECKING:
    from vhal.fleet.moves.applied import Applied
    from vhal.fleet.moves.carrier import OnEvent


@verb("drain")
@click.argument("hosts", metavar="HOST…", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Move nothing if a machine finds no place.")
@which
@limits
@views
@output
@dry
@pass_session
def drain(
    session: Session,
    /,
    hosts: tuple[str, ...],
    file: str | None,
    urls: tuple[str, ...],
    strict: bool,
    plot: Path | None,
    html: Path | None,
    output: Path | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Move every machine off hosts, to all others at once.

    Nothing new is put on the hosts from then on, until 'vhal fleet restore'. A machine that finds no place stays, and
    is named with the reason; then the exit code is 4. After a move that failed, the rest is planned anew.
    """
    from vhal.fleet.moves.drain import plan_drain

    check(plot, html)
    fleet = opened(session, file, urls)
    journal = kept()
    snapshot = fleet.snapshot(movable=True)
    plan = plan_drain(snapshot, hosts, strict=strict)
    warn(session, snapshot)

    def call(on_event: OnEvent) -> Applied:
        return fleet.apply(plan, settings(given), journal=journal, on_event=on_event, timeout_s=given["timeout"])

    planned(session, plan, snapshot, {"plot": plot, "html": html}, None if dry_run else call, output)


@verb("restore")
@click.argument("host", metavar="HOST")
@click.option("--empty", is_flag=True, help="Bring nothing back; only let the host be used again.")
@which
@limits
@views
@output
@dry
@pass_session
def restore(
    session: Session,
    /,
    host: str,
    file: str | None,
    urls: tuple[str, ...],
    empty: bool,
    plot: Path | None,
    html: Path | None,
    output: Path | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Let a drained host be used again, and bring back what was moved off it, as far as it still fits."""
    from vhal.fleet.moves.drain import plan_restore

    check(plot, html)
    fleet = opened(session, file, urls)
    journal = kept()
    snapshot = fleet.snapshot(movable=True)
    plan = plan_restore(snapshot, host, journal, empty=empty)

    def call(on_event: OnEvent) -> Applied:
        return fleet.apply(plan, settings(given), journal=journal, on_event=on_event, timeout_s=given["timeout"])

    planned(session, plan, snapshot, {"plot": plot, "html": html}, None if dry_run else call, output)
