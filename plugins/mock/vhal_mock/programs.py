"""Programs in simulated machines: Python functions that a test registers, and the few that every machine has.

A program runs in a thread of its own, so that one can talk to it while it runs. Its time is the world's: while it
sleeps, time passes if somebody waits for it, or for something else in that world.
"""

from __future__ import annotations

import posixpath
import traceback
from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING

from vhal.errors import NotFound
from vhal_mock.boot import Rung
from vhal_mock.process import Invocation, MockProcess

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.driver import MockDriver
    from vhal_mock.machine import SimMachine

Program = Callable[[Invocation], int | None]
"""What a test registers. What it returns is the exit code, and None is 0; an exception, or something that is no number,
is 1, told on its errors. ``sys.exit()`` ends it, too."""


def true(run: Invocation) -> int:
    """End with 0."""
    return 0


def false(run: Invocation) -> int:
    """End with 1."""
    return 1


def echo(run: Invocation) -> int:
    """Write its arguments."""
    run.write(" ".join(run.args) + "\n")
    return 0


def cat(run: Invocation) -> int:
    """Write the files that it is given, or its input."""
    code = 0
    for name in run.args or ("-",):
        if name == "-":
            while data := run.read():
                run.write(data)
            continue
        try:
            run.write(run.files.read(posixpath.join(run.cwd, name)))
        except NotFound as error:
            run.write_error(f"cat: {error.message}\n")
            code = 1
    return code


def sleep(run: Invocation) -> int:
    """Let virtual seconds pass."""
    try:
        seconds = [float(arg) for arg in run.args]
    except ValueError:
        seconds = []
    if not seconds or not all(each >= 0 for each in seconds):  # so that one that is no number is refused, too
        run.write_error("sleep: seconds, please\n")
        return 1
    run.sleep(sum(seconds))
    return 0


BUILT_IN: dict[str, Program] = {"true": true, "false": false, "echo": echo, "cat": cat, "sleep": sleep}
"""What every machine has."""


class MockExec:
    """Programs in the machines of one host."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def execute(
        self,
        id: str,
        command: Iterable[str],
        ctx: Context,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
    ) -> MockProcess:
        """Start ``command`` and return it running."""
        name, *args = command
        host = self._driver.host
        with host.lock:
            self._driver.begin("exec", id, ctx)
            machine = self._driver.find(id, "exec")
            self._driver.reaches(machine, Rung.AGENT, ctx)
            machine = self._driver.find(id, "exec")
            wanted = posixpath.basename(name)
            program = host.world.programs.get(wanted) or BUILT_IN.get(wanted)
            if program is None:
                known = ", ".join(sorted({*host.world.programs, *BUILT_IN}))
                raise NotFound(
                    f"there is no program {name!r} in machine {machine.spec.name!r}",
                    hint=f"there are {known}; world.program({wanted!r}, function) adds it",
                    machine=machine.spec.name,
                )
            run = _invocation(machine, (name, *args), env, user, cwd)
            machine.guest.files.folder(run.cwd)
            process = MockProcess(host.world.clock, run, terminal=terminal, ended=machine.guest.programs.discard)
            machine.guest.programs.add(process)
            self._driver.end("exec", id, ctx)
        process.start(lambda: _outcome(program, run))
        return process


def _invocation(
    machine: SimMachine, command: tuple[str, ...], env: Mapping[str, str] | None, user: str | None, cwd: str | None
) -> Invocation:
    # What the container runs by itself says where its other programs begin.
    own = machine.spec.process
    return Invocation(
        command=command,
        env={**(own.env if own is not None else {}), **(env or {})},
        user=user or (own.user if own is not None else None) or "root",
        cwd=cwd or (own.cwd if own is not None else None) or "/",
        machine=machine.spec.name,
        files=machine.guest.files,
    )


def _outcome(program: Program, run: Invocation) -> int:
    try:
        return index(program(run) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 - a program that fails is what a test may want
        run.write_error(traceback.format_exc())
        return 1
