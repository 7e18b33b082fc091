"""``vhal fleet hosts`` and ``machines``: what a fleet is made of, as its snapshot says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.fleet import opened, over, warn, which
from vhal.cli.output import document, table

if TYPE_CHECKING:
    from vhal.fleet.snapshot import FleetSnapshot, SeenHost, SeenMachine

select = click.option("--select", default="", metavar="SELECTOR", help="Only those: team=blue,state=running.")


@verb("hosts")
@which
@select
@pass_session
def hosts(session: Session, file: str | None, urls: tuple[str, ...], select: str) -> None:
    """List the fleet's hosts, what was given away of them, and their labels.

    A host that doesn't answer is shown with the reason; that is no failure.
    """
    from vhal.fleet.selector import selected

    wanted = selected(select)
    snapshot = opened(session, file, urls).snapshot()
    found = [host for host in snapshot.hosts if wanted.matches(host.words)]
    if session.json:
        document(host.model_dump(mode="json") for host in found)
        return
    table(
        ["NAME", "STATUS", "MACHINES", "CPUS", "MEMORY", "LABELS", "WHY"],
        [_host(snapshot, host) for host in found],
    )


def _host(snapshot: FleetSnapshot, host: SeenHost) -> tuple[object, ...]:
    from vhal.fleet.placement.placement import candidate
    from vhal.spec.units import Bytes

    machines = snapshot.on[host.name]
    seen = candidate(host, machines)
    known = host.status != "unreachable"
    return (
        host.name,
        host.status,
        len(machines) if known else "",
        f"{seen.held_cpus}/{seen.cpus:g}" if known else "",
        f"{Bytes(seen.held_memory)}/{Bytes(seen.memory)}" if known else "",
        ",".join(f"{key}={value}" for key, value in sorted(host.labels.items())),
        host.reason,
    )


@verb("machines")
@which
@select
@over
@pass_session
def machines(session: Session, file: str | None, urls: tuple[str, ...], select: str, over: float) -> None:
    """List the fleet's machines and what they use.

    Hosts that don't answer are told of on stderr, and make the exit code 6.
    """
    from vhal.fleet.selector import selected

    wanted = selected(select)
    snapshot = opened(session, file, urls).snapshot(over_s=over)
    found = [machine for machine in snapshot.machines if wanted.matches(machine.words)]
    if session.json:
        document(machine.model_dump(mode="json") for machine in found)
    else:
        table(["NAME", "STATE", "CPUS", "BUSY", "MEMORY", "USED", "HOST"], map(_machine, found), right=["CPUS", "BUSY"])
    warn(session, snapshot)
    if any(host.status == "unreachable" for host in snapshot.hosts):
        click.get_current_context().exit(6)


def _machine(machine: SeenMachine) -> tuple[object, ...]:
    from vhal.spec.units import Bytes

    load = machine.load
    return (
        machine.name,
        machine.state,
        machine.cpus,
        "-" if load is None else f"{load.cpus:.2f}",
        machine.memory,
        "-" if load is None else Bytes(int(load.memory)),
        machine.host,
    )
