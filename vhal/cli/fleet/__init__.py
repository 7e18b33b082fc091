"""``vhal fleet …``: commands about several hosts at once. Which fleet is meant is found out here.

Each command is in a module of its own; the table of them is in :mod:`vhal.cli.app`. What a fleet is, is
:mod:`vhal.fleet`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vhal.cli.context import Session, Usage
from vhal.cli.params import Duration

if TYPE_CHECKING:
    from vhal.fleet.fleet import Fleet
    from vhal.fleet.snapshot import FleetSnapshot

F = TypeVar("F", bound=Callable[..., Any])

over = click.option("--over", type=Duration(), default="1s", show_default=True, help="How long to measure loads.")


def which(function: F) -> F:
    """Add the options that say which fleet is meant; they are handed on as ``file`` and ``urls``."""
    function = click.option(
        "--url", "urls", metavar="URL", multiple=True, help="A host of the fleet, instead of a file; repeatable."
    )(function)
    return click.option(
        "--fleet", "file", metavar="FILE", help="The fleet's file; else VHAL_FLEET, else fleet.toml, else named hosts."
    )(function)


def opened(session: Session, file: str | None, urls: tuple[str, ...]) -> Fleet:
    """Return the fleet that is meant. It is closed when the command has ended."""
    import os

    from vhal import config
    from vhal.fleet.file import default_path
    from vhal.fleet.fleet import Fleet

    session.hush()
    session.registry()
    if sum((bool(file), bool(urls), bool(session.where))) > 1:
        raise Usage("more than one of --fleet, --url and -H is given", "give one of them")
    hosts = urls or ((session.where,) if session.where else ())
    if not hosts and not file and not os.environ.get("VHAL_FLEET") and not default_path().exists():
        hosts = tuple(sorted(config.hosts()))
        if not hosts:
            raise Usage("no fleet is given", f"give --fleet FILE or --url URL, or describe one in {default_path()}")
    fleet = Fleet(hosts) if hosts else Fleet.load(file)
    click.get_current_context().call_on_close(fleet.close)
    return fleet


def warn(session: Session, snapshot: FleetSnapshot) -> None:
    """Tell people which hosts don't answer."""
    for host in snapshot.hosts:
        if host.status == "unreachable":
            session.note(f"warning: {host.name} doesn't answer: {host.reason}")
