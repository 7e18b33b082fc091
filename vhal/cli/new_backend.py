"""``vhal new-backend``: a plugin's project to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import clean, document


@verb("new-backend")
@click.argument("name", metavar="NAME")
@click.option(
    "--path",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The project's folder; else vhal-NAME in this one.",
)
@pass_session
def new_backend(session: Session, name: str, folder: Path | None) -> None:
    """Write the project of a backend of your own.

    NAME is the scheme of its URLs. The project can be installed and passes the conformance kit as it is; its engine,
    which keeps machines in memory, is for you to replace.
    """
    from vhal.scaffold import write

    folder = folder or Path(f"vhal-{name}")
    written = write(name, folder)
    if session.json:
        document([{"name": name, "path": str(folder), "files": written}])
        return
    for path in written:
        click.echo(clean(str(folder / path)))
    session.note(f"next: cd {folder}, pip install -e . --group dev, pytest")
