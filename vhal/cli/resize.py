"""``vhal resize``: more or fewer processors, more or less memory."""

from __future__ import annotations

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.machine import item
from vhal.cli.output import document
from vhal.cli.params import machine_name, timeout
from vhal.cli.progress import follow


@verb("resize")
@machine_name
@click.option("--cpus", type=int, help="So many processors.")
@click.option("--memory", metavar="SIZE", help="So much memory: 4GiB.")
@timeout
@pass_session
def resize(session: Session, name: str, cpus: int | None, memory: str | None, timeout: float | None) -> None:
    """Change a machine's processors and memory.

    Now and whenever it is started. What can't be changed while it runs is refused before anything is done.
    """
    vm = session.machine(name)
    follow(session, vhal.begin(vm.resize, cpus, memory, timeout_s=timeout))
    info = vm.info()
    if session.json:
        document([item(vm.host.name, info)])
    else:
        session.note(f"{info.name} has {info.cpus} processors and {info.memory} of memory")
