"""What the commands that move machines of a fleet have in common: how they are told to, and what they print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import vhal
from vhal.cli.context import Session
from vhal.cli.fleet.show import draw, tell
from vhal.cli.output import document, is_terminal, table
from vhal.cli.params import Duration, timeout
from vhal.cli.progress import follow

if TYPE_CHECKING:
    from vhal.fleet.moves.applied import Applied, ApplySettings, MoveEvent, MoveResult
    from vhal.fleet.moves.carrier import OnEvent
    from vhal.fleet.plan import Plan
    from vhal.fleet.snapshot import FleetSnapshot
    from vhal.journal import Journal

F = TypeVar("F", bound=Callable[..., Any])

Call = Callable[["OnEvent"], "Applied"]
"""Carries a plan out, and tells of each move."""

dry = click.option("--dry-run", is_flag=True, help="Show the plan, and move nothing.")
output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan to a file, too: 'vhal fleet apply' carries it out.",
)


def limits(function: F) -> F:
    """Add the options that say how moves are made; they are handed on as keywords for :func:`settings`."""
    for option in (
        timeout,
        click.option("--per-host", type=click.IntRange(1, 1024), help="Moves at once that one host takes part in."),
        click.option("--at-once", "fleet", type=click.IntRange(1, 1024), help="Moves at once in all."),
        click.option("--move-timeout", "move_timeout_s", type=Duration(), help="Undo a move that takes longer."),
        click.option("--live/--cold", default=None, help="While machines run (the default), or stop, move and start."),
        click.option("--bandwidth", metavar="SIZE", help="At most this much a second for each move: 100MiB."),
        click.option("--auto-converge", is_flag=True, default=None, help="Slow guests down that write too fast."),
        click.option("--allow-plaintext", is_flag=True, default=None, help="Send memory unencrypted over the network."),
    ):
        function = option(function)
    return function


def settings(given: Mapping[str, Any]) -> ApplySettings | None:
    """Return what the options of :func:`limits` say, without the deadline; None if they say nothing."""
    from vhal.fleet.moves.applied import ApplySettings

    said = {name: value for name, value in given.items() if value is not None and name != "timeout"}
    own = {name: said.pop(name) for name in list(said) if name in ApplySettings.model_fields}
    if said:
        own["policy"] = vhal.MigrationPolicy(**said)
    return ApplySettings(**own) if own else None


def kept() -> Journal:
    """Return the journal, open until the command has ended."""
    from vhal.journal import Journal

    journal = Journal()
    click.get_current_context().call_on_close(journal.close)
    return journal


def planned(
    session: Session,
    plan: Plan,
    snapshot: FleetSnapshot | None,
    views: Mapping[str, Any],
    call: Call | None,
    output: Path | None = None,
) -> None:
    """Show a plan as it was wanted, and carry it out if there is a call for that.

    Args:
        session: How to print.
        plan: What is planned.
        snapshot: What it was made from.
        views: What the options of :func:`vhal.cli.fleet.show.views` say.
        call: Carries it out; None for a dry run.
        output: The file to write it to, too.

    Raises:
        vhal.errors.VhalError: A move failed, a host that was to be emptied isn't empty, or not all machines of a dead
            one run elsewhere.
    """
    if output is not None:
        plan.save(output)
    if call is None:
        tell(session, plan, snapshot, **views)
        return
    draw(session, plan, snapshot, **views)
    for note in plan.notes:
        session.note(note)
    carry(session, call, plan.notes)
    _refuse_left(plan)


def _refuse_left(plan: Plan) -> None:
    from vhal.errors import InsufficientResources
    from vhal.fleet.moves.emptying import LEFT

    left = [note.removeprefix(LEFT) for note in plan.notes if note.startswith(LEFT)]
    if left and plan.kind == "evacuate":
        # Whoever does it by a script must not believe that all is well again.
        raise InsufficientResources(
            f"{len(left)} machines that ran on {plan.emptied[0]} run nowhere: {'; '.join(left)}",
            hint="once the reasons are gone, evacuate again; what has its disks on the host can't be started elsewhere",
        )


def carry(session: Session, call: Call, notes: Sequence[str] = ()) -> None:
    """Carry a plan out with progress, print what came of it, and fail if a move did. Ctrl-C aborts it.

    Args:
        session: How to print.
        call: Carries it out.
        notes: Of the plan, for programs.
    """

    def tell(event: MoveEvent) -> None:
        # A terminal has a bar instead.
        if event.result is not None and not is_terminal(sys.stderr):
            move = event.move
            session.note(f"{move.machine}: {move.source} → {move.destination}: {event.result.outcome}")

    applied = follow(session, vhal.begin(call, tell))
    if session.json:
        document([{**applied.model_dump(mode="json"), "notes": list(notes)}])
    else:
        if applied.moves:
            table(
                ["MACHINE", "FROM", "TO", "OUTCOME", "TIME", "DOWNTIME", "WHY"],
                [_made(result) for result in applied.moves],
                right=["TIME", "DOWNTIME"],
            )
        session.note(str(applied))
    applied.check()


def _made(result: MoveResult) -> tuple[object, ...]:
    return (
        result.move.machine,
        result.move.source,
        result.move.destination,
        result.outcome,
        f"{result.seconds:.1f}s" if result.seconds else "",
        f"{result.downtime_s * 1000:.0f}ms" if result.downtime_s else "",
        result.error,
    )
