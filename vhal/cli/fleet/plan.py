"""``vhal fleet plan``: what would be moved in a fleet that is in a file. Nothing is moved, and no host is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import details, document, table
from vhal.errors import Unsupported
from vhal.spec.units import Bytes

if TYPE_CHECKING:
    from vhal.fleet.plan import Plan

_FILE = click.Path(path_type=Path, dir_okay=False)


@verb("plan")
@click.option("--from", "source", type=_FILE, required=True, help="A snapshot of a fleet, or Ganeti's text format.")
@click.option("--util", type=_FILE, help="The load of machines, as 'hbal -U' takes it.")
@click.option(
    "--mode", type=click.Choice(["full", "minimal", "hot"]), help="Even (the default), only rules, only heat."
)
@click.option(
    "--objective", type=click.Choice(["even", "ganeti", "ganeti-util", "ganeti-default"]), help="What shall be even."
)
@click.option("--max-moves", type=click.IntRange(0), help="No more moves than these, and as little memory as possible.")
@click.option("--max-memory", metavar="SIZE", help="No more memory moved than this: 64GiB.")
@click.option(
    "--hot", type=click.FloatRange(0, 1), help="In mode hot: above this share of its processors a host is hot."
)
@click.option("--budget", "budget_s", type=float, help="Seconds that planning may take.")
@pass_session
def plan(session: Session, /, source: Path, util: Path | None, **settings: Any) -> None:
    """Plan which machines should move so that hosts are evenly used.

    The plan is only shown: each move with its reason and cost, hosts before and after, and how far it is from the best
    possible.
    """
    try:
        from vhal.fleet.balance.planner import plan_balance
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise Unsupported("planning needs numpy, which isn't here", hint="install vhal[fleet]") from None
    from vhal.fleet.balance.settings import BalanceSettings

    given = {name: value for name, value in settings.items() if value is not None}
    made = plan_balance(_snapshot(source, util), BalanceSettings(**given))
    if session.json:
        document([made.model_dump(mode="json")])
    else:
        show(made)


def _snapshot(source: Path, util: Path | None) -> Any:
    from vhal.fleet import ganeti
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


def show(plan: Plan) -> None:
    """Print a plan for people."""
    rows = [
        (
            place,
            move.machine,
            move.source,
            move.destination,
            move.memory,
            f"{move.total_s:.1f} s" if move.total_s else "",
            f"{move.downtime_s * 1000:.0f} ms" if move.total_s else "",
            ",".join(map(str, move.after)),
            move.reason,
        )
        for place, move in enumerate(plan.moves)
    ]
    if rows:
        headers = ["#", "MACHINE", "FROM", "TO", "MEMORY", "TAKES", "DOWN", "AFTER", "REASON"]
        table(headers, rows, right=("#", "MEMORY", "TAKES", "DOWN"))
        click.echo()
        hosts = [
            (
                each.host,
                _change(*each.machines),
                _change(*each.cpus),
                _change(*each.memory),
                _change(*(each.load or ())),
            )
            for each in plan.hosts
        ]
        table(["HOST", "MACHINES", "CPUS", "MEMORY GIVEN", "BUSY"], hosts)
        click.echo()
    details(
        [
            ("moves", f"{len(plan.moves)}, {plan.memory} of memory"),
            ("score", f"{plan.score[0]:.6f} → {plan.score[1]:.6f} (0 is perfectly even)"),
            *_bound(plan),
            *(("note", note) for note in plan.notes),
        ]
    )


def _bound(plan: Plan) -> list[tuple[str, str]]:
    if plan.bound is None:
        return []
    least = plan.bound.transferred
    by = f"; this one moves {plan.memory / least:.2f} times that" if least and plan.moves else ""
    return [
        ("least score", f"{plan.bound.score:.6f}: no placement has less"),
        ("least memory", f"{Bytes(least)}: no plan to this score moves less{by}"),
    ]


def _change(*values: float) -> str:
    if not values:
        return ""
    before, after = (f"{value}" if isinstance(value, int) else f"{value:.0%}" for value in values)
    return f"{before} → {after}"
