"""``vhal list``, ``show`` and ``delete``, and how a machine is printed.

What changes a machine's state is in :mod:`vhal.cli.power`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.output import details, document, is_terminal, table
from vhal.cli.params import Pair, machine_name, timeout
from vhal.cli.progress import follow
from vhal.errors import VhalError
from vhal.fleet.members.ask import ask

if TYPE_CHECKING:
    from vhal.spec.machine import MachineInfo


def item(host: str, info: MachineInfo, *, spec: bool = True) -> dict[str, Any]:
    """Return a machine as every command prints it for programs.

    Args:
        host: Name of its host.
        info: What it is.
        spec: Whether to say what it was made from; listings don't.
    """
    return {"host": host, **info.model_dump(mode="json", exclude=None if spec else {"spec"})}


def tell(session: Session, vm: vhal.Machine) -> None:
    """Print how a machine is after it was changed."""
    info = vm.info()
    if session.json:
        document([item(vm.host.name, info)])
    else:
        session.note(f"{info.name} is {info.state} on {vm.host.name}")


@verb("list")
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only machines that have it; repeatable.")
@pass_session
def list_(session: Session, labels: tuple[tuple[str, str], ...]) -> None:
    """List machines.

    Of the host that -H or VHAL_HOST names, else of all named hosts. Hosts that don't answer are told of on stderr,
    and make the exit code 6.
    """

    def machines(place: str) -> list[tuple[str, MachineInfo]]:
        with session.connect(place) as host:
            return [(host.name, vm.seen) for vm in host.machines(dict(labels))]

    answers = ask(session.places(), machines)
    dead = [answer for answer in answers.values() if isinstance(answer, VhalError)]
    if len(dead) == len(answers):
        raise dead[0]
    found = [pair for answer in answers.values() if not isinstance(answer, VhalError) for pair in answer]
    if session.json:
        document(item(host, info, spec=False) for host, info in found)
    else:
        table(
            ["NAME", "KIND", "STATE", "CPUS", "MEMORY", "HOST"],
            [(info.name, info.kind, info.state, info.cpus, info.memory, host) for host, info in found],
        )
    session.warn(dead)
    if dead:
        click.get_current_context().exit(dead[0].exit_code)


@verb("show")
@machine_name
@pass_session
def show(session: Session, name: str) -> None:
    """Show one machine."""
    vm = session.machine(name)
    info = vm.info()
    if session.json:
        document([item(vm.host.name, info)])
        return
    spec = info.spec
    details(
        [
            ("name", info.name),
            ("id", info.id),
            ("host", vm.host.name),
            ("kind", info.kind),
            ("state", info.state),
            ("cpus", info.cpus),
            ("memory", info.memory),
            ("labels", ", ".join(f"{key}={value}" for key, value in sorted(info.labels.items()))),
            ("made by vhal", "yes" if info.managed else "no"),
            ("hosts so far", info.epoch),
            ("boot", spec and _fields(spec.boot)),
            *((f"disk {place}", _fields(disk)) for place, disk in enumerate(spec.disks if spec else ())),
            *((f"nic {place}", _fields(nic)) for place, nic in enumerate(spec.nics if spec else ())),
        ]
    )


def _fields(part: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in part if value not in (None, False) and name != "kind")


@verb("delete")
@machine_name
@timeout
@click.option("--force", is_flag=True, help="Stop it first, forcibly, if it runs.")
@click.option("--keep-disks", is_flag=True, help="Leave the disks made for it: a machine that moved has them.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@pass_session
def delete(session: Session, name: str, timeout: float | None, force: bool, keep_disks: bool, yes: bool) -> None:
    """Delete a machine and the disks made for it.

    Disks that were there before it stay. Asks before, on a terminal.
    """
    vm = session.machine(name)
    if not yes and not _confirmed(vm):
        session.note(f"{vm.name} was left alone")
        click.get_current_context().exit(1)
    follow(session, vhal.begin(vm.delete, force=force, keep_disks=keep_disks, timeout_s=timeout))
    if session.json:
        document([item(vm.host.name, vm.seen)])
    else:
        session.note(f"{vm.name} is deleted from {vm.host.name}")


def _confirmed(vm: vhal.Machine) -> bool:
    if not is_terminal(sys.stdin):
        raise Usage(f"deleting machine {vm.name!r} must be confirmed", "give --yes")
    return click.confirm(f"Delete machine {vm.name!r} on {vm.host.name}?", err=True)
