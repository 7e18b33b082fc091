"""What a test holds of any host of a lab, whatever runs on it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .control import ask, ask_fd
from .errors import DeadlineError, LabError
from .wait import wait_until

__all__ = ["TAIL_LINES", "Node", "enter", "inside", "pid_of", "tail"]

TAIL_LINES = 30
_GONE_S = 20.0


def pid_of(pidfd: int) -> int:
    """Return the number under which the process behind a pidfd is seen from here.

    Raises `LabError` when it has ended.
    """
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid" and int(value) > 0:
            return int(value)
    raise LabError("the process has ended")


def tail(*logs: Path) -> str:
    """Return the last lines of each log that is there."""
    lines: list[str] = []
    for path in logs:
        if path.exists():
            lines += path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(lines)


class Node(ABC):
    """A host of a lab: a process that holds its namespaces, and a cable to the lab's network.

    Processes are only ever signalled through a pidfd the lab gave out, so no other process can be
    hit, not even when a number is used again.
    """

    def __init__(self, control: Path) -> None:
        self._control = control

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.ip}>"

    @property
    @abstractmethod
    def name(self) -> str:
        """The host's name in the lab, which is also its host name."""

    @property
    @abstractmethod
    def ip(self) -> str:
        """The host's address, reachable only inside the lab."""

    @property
    @abstractmethod
    def _port(self) -> str:
        """The lab's end of the host's cable."""

    @abstractmethod
    def _inside(self, pid: int, command: list[str]) -> list[str]:
        """Return the command line that runs a command beside the process that holds the host."""

    def _environment(self) -> dict[str, str] | None:
        """Return what a command on the host finds in its environment, or `None` for ours."""
        return None

    def run(
        self,
        command: list[str],
        *,
        check: bool = True,
        timeout: float = 60.0,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host and return its result with its output.

        Raises what `subprocess.run` raises.
        """
        with self._process("host") as pidfd:
            return subprocess.run(
                self._inside(pid_of(pidfd), command),
                check=check,
                timeout=timeout,
                input=input,
                capture_output=True,
                text=True,
                env=self._environment(),
            )

    def command(self, command: list[str]) -> list[str]:
        """Return the command line that runs a command on the host, for as long as the lab lasts."""
        with self._process("host") as pidfd:
            return self._inside(pid_of(pidfd), command)

    def call(self, command: list[str]) -> int:
        """Run a command on the host with our own input and output, and return its exit status."""
        with self._process("host") as pidfd:
            return subprocess.run(self._inside(pid_of(pidfd), command), env=self._environment()).returncode

    def cut_network(self) -> None:
        """Pull the host's cable: it and its guests reach nothing else in the lab."""
        self._cable("down")

    def restore_network(self) -> None:
        """Put the host's cable back."""
        self._cable("up")

    def _cable(self, state: str) -> None:
        with self._process("lab") as pidfd:
            enter(pid_of(pidfd), ["ip", "link", "set", self._port, state])

    def _ask(self, what: str) -> dict[str, Any]:
        return ask(self._control, {"do": what, "host": self.name})

    @contextmanager
    def _process(self, of: str, **which: str) -> Iterator[int]:
        request = {"do": "pidfd", "host": self.name, "of": of, **which}
        pidfd = ask_fd(self._control, request)
        try:
            yield pidfd
        finally:
            os.close(pidfd)

    def _signal(self, pidfd: int, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError as error:
            raise LabError("the process has ended") from error
        if number is signal.SIGKILL:
            # A pidfd becomes readable when its process has ended.
            readable, _, _ = select.select([pidfd], [], [], _GONE_S)
            if not readable:
                raise DeadlineError(f"the end of a killed process: not within {_GONE_S:g} s")
        if number is signal.SIGSTOP:
            # Each of its threads stops when it is next about to run; until then it may answer.
            pid = pid_of(pidfd)
            wait_until(lambda: _stopped(pid), deadline=_GONE_S, what="a stopped process")


def _stopped(pid: int) -> bool:
    states = [path.read_text().rpartition(") ")[2][0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(state in "TtZX" for state in states)


def inside(pid: int, command: list[str], *spaces: str) -> list[str]:
    """Return the command line that runs a command in the namespaces of a process of the lab."""
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", *spaces, "--", *command]


def enter(
    pid: int, command: list[str], *, check: bool = True, timeout: float = 60.0, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the lab beside the hosts and return its result."""
    return subprocess.run(
        inside(pid, command), check=check, timeout=timeout, input=input, capture_output=True, text=True
    )
