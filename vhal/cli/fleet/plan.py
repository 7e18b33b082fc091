"""``vhal fleet plan``: what should be moved, in a live fleet or in one that is in a file. Nothing is moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.fleet import opened, over, warn, which
from vhal.cli.fleet.carry import output
from vhal.cli.fleet.show import check, tell, views

if TYPE_CHECKING:
    from vhal.fleet.snapshot import FleetSnapshot

_FILE = click.Path(path_type=Path, dir_okay=False)


@verb("plan")
@click.option("--from", "source", type=_FILE, help="Instead of a live fleet: a snapshot, or Ganeti's text format.")
@click.option("--util", type=_FILE, help="With --from: the load of machines, as 'hbal -U' takes it.")
@click.option(
    "--mode", type=click.Choice(["full", "minimal", "hot"]), help="Even (the default), only rules, only heat."
)
@click.option(
    "--objective", type=click.Choice(["even", "ganeti", "ganeti-util", "ganeti-default"]), help="What shall be even."
)
@click.option("--max-moves", type=click.IntRange(0), help="No more moves than these, and as little memory as possible.")
@click.option("--max-memory", metavar="SIZE", help="No more memory moved than this: 64GiB.")
@click.option("--thorough", is_flag=True, default=None, help="With a limit: take longer, for less memory.")
@click.option(
    "--hot", type=click.FloatRange(0, 1), help="Mode hot, and above this share of its processors a host is hot."
)
@click.option("--budget", "budget_s", type=click.FloatRange(0, min_open=True), help="Seconds that planning may take.")
@output
@which
@over
@views
@pass_session
def plan(
    session: Session,
    /,
    source: Path | None,
    util: Path | None,
    output: Path | None,
    file: str | None,
    urls: tuple[str, ...],
    over: float,
    plot: Path | None,
    html: Path | None,
    **settings: Any,
) -> None:
    """Plan which machines should move so that hosts are evenly used.

    The plan is only shown: each move with its reason and cost, hosts before and after, and how far it is from the best
    possible. Of a live fleet, loads are measured first, and each machine is asked whether it can move.
    """
    from vhal.fleet.balance import plan_balance
    from vhal.fleet.settings import BalanceSettings

    check(plot, html)
    if settings["hot"] is not None:
        if settings["mode"] not in (None, "hot"):
            raise Usage(f"--hot is given with --mode {settings['mode']}", "it belongs to --mode hot")
        settings["mode"] = "hot"
    wanted = BalanceSettings(**{name: value for name, value in settings.items() if value is not None})
    if source is not None:
        if file or urls or session.where:
            raise Usage("both a file and a live fleet are given", "give --from, or --fleet, --url or -H")
        snapshot = _read(source, util)
    elif util is not None:
        raise Usage("--util is given without --from", "it belongs to a file in Ganeti's text format")
    else:
        snapshot = opened(session, file, urls).snapshot(over_s=over, movable=True)
    made = plan_balance(snapshot, wanted)
    if output is not None:
        made.save(output)
    tell(session, made, snapshot, plot, html)
    warn(session, snapshot)


def _read(source: Path, util: Path | None) -> FleetSnapshot:
    from vhal.fleet.formats import ganeti
    from vhal.fleet.snapshot import FleetSnapshot

    if util is None and _is_json(source):
        return FleetSnapshot.load(source)
    return ganeti.read(source, util)


def _is_json(source: Path) -> bool:
    try:
        with source.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return True  # the reader of snapshots says what is wrong with the file
