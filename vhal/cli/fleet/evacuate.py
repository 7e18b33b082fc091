"""``vhal fleet evacuate``: a dead host's machines, started on others.

What that takes is :mod:`vhal.fleet.moves.evacuate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, which
from vhal.cli.fleet.carry import dry, kept, planned
from vhal.cli.params import timeout
from vhal.errors import InvalidSpec, NotFound

if TYPE_CHECKING:
    import vhal
    from vhal.fleet.moves.applied import Applied
    from vhal.fleet.moves.carrier import OnEvent


@verb("evacuate")
@click.argument("host", metavar="HOST")
@click.option("--fenced", metavar="WHAT", default="", help="What was done so that the host runs nothing any more.")
@click.option("--last", metavar="FILE", required=True, help="A snapshot of 'vhal fleet capture' from before.")
@click.option(
    "--specs",
    "folder",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="Spec files of its machines: what 'vhal fleet capture --specs' wrote down of the host.",
)
@which
@timeout
@dry
@pass_session
def evacuate(
    session: Session,
    /,
    host: str,
    fenced: str,
    last: str,
    folder: Path,
    file: str | None,
    urls: tuple[str, ...],
    timeout: float | None,
    dry_run: bool,
) -> None:
    """Start the machines of a dead host on others.

    A host that only doesn't answer may still run its machines, and a second copy destroys their disks: cut its power or
    its way to the disks first, and say with --fenced what was done. Only machines whose spec is given, and whose disks
    are all shared, can be started elsewhere; the others are named, and make the exit code 4. It may be repeated.
    """
    from vhal.fleet.moves.evacuate import evacuate as started
    from vhal.fleet.moves.evacuate import plan_evacuate
    from vhal.fleet.snapshot import FleetSnapshot

    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", hint="give one with the spec files of the host's machines")
    specs = _specs(folder)
    fleet = opened(session, file, urls)
    journal = kept()
    snapshot = fleet.snapshot()
    plan = plan_evacuate(snapshot, host, FleetSnapshot.load(last), specs)

    def call(on_event: OnEvent) -> Applied:
        return started(plan, fleet, specs, fenced, journal=journal, on_event=on_event, timeout_s=timeout)

    planned(session, plan, snapshot, {}, None if dry_run else call)


def _specs(folder: Path) -> dict[str, vhal.MachineSpec]:
    """Return the specs in a folder, by the names of their machines."""
    from vhal.spec.load import load_spec

    found: dict[str, vhal.MachineSpec] = {}
    places: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".toml", ".json", ".yaml", ".yml"):
            spec = load_spec(path)
            if spec.name in places:
                raise InvalidSpec(
                    f"{places[spec.name]} and {path} are both of machine {spec.name!r}",
                    hint="leave the one in the folder that the machine was made from",
                )
            found[spec.name], places[spec.name] = spec, path
    return found
