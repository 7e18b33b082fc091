"""``vhal events``: what happens to machines, as it happens, from one host or all named ones."""

from __future__ import annotations

import json
import queue
import threading
import time
from contextlib import ExitStack
from datetime import datetime

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import clean
from vhal.cli.params import Duration
from vhal.errors import VhalError
from vhal.fleet.members.ask import ask
from vhal.watch import EventStream


@verb("events")
@click.option("--for", "for_s", type=Duration(), help="Stop after this long.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many.")
@pass_session
def events(session: Session, for_s: float | None, count: int | None) -> None:
    """Tell what happens to machines, until interrupted.

    With --json, one object a line. Hosts that don't answer when it begins are told of on stderr and left out.
    """
    answers = ask(session.places(), session.connect)
    dead = [answer for answer in answers.values() if isinstance(answer, VhalError)]
    if len(dead) == len(answers):
        raise dead[0]
    session.warn(dead)
    arrived: queue.SimpleQueue[vhal.Event] = queue.SimpleQueue()
    deadline = None if for_s is None else time.monotonic() + for_s
    with ExitStack() as stack:
        for answer in answers.values():
            if not isinstance(answer, VhalError):
                _pump(stack.enter_context(session.keep(answer).events()), arrived)
        left = count
        while left is None or left > 0:
            try:
                event = arrived.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            click.echo(json.dumps(event.as_dict()) if session.json else _line(event))
            left = None if left is None else left - 1


def _pump(stream: EventStream, arrived: queue.SimpleQueue[vhal.Event]) -> None:
    def run() -> None:
        for event in stream:
            arrived.put(event)

    threading.Thread(target=run, daemon=True).start()


def _line(event: vhal.Event) -> str:
    at = datetime.fromtimestamp(event.time).astimezone().isoformat(timespec="milliseconds")
    return clean(f"{at} {event.host} {event.machine} {event.kind} {event.detail}")
