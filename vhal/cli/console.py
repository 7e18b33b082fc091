"""``vhal console``: a machine's console on this terminal, or copied to stdout.

The guest's bytes are handed on as they are, escape sequences too: that is what a console is for.
"""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time
from typing import BinaryIO

import click

import vhal.console
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import is_terminal
from vhal.cli.params import Duration, machine_name
from vhal.errors import OperationTimeout

ESCAPE = b"\x1d"
"""Ctrl-]."""
REMEMBERED = 1 << 16
"""Bytes at the end of the output in which a pattern is looked for."""


@verb("console")
@machine_name
@click.option("--for", "for_s", type=Duration(), help="Don't type; copy what comes for this long.")
@click.option(
    "--until", metavar="REGEX", help="Don't type; copy what comes until this does. Exit code 7 if it doesn't."
)
@pass_session
def console(session: Session, name: str, for_s: float | None, until: str | None) -> None:
    """Talk to a machine's console.

    On a terminal what you type goes to the guest; Ctrl-] leaves. Elsewhere what the guest writes is copied to stdout
    until it ends.
    """
    try:
        pattern = re.compile(until.encode()) if until is not None else None
    except re.error as error:
        raise click.BadParameter(f"{until!r} is no regular expression: {error}", param_hint="--until") from None
    vm = session.machine(name)
    with vm.console() as opened:
        output = sys.stdout.buffer
        if for_s is None and pattern is None and is_terminal(sys.stdin) and is_terminal(sys.stdout):
            session.note(f"console of {vm.name}; leave with Ctrl-]")
            attach(opened, sys.stdin.fileno(), output)
        else:
            copy(opened, output, vm.name, for_s, pattern)


def copy(
    console: vhal.console.Console,
    output: BinaryIO,
    machine: str,
    for_s: float | None,
    pattern: re.Pattern[bytes] | None,
) -> None:
    """Copy the console to ``output`` until it ends, the time has passed, or ``pattern`` came.

    Raises:
        vhal.errors.OperationTimeout: ``pattern`` didn't come.
    """
    deadline = None if for_s is None else time.monotonic() + for_s
    seen = b""
    while True:
        remaining = None if deadline is None else deadline - time.monotonic()
        data = b"" if remaining is not None and remaining <= 0 else console.read(remaining)
        if not data:
            break
        output.write(data)
        output.flush()
        if pattern is not None:
            seen = (seen + data)[-REMEMBERED:]
            if pattern.search(seen):
                return
    if pattern is not None:
        raise OperationTimeout(
            f"the console of {machine!r} didn't show {pattern.pattern.decode()!r}",
            hint="is the machine up? try a longer --for",
            machine=machine,
        )


def attach(console: vhal.console.Console, keyboard: int, output: BinaryIO) -> None:
    """Join a terminal and a console until Ctrl-] is typed or the console ends.

    Args:
        console: An open console.
        keyboard: File descriptor of the terminal; in raw mode while this runs.
        output: Where the guest's bytes go.
    """
    import termios
    import tty

    ended, end = os.pipe()

    def show() -> None:
        while data := console.read():
            output.write(data)
            output.flush()
        os.write(end, b".")

    reader = threading.Thread(target=show, daemon=True)
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        reader.start()
        while ended not in select.select([keyboard, ended], [], [])[0]:
            typed = os.read(keyboard, 4096)
            text, escape, _ = typed.partition(ESCAPE)
            if text:
                console.write(text)
            if escape or not typed:
                break
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        console.close()
        reader.join()
        os.close(ended)
        os.close(end)
