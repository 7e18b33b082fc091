"""``vhal fleet capture``: a fleet's snapshot in a file, to plan from anywhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, over, warn, which
from vhal.cli.output import document
from vhal.errors import AccessDenied, NotFound, VhalError
from vhal.spec.save import save

if TYPE_CHECKING:
    from vhal.fleet.fleet import Fleet
    from vhal.host import Host
    from vhal.spec.machine import MachineInfo


@verb("capture")
@click.argument("output", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--specs",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each machine's spec down, too, as HOST/NAME.json: 'vhal fleet evacuate' takes them.",
)
@which
@over
@pass_session
def capture(
    session: Session, output: Path, folder: Path | None, file: str | None, urls: tuple[str, ...], over: float
) -> None:
    """Write down what is on the fleet's hosts now, as a snapshot to plan from.

    Hosts and machines are only looked at. Each machine is asked whether it can move. Only its owner can read the file;
    labels that look like secrets are masked. Hosts that don't answer are in it as such.
    """
    fleet = opened(session, file, urls)
    snapshot = fleet.snapshot(over_s=over, movable=True).without_secrets()
    kept = {} if folder is None else {"specs": _keep_specs(session, fleet, folder)}
    snapshot.save(output)
    counts = {"hosts": len(snapshot.hosts), "machines": len(snapshot.machines), **kept}
    if session.json:
        document([{"file": str(output), **counts}])
    else:
        click.echo(f"{output}: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    warn(session, snapshot)


def _keep_specs(session: Session, fleet: Fleet, folder: Path) -> int:
    """Write down what machines were made from, as far as that is known; return of how many."""
    kept, unknown = 0, []
    for name, machines in fleet.ask(_infos).items():
        if isinstance(machines, VhalError):
            continue  # its last specs stay: it may be dead
        try:
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise AccessDenied(
                f"{folder / name}: can't be made: {error.strerror}", hint="name another folder"
            ) from None
        for machine in machines:
            if machine.spec is None:
                unknown.append(machine.name)
            else:
                save(folder / name / f"{machine.spec.name}.json", machine.spec.model_dump_json(indent=2) + "\n")
                kept += 1
    if unknown:
        session.note(f"warning: vhal didn't make {', '.join(unknown)}, so what they were made from isn't known")
    return kept


def _infos(host: Host) -> list[MachineInfo]:
    """Return what is known of a host's machines: asked one by one, since lists of them may have no specs."""
    found = []
    for machine in host.machines():
        with suppress(NotFound):  # it has left meanwhile
            found.append(machine.info())
    return found
