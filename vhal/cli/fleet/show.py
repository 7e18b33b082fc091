"""``vhal fleet show``: a plan for people; and what every command shows its plan with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import document
from vhal.cli.screen import is_plain, size
from vhal.cli.screen import show as print_lines

if TYPE_CHECKING:
    from vhal.fleet.plan import Plan
    from vhal.fleet.snapshot import FleetSnapshot

F = TypeVar("F", bound=Callable[..., Any])


def views(function: F) -> F:
    """Add the options that draw a plan; they are handed on as ``plot`` and ``html``."""
    path = click.Path(path_type=Path)
    function = click.option("--html", type=path, help="Write a page about it, too.")(function)
    return click.option("--plot", type=path, help="Draw it, too: a file that ends in .png or .svg.")(function)


def check(plot: Path | None, html: Path | None) -> None:
    """Return if a plan can be drawn: said before it is made.

    Raises:
        vhal.errors.VhalError: As :func:`vhal.driver.picture.check`.
    """
    from vhal.driver import picture

    if plot is not None:
        picture.check(plot)
    if html is not None:
        picture.check_folder(html)


def tell(
    session: Session,
    plan: Plan,
    snapshot: FleetSnapshot | None = None,
    plot: Path | None = None,
    html: Path | None = None,
) -> None:
    """Print a plan, and draw it where that is wanted.

    Args:
        session: How to print.
        plan: What is planned.
        snapshot: What it was made from; its hosts are on the page, too.
        plot: Where to draw it.
        html: Where to write the page.
    """
    draw(session, plan, snapshot, plot, html)
    if session.json:
        document([plan.model_dump(mode="json")])
        return
    from vhal.fleet.show.text import plan as lines

    print_lines(lines(plan, size()[0], is_plain()))


def draw(
    session: Session,
    plan: Plan,
    snapshot: FleetSnapshot | None = None,
    plot: Path | None = None,
    html: Path | None = None,
) -> None:
    """Draw a plan where that is wanted, and print nothing; the arguments are those of :func:`tell`."""
    if plot is not None:
        from vhal.fleet.show.plot import draw

        draw(plan, plot)
    if html is not None:
        from vhal.fleet.show.report import of_plan

        session.page(of_plan(plan, snapshot), html)


@verb("show")
@click.argument("file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--from", "snapshot", metavar="FILE", help="The snapshot that it was made from, to show the hosts, too.")
@views
@pass_session
def show(session: Session, file: Path, snapshot: str | None, plot: Path | None, html: Path | None) -> None:
    """Show a plan that was written down. Nothing is moved."""
    from vhal.fleet.plan import Plan
    from vhal.fleet.snapshot import FleetSnapshot

    check(plot, html)
    tell(session, Plan.load(file), None if snapshot is None else FleetSnapshot.load(snapshot), plot, html)
