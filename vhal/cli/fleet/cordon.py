"""``vhal fleet cordon`` and ``uncordon``: nothing new is put on a host, until it is taken back."""

from __future__ import annotations

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.output import document


@verb("cordon")
@click.argument("hosts", metavar="HOST…", nargs=-1, required=True)
@click.option("--reason", metavar="TEXT", default="", help="Why: 'vhal fleet hosts' shows it.")
@which
@pass_session
def cordon(session: Session, hosts: tuple[str, ...], reason: str, file: str | None, urls: tuple[str, ...]) -> None:
    """Put nothing new on hosts; their machines run on.

    It lasts until 'vhal fleet uncordon' or 'vhal fleet restore', for every command of yours, and is kept in your
    journal. What more people than you are to know belongs in the fleet's file: status = "cordoned". A host that
    doesn't answer can be cordoned, too.
    """
    opened(session, file, urls).cordon(*hosts, reason=reason)
    if session.json:
        document({"host": host, "cordoned": True, "reason": reason} for host in hosts)
        return
    for host in hosts:
        session.say(f"{host} is cordoned" + (f": {reason}" if reason else ""))


@verb("uncordon")
@click.argument("hosts", metavar="HOST…", nargs=-1, required=True)
@which
@pass_session
def uncordon(session: Session, hosts: tuple[str, ...], file: str | None, urls: tuple[str, ...]) -> None:
    """Let hosts be used again that were cordoned, drained or evacuated. Nothing is moved.

    'vhal fleet restore' does so, too, and brings back what a drain moved off.
    """
    found = opened(session, file, urls).uncordon(*hosts)
    if session.json:
        document({"host": host, "cordoned": False} for host in hosts)
        return
    for host in hosts:
        session.say(f"{host} is used again" if host in found else f"{host} wasn't cordoned")
