"""``vhal exec``: a program in a machine, joined with this terminal or these pipes."""

from __future__ import annotations

import io
import os
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

import click

import vhal.execution
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.output import document, is_terminal
from vhal.cli.params import Pair, machine_name, timeout
from vhal.cli.progress import follow
from vhal.errors import VhalError

PIECE = 1 << 16


@verb("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-i", "--interactive", is_flag=True, help="Give it what comes on stdin.")
@click.option("-t", "--terminal", is_flag=True, help="Have its input and output be a terminal.")
@click.option("--env", "env", type=Pair(), multiple=True, help="Set a variable; repeatable.")
@click.option("--user", help="Run it as this user.")
@click.option("--cwd", metavar="PATH", help="Begin in this folder of the machine.")
@timeout
@machine_name
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def execute(
    session: Session,
    name: str,
    command: tuple[str, ...],
    interactive: bool,
    terminal: bool,
    env: tuple[tuple[str, str], ...],
    user: str | None,
    cwd: str | None,
    timeout: float | None,
) -> None:
    """Run a program in a machine.

    As in: vhal exec NAME -- PROGRAM ARGUMENT... Its output goes to stdout and its errors to stderr, and its exit code
    is that of this command. With --json all of it is in one document. There is no shell in between; 'sh -c' is one.
    """
    words = command[1:] if command[0] == "--" else command
    vm = session.machine(name)
    if session.json or timeout is not None:
        if terminal:
            raise Usage("a terminal has no end to wait for", "leave out --terminal, or --json and --timeout")
        given = sys.stdin.buffer.read() if interactive else None
        done = follow(
            session,
            vhal.begin(vm.exec, words, env=dict(env), user=user, cwd=cwd, input=given, timeout_s=timeout),
        )
        if session.json:
            output, errors = (data.decode(errors="replace") for data in (done.output, done.errors))
            document([{"exit_code": done.exit_code, "output": output, "errors": errors}])
        else:
            sys.stdout.buffer.write(done.output)
            sys.stdout.flush()
            sys.stderr.buffer.write(done.errors)
            sys.stderr.flush()
        click.get_current_context().exit(done.exit_code)
    with vm.spawn(words, env=dict(env), user=user, cwd=cwd, terminal=terminal) as program:
        raw = terminal and interactive and is_terminal(sys.stdin)
        code = join(program, sys.stdin.buffer if interactive else None, raw)
    click.get_current_context().exit(code)


def join(program: vhal.execution.Execution, source: BinaryIO | None, raw: bool = False) -> int:
    """Copy a program's output to stdout and stderr until it ends, and return what it ended with.

    Args:
        program: One that runs.
        source: What it is given; without one, nothing.
        raw: Whether ``source`` is a terminal that hands on what is typed as it is typed.
    """
    if source is None:
        program.close_input()
        return _copy(program)
    threading.Thread(target=_feed, args=(program, source), daemon=True).start()
    if not raw:
        return _copy(program)
    import termios
    import tty

    keyboard = source.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        return _copy(program)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _copy(program: vhal.execution.Execution) -> int:
    outputs = {vhal.execution.OUTPUT: sys.stdout.buffer, vhal.execution.ERRORS: sys.stderr.buffer}
    while True:
        descriptor, data = program.read()
        if not descriptor:
            return program.wait()
        output = outputs[descriptor]
        output.write(data)
        output.flush()


def _feed(program: vhal.execution.Execution, source: BinaryIO) -> None:
    # Past the buffer: a thread that waits in it would hold its lock when the process ends.
    try:
        descriptor: int | None = source.fileno()
    except (OSError, io.UnsupportedOperation):
        descriptor = None
    # A program that has ended takes no more input, and that is no news.
    with suppress(VhalError, OSError):
        while data := source.read(PIECE) if descriptor is None else os.read(descriptor, PIECE):
            program.write(data)
        program.close_input()
