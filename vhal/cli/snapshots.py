"""``vhal snapshot``: a machine as it is now, and back to it."""

from __future__ import annotations

from datetime import datetime

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.machine import tell
from vhal.cli.output import document, table
from vhal.cli.params import machine_name, timeout
from vhal.cli.progress import follow

snapshot_name = click.argument("snapshot", metavar="SNAPSHOT")


@verb("create")
@machine_name
@snapshot_name
@click.option("--memory", is_flag=True, help="Its memory too, so that it runs on from there.")
@timeout
@pass_session
def create(session: Session, name: str, snapshot: str, memory: bool, timeout: float | None) -> None:
    """Keep a machine as it is now; it goes on as before."""
    vm = session.machine(name)
    taken = follow(session, vhal.begin(vm.snapshot, snapshot, memory=memory, timeout_s=timeout))
    if session.json:
        document([{"machine": vm.name, "host": vm.host.name, **taken.model_dump(mode="json")}])
    else:
        session.note(f"{vm.name} is kept as {taken.name} on {vm.host.name}")


@verb("list")
@machine_name
@pass_session
def list_(session: Session, name: str) -> None:
    """List a machine's snapshots, the oldest first."""
    vm = session.machine(name)
    kept = vm.snapshots()
    if session.json:
        document({"machine": vm.name, "host": vm.host.name, **one.model_dump(mode="json")} for one in kept)
        return
    table(
        ["SNAPSHOT", "MEMORY", "CREATED"],
        [(one.name, "yes" if one.memory else "no", _moment(one.created)) for one in kept],
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


@verb("revert")
@machine_name
@snapshot_name
@timeout
@pass_session
def revert(session: Session, name: str, snapshot: str, timeout: float | None) -> None:
    """Make a stopped machine what it was; what it is now is lost."""
    vm = session.machine(name)
    follow(session, vhal.begin(vm.revert, snapshot, timeout_s=timeout))
    tell(session, vm)


@verb("delete")
@machine_name
@snapshot_name
@timeout
@pass_session
def delete(session: Session, name: str, snapshot: str, timeout: float | None) -> None:
    """Forget a snapshot; the machine isn't changed."""
    vm = session.machine(name)
    follow(session, vhal.begin(vm.delete_snapshot, snapshot, timeout_s=timeout))
    if session.json:
        document([{"machine": vm.name, "host": vm.host.name, "name": snapshot}])
    else:
        session.note(f"snapshot {snapshot} of {vm.name} is deleted")
