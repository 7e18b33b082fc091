"""``vhal stats``: what machines use of their hosts, once or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

import vhal
from vhal.cli import complete
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import document, table
from vhal.cli.params import Duration
from vhal.errors import NotFound, Unsupported, VhalError
from vhal.fleet.members.ask import ask

if TYPE_CHECKING:
    from vhal.spec.usage import Rates, Usage


class Row(NamedTuple):
    """One machine and what it uses."""

    host: str
    id: str
    name: str
    usage: Usage


@verb("stats")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete.machines)
@click.option("--watch", is_flag=True, help="Go on until interrupted, and show what is used in between.")
@click.option("--every", type=Duration(), default="2s", help="How long to wait in between: 2s.")
@click.option("--count", type=click.IntRange(min=1), help="With --watch, stop after this many times.")
@pass_session
def stats(session: Session, names: tuple[str, ...], watch: bool, every: float, count: int | None) -> None:
    """Show what active machines use.

    Of the host that -H or VHAL_HOST names, else of all named hosts. CPU is processor time since the machine was
    started; with --watch it is processors kept busy, and the others are bytes a second. With --watch and --json, one
    object a line. What an engine doesn't tell is '-'.
    """
    hosts = _hosts(session)
    before: dict[tuple[str, str], Usage] = {}
    left = count if watch else 1
    while True:
        rows = [row for host in hosts for row in _rows(host)]
        found = [row for row in rows if not names or row.name in names or row.id in names]
        if not watch and (missing := set(names) - {row.name for row in rows} - {row.id for row in rows}):
            raise NotFound(
                f"no active machine is called {', '.join(sorted(missing))}", hint="'vhal list' shows each one's state"
            )
        _show(session, found, before, watch)
        before = {(row.host, row.id): row.usage for row in found}
        left = None if left is None else left - 1
        if left == 0:
            return
        time.sleep(every)


def _hosts(session: Session) -> list[vhal.Host]:
    answers = ask(session.places(), session.connect)
    dead = [answer for answer in answers.values() if isinstance(answer, VhalError)]
    hosts = [session.keep(answer) for answer in answers.values() if not isinstance(answer, VhalError)]
    if not hosts:
        raise dead[0]
    session.warn(dead)
    from vhal.driver.capability import METRICS

    able = [host for host in hosts if host.can(METRICS)]
    if not able:
        hosts[0].guard.require(METRICS)
    session.warn([Unsupported(f"host {host.name} doesn't measure machines") for host in hosts if host not in able])
    return able


def _rows(host: vhal.Host) -> Iterator[Row]:
    used = host.usage()
    for machine in host.machines():
        if machine.id in used:
            yield Row(host.name, machine.id, machine.name, used[machine.id])


def _show(session: Session, rows: list[Row], before: dict[tuple[str, str], Usage], watch: bool) -> None:
    from vhal.spec.usage import rates

    items = []
    lines = []
    for row in rows:
        earlier = before.get((row.host, row.id))
        rate = rates(earlier, row.usage) if earlier is not None else None
        items.append(
            {
                "host": row.host,
                "id": row.id,
                "name": row.name,
                **row.usage.model_dump(mode="json"),
                **({"rates": rate.model_dump(mode="json") if rate else None} if watch else {}),
            }
        )
        lines.append([row.name, *_cells(row.usage, rate, watch), row.host])
    if not session.json:
        table(["NAME", "CPU", "MEMORY", "READ", "WRITTEN", "RECEIVED", "SENT", "PROCESSES", "HOST"], lines)
    elif watch:
        for item in items:
            click.echo(json.dumps(item))
    else:
        document(items)


def _cells(usage: Usage, rate: Rates | None, watch: bool) -> list[str]:
    from vhal.spec.units import Bytes

    def size(value: float | None) -> str:
        return "-" if value is None else str(Bytes(int(value)))

    if watch:
        cpu = None if rate is None else rate.cpus
        moved = [None if rate is None else getattr(rate, name) for name in ("read", "written", "received", "sent")]
        told = "-" if cpu is None else f"{cpu:.2f}"
        cells = [size(value) if value is None else f"{size(value)}/s" for value in moved]
    else:
        told = "-" if usage.cpu_s is None else f"{usage.cpu_s:.1f} s"
        cells = [size(value) for value in (usage.read, usage.written, usage.received, usage.sent)]
    return [told, size(usage.memory), *cells, "-" if usage.processes is None else str(usage.processes)]
