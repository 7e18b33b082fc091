"""``vhal fleet capture``: a fleet's snapshot in a file, to plan from anywhere."""

from __future__ import annotations

from pathlib import Path

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, over, warn, which
from vhal.cli.output import document


@verb("capture")
@click.argument("output", metavar="FILE", type=click.Path(path_type=Path))
@which
@over
@pass_session
def capture(session: Session, output: Path, file: str | None, urls: tuple[str, ...], over: float) -> None:
    """Write down what is on the fleet's hosts now, as a snapshot to plan from.

    Hosts and machines are only looked at. Each machine is asked whether it can move. Only its owner can read the file;
    labels that look like secrets are masked. Hosts that don't answer are in it as such.
    """
    snapshot = opened(session, file, urls).snapshot(over_s=over, movable=True).without_secrets()
    snapshot.save(output)
    if session.json:
        document([{"file": str(output), "hosts": len(snapshot.hosts), "machines": len(snapshot.machines)}])
    else:
        click.echo(f"{output}: {len(snapshot.hosts)} hosts, {len(snapshot.machines)} machines")
    warn(session, snapshot)
