"""``vhal cp``: files into a machine, and out of it."""

from __future__ import annotations

import re

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.output import document
from vhal.cli.params import timeout
from vhal.cli.progress import follow

_PLACE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,62}):(/.*)", re.S)


@verb("cp")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@timeout
@pass_session
def copy(session: Session, source: str, destination: str, timeout: float | None) -> None:
    """Copy a file or folder into a machine or out of it.

    One of the two is MACHINE:/PATH, the other a path here. DST is what it will be called; if it ends with /, it goes
    into that folder under its own name. A folder that is there gets what is new.
    """
    there = [_PLACE.fullmatch(place) for place in (source, destination)]
    into, out = there[1], there[0]
    if into is not None and out is None:
        vm = session.machine(into[1])
        follow(session, vhal.begin(vm.copy_in, source, into[2], timeout_s=timeout))
    elif out is not None and into is None:
        vm = session.machine(out[1])
        follow(session, vhal.begin(vm.copy_out, out[2], destination, timeout_s=timeout))
    else:
        both = "both are" if out is not None else "neither is"
        raise Usage(f"{both} in a machine", "one of the two is MACHINE:/PATH; write ./NAME:/x for such a name here")
    if session.json:
        document([{"machine": vm.name, "host": vm.host.name, "source": source, "destination": destination}])
    else:
        session.note(f"copied {source} to {destination}")
