"""The commands that change a machine's state, and ``vhal wait``.

Which call may begin in which state is in :mod:`vhal.spec.state`, not here.
"""

from __future__ import annotations

from typing import Any

import click

import vhal
from vhal.cli.command import Command, pass_session, verb
from vhal.cli.context import Session
from vhal.cli.machine import tell
from vhal.cli.params import machine_name, timeout
from vhal.cli.progress import follow


def limit(timeout_s: float | None) -> dict[str, Any]:
    """Return the keyword for a timeout, or none so that the call's own default holds."""
    return {} if timeout_s is None else {"timeout_s": timeout_s}


def _plain(call: str, summary: str) -> Command:
    """Make the command of a call that takes nothing but a timeout."""

    @verb(call, help=summary)
    @machine_name
    @timeout
    @pass_session
    def run(session: Session, name: str, timeout: float | None) -> None:
        vm = session.machine(name)
        follow(session, vhal.begin(getattr(vm, call), **limit(timeout)))
        tell(session, vm)

    return run


reboot = _plain("reboot", "Restart a machine's guest.")
pause = _plain("pause", "Halt a machine's processors and keep its memory.")
resume = _plain("resume", "Let a paused machine go on.")
save = _plain("save", "Put a machine's memory on disk.")
restore = _plain("restore", "Bring a saved machine back.")


@verb("start")
@machine_name
@timeout
@click.option("--wait", is_flag=True, help="Return when its guest is up.")
@pass_session
def start(session: Session, name: str, timeout: float | None, wait: bool) -> None:
    """Start a machine."""
    vm = session.machine(name)
    follow(session, vhal.begin(vm.start, timeout_s=timeout))
    if wait:
        follow(session, vhal.begin(vm.wait, **limit(timeout)))
    tell(session, vm)


@verb("stop")
@machine_name
@timeout
@click.option("--force", is_flag=True, help="Take the power away; discards the memory of a saved machine.")
@pass_session
def stop(session: Session, name: str, timeout: float | None, force: bool) -> None:
    """Stop a machine by asking its guest."""
    vm = session.machine(name)
    follow(session, vhal.begin(vm.stop, force=force, **limit(timeout)))
    tell(session, vm)


@verb("wait")
@machine_name
@timeout
@click.option("--for", "condition", metavar="STATE", default="ready", help="A state instead, such as running.")
@pass_session
def wait(session: Session, name: str, timeout: float | None, condition: str) -> None:
    """Wait until a machine's guest is up, or for a state."""
    vm = session.machine(name)
    follow(session, vhal.begin(vm.wait, condition, **limit(timeout)))
    tell(session, vm)
