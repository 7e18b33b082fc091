"""``vhal top``: a fleet as it is now, again and again: hosts with bars, moves under way, machines.

What a screen looks like is :mod:`vhal.fleet.show.frame`; the terminal is :mod:`vhal.cli.screen`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.output import document
from vhal.cli.params import Duration
from vhal.cli.screen import is_plain, screen, show, size
from vhal.errors import VhalError

if TYPE_CHECKING:
    from vhal.fleet.plan import Move
    from vhal.fleet.snapshot import FleetSnapshot

TICK_S = 0.25
"""How soon a key or another size of the terminal shows."""
HELP = "q quit, sort by l load, m memory, n name, h host"


class Source(Protocol):
    """Where snapshots come from: a fleet."""

    def snapshot(self, *, over_s: float = 0.0) -> FleetSnapshot:
        """Return what there is now."""


@verb("top")
@which
@click.option("--interval", type=Duration(), default="2s", show_default=True, help="How long to wait in between.")
@click.option("--once", is_flag=True, help="Show it once; so it is, too, where stdout is no terminal.")
@click.option(
    "--sort",
    type=click.Choice(["load", "memory", "name", "host"]),
    default="load",
    show_default=True,
    help="What machines are sorted by.",
)
@pass_session
def top(session: Session, file: str | None, urls: tuple[str, ...], interval: float, once: bool, sort: str) -> None:
    """Show a fleet live: hosts, moves under way, machines.

    Keys: q quits; l, m, n and h sort machines by load, memory, name and host. CPUS and MEM are what was given away,
    LOAD is what is busy; a host that doesn't answer is shown with the reason, and nothing is guessed about it. Moves
    of plans are those in this user's journal.
    """
    fleet = opened(session, file, urls)
    if once or session.json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _once(session, fleet, interval, sort)
    else:
        _live(fleet, interval, sort)


def under_way() -> list[Move]:
    """Return the moves that plans in this user's journal are at; none where there is no journal."""
    from vhal.fleet.moves.works import PLAN
    from vhal.fleet.plan import Move
    from vhal.journal import Journal, StepState, default_path

    if not default_path().exists():
        return []
    with Journal() as journal:
        works = [work for work in journal.works(PLAN, ended=False) if work.under_way]
    return [Move(**step.data) for work in works for step in work.steps if step.state is StepState.BEGUN]


def _once(session: Session, fleet: Source, over_s: float, sort: str) -> None:
    from vhal.fleet.show.frame import frame

    snapshot, moves = fleet.snapshot(over_s=over_s), under_way()
    if session.json:
        document([{**snapshot.model_dump(mode="json"), "moves": [move.model_dump(mode="json") for move in moves]}])
        return
    show(frame(snapshot, moves, width=size()[0], sort=sort, plain=is_plain()))


def _live(fleet: Source, interval_s: float, sort: str) -> None:
    from vhal.fleet.show.frame import KEYS, frame
    from vhal.fleet.show.letters import Line, Word

    looks = _Looks(fleet, interval_s)
    plain = is_plain()
    with screen() as terminal:
        while True:
            if looks.failure is not None:
                raise looks.failure
            width, height = size()
            lines: Sequence[Line] = [[Word("looking at the hosts …")]]
            if looks.found is not None:
                snapshot, moves = looks.found
                lines = frame(snapshot, moves, width=width, height=height - 1, sort=sort, plain=plain)
            told = f"error: {looks.error}" if looks.error else HELP
            terminal.draw([*lines, [Word(told[: width - 1], "red" if looks.error else "cyan")]])
            key = terminal.key(TICK_S)
            if key == "q":
                return
            sort = KEYS.get(key, sort)


class _Looks:
    """Takes snapshots in a thread of its own, so that keys work while a host is waited for.

    The thread is a daemon: a host that hangs doesn't keep the process.
    """

    def __init__(self, fleet: Source, interval_s: float) -> None:
        self.found: tuple[FleetSnapshot, list[Move]] | None = None
        self.error: VhalError | None = None
        """Why the last look gave nothing; the next one may."""
        self.failure: Exception | None = None
        """What nobody expected; there is no next look."""
        self._fleet = fleet
        self._interval_s = interval_s
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.found = self._fleet.snapshot(), under_way()
                self.error = None
            except VhalError as error:
                self.error = error
            except Exception as error:  # noqa: BLE001 - raised in the thread that draws
                self.failure = error
                return
            time.sleep(self._interval_s)
