"""``vhal fleet create`` and ``explain``: a machine where it fits best, and why there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.create import read
from vhal.cli.fleet import opened, over, which
from vhal.cli.machine import tell
from vhal.cli.output import document, table
from vhal.cli.params import timeout
from vhal.cli.progress import follow
from vhal.errors import PlacementRefused

if TYPE_CHECKING:
    from vhal.fleet.placement.scores import Policy

F = TypeVar("F", bound=Callable[..., Any])


def _what(function: F) -> F:
    for option in (
        click.option("--on", default="", metavar="SELECTOR", help="Only hosts that it chooses: rack=r1."),
        click.option(
            "--policy",
            type=click.Choice(["balance", "pack", "spread"]),
            default="balance",
            show_default=True,
            help="The emptiest host, the fullest with room, or the one with the fewest such machines.",
        ),
        click.option("--name", help="Instead of the spec's."),
        over,
        which,
        click.argument("spec", metavar="SPEC"),
    ):
        function = option(function)
    return function


@verb("explain")
@_what
@pass_session
def explain(
    session: Session,
    spec: str,
    file: str | None,
    urls: tuple[str, ...],
    name: str | None,
    policy: str,
    on: str,
    over: float,
) -> None:
    """Say where a machine would be made, and of each host why or why not.

    SPEC is a file, or - for TOML on stdin. Nothing is made. The exit code is 4 if no host can take it.
    """
    found = opened(session, file, urls).explain(_read(spec, name), cast("Policy", policy), on=on, over_s=over)
    if session.json:
        document([{**found.model_dump(mode="json"), "chosen": found.chosen}])
    else:
        rows = [(each.host, f"{each.total:.3f}" if each.fits else "-", each.why) for each in found.verdicts]
        table(["HOST", "SCORE", "WHY"], rows, right=["SCORE"])
        for note in found.notes:
            session.note(f"warning: {note}")
    if found.chosen is None:
        session.note(f"{found.refusal}\nhint: {found.remedy}")
        click.get_current_context().exit(PlacementRefused.exit_code)


@verb("create")
@_what
@click.option("--start", is_flag=True, help="Start it, too.")
@timeout
@pass_session
def create(
    session: Session,
    spec: str,
    file: str | None,
    urls: tuple[str, ...],
    name: str | None,
    policy: str,
    on: str,
    over: float,
    start: bool,
    timeout: float | None,
) -> None:
    """Make a machine on the host that is best for it.

    SPEC is a file, or - for TOML on stdin. 'vhal fleet explain' says where, and why, without making it.
    """
    fleet = opened(session, file, urls)
    wanted = _read(spec, name)
    creation = vhal.begin(fleet.create, wanted, cast("Policy", policy), on=on, over_s=over, timeout_s=timeout)
    vm = follow(session, creation)
    if start:
        follow(session, vhal.begin(vm.start, timeout_s=timeout))
    tell(session, vm)


def _read(spec: str, name: str | None) -> vhal.MachineSpec:
    found = read(spec, "toml")
    return found if name is None else found.replace(name=name)
