"""``vhal capture``: live hosts as a file that ``vhal sim`` runs. What is written down is :mod:`vhal.capture`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from vhal import config
from vhal.cli import complete
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.output import document
from vhal.cli.params import Duration
from vhal.errors import HostUnreachable, InvalidConfig, VhalError
from vhal.fleet.members.ask import PATIENCE_S, ask
from vhal.spec.save import save


@verb("capture")
@click.argument("names", metavar="[HOST]...", nargs=-1, shell_complete=complete.hosts)
@click.option("--all", "all_", is_flag=True, help="All named hosts.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write, in JSON.")
@click.option("--over", type=Duration(), default="1s", show_default=True, help="How long to measure what is used.")
@click.option("--partial", is_flag=True, help="Write down those that answer, if others don't.")
@pass_session
def capture(session: Session, names: tuple[str, ...], all_: bool, output: Path, over: float, partial: bool) -> None:
    """Write hosts and machines down, as a world to simulate.

    HOST is a URL or the name of a named host. Hosts and machines are only looked at. The file has no secrets, and only
    its owner can read it. 'vhal sim run FILE' simulates what is in it.
    """
    chosen = _chosen(session, names, all_)

    def look(place: str) -> tuple[str, dict[str, Any]]:
        from vhal.capture import capture

        with session.connect(place) as host:
            return host.uuid, capture(host, None if ":" in place else place, over)

    answers = ask(chosen, look, PATIENCE_S + over)
    dead = {place: answer for place, answer in answers.items() if isinstance(answer, VhalError)}
    # Two ways to one host are one host.
    parts: dict[str, dict[str, Any]] = {}
    for answer in answers.values():
        if not isinstance(answer, VhalError):
            parts.setdefault(*answer)
    if dead and (not partial or not parts):
        raise _incomplete(dead, len(chosen))
    from vhal.capture import merged

    world = merged(parts.values())
    save(output, json.dumps(world, indent=2) + "\n")
    session.warn(list(dead.values()))
    if session.json:
        errors = [{"place": place, "error": error.as_dict()} for place, error in dead.items()]
        counts = {"hosts": len(world["hosts"]), "machines": len(world["machines"])}
        document([{"file": str(output), **counts, "missing": errors}])
    else:
        click.echo(f"{output}: {len(world['hosts'])} hosts, {len(world['machines'])} machines")


def _chosen(session: Session, names: tuple[str, ...], all_: bool) -> list[str]:
    if all_ and names:
        raise Usage("--all and names of hosts are given", "give one of them")
    if all_:
        named = sorted(config.hosts())
        if not named:
            raise InvalidConfig("no host has a name", hint=f"name some in {config.paths()[0]}")
        return named
    default = session.where or os.environ.get("VHAL_HOST")
    chosen = list(dict.fromkeys(names)) or ([default] if default else [])
    if not chosen:
        raise Usage("no host is given", "name hosts, or give --all")
    return chosen


def _incomplete(dead: dict[str, VhalError], count: int) -> VhalError:
    if len(dead) == count == 1:
        return next(iter(dead.values()))
    said = "; ".join(f"{place}: {error.message}" for place, error in dead.items())
    return HostUnreachable(
        f"{len(dead)} of {count} hosts can't be captured, so nothing was written: {said}",
        hint="--partial writes the others down" if len(dead) < count else "'vhal hosts' shows what is wrong with each",
    )
