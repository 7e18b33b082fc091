"""``vhal fleet watch``: a fleet is looked at again and again, and cooled by a policy.

How, is :mod:`vhal.fleet.watch.watch`'s.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.fleet.carry import kept
from vhal.cli.fleet.metrics import address, told

if TYPE_CHECKING:
    from vhal.fleet.figures.metrics import MoveMetrics
    from vhal.fleet.fleet import Fleet
    from vhal.fleet.watch.watch import Round, Watch


@verb("watch")
@click.option("--policy", metavar="FILE", help="When to act, and how much at most: TOML. Else the defaults.")
@click.option("--dry-run", is_flag=True, help="Make plans, and move nothing.")
@click.option("--looks", type=click.IntRange(min=1), help="End after so many looks.")
@click.option("--metrics", metavar="ADDRESS:PORT", help="Serve figures of the fleet and its moves to Prometheus.")
@which
@pass_session
def watch(
    session: Session,
    /,
    policy: str | None,
    dry_run: bool,
    looks: int | None,
    metrics: str | None,
    file: str | None,
    urls: tuple[str, ...],
) -> None:
    """Keep the fleet cool until interrupted: a line, or with --json a document, for each look.

    SIGTERM and Ctrl-C end it: nothing begins any more, and a move that is under way is undone or finished.
    """
    from vhal.fleet.watch.policy import WatchPolicy
    from vhal.fleet.watch.watch import Watch

    wanted = WatchPolicy() if policy is None else WatchPolicy.load(policy)
    fleet = opened(session, file, urls)
    journal = kept()
    with ExitStack() as stack:
        counted = None if metrics is None else stack.enter_context(_served(session, fleet, *address(metrics)))
        watched = Watch(fleet, wanted, journal=journal, dry_run=dry_run, on_event=counted)
        stack.enter_context(_stopping(watched))
        for each in islice(watched.rounds(), looks):
            _tell(session, each)


@contextmanager
def _served(session: Session, fleet: Fleet, host: str, port: int) -> Iterator[MoveMetrics]:
    """Serve a fleet's figures as long as the block runs; give what counts its moves."""
    from vhal.fleet.figures.metrics import FleetMetrics, MoveMetrics, require, served

    require()
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    counted = MoveMetrics(registry)
    registry.register(FleetMetrics(fleet))
    with served(registry, host, port) as chosen:
        session.note(f"serving http://{told(host)}:{chosen}/metrics")
        yield counted


@contextmanager
def _stopping(watched: Watch) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C stop the watch as long as the block runs."""
    before = {number: signal.signal(number, lambda *_: watched.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(session: Session, each: Round) -> None:
    import json
    from datetime import datetime

    if session.json:
        told = {"at_s": each.at_s, "decision": str(each.decision), "hot": list(each.hot), "reason": each.reason}
        moves = [move.model_dump(mode="json") for move in each.plan.moves] if each.plan is not None else []
        applied = None if each.applied is None else each.applied.model_dump(mode="json")
        click.echo(json.dumps({**told, "moves": moves, "applied": applied}))
        return
    when = datetime.fromtimestamp(each.at_s).astimezone().strftime("%H:%M:%S")
    session.say(f"{when} {each.decision}" + (f": {each.reason}" if each.reason else ""))
    if each.plan is not None:
        for move in each.plan.moves:
            session.say(f"  {move.machine}: {move.source} → {move.destination}: {move.reason}")
    if each.applied is not None:
        for result in each.applied.missed:
            session.say(f"  {result.move.machine}: {result.outcome}: {result.error}")
