"""One virtual machine host of a lab, as a test holds it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .control import ask, ask_fd
from .errors import DeadlineError, LabError
from .plan import HostPlan
from .wait import wait_until

__all__ = ["Host", "pid_of"]

_ANSWER_S = 60.0
_GONE_S = 20.0
_TAIL_LINES = 30


def pid_of(pidfd: int) -> int:
    """Return the number under which the process behind a pidfd is seen from here.

    Raises `LabError` when it has ended.
    """
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid" and int(value) > 0:
            return int(value)
    raise LabError("the process has ended")


class Host:
    """A libvirtd with namespaces, an address and folders of its own.

    Processes are only ever signalled through a pidfd the lab gave out, so no other process can be
    hit, not even when a number is used again.
    """

    def __init__(self, plan: HostPlan, control: Path) -> None:
        self._plan = plan
        self._control = control

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.ip}>"

    @property
    def name(self) -> str:
        """The host's name in the lab, which is also its host name."""
        return self._plan.name

    @property
    def uuid(self) -> str:
        """The host UUID which its libvirtd reports."""
        return self._plan.uuid

    @property
    def ip(self) -> str:
        """The host's address, reachable only inside the lab."""
        return self._plan.ip

    @property
    def folder(self) -> Path:
        """The host's private files: `etc`, `lib`, `cache` and `log`."""
        return self._plan.folder

    @property
    def socket(self) -> Path:
        """The unix socket of the host's libvirtd, reachable from everywhere."""
        return self._plan.socket

    @property
    def url(self) -> str:
        """The host's URL for `vhal`."""
        return f"libvirt+unix:///system?socket={self.socket}"

    @property
    def native_uri(self) -> str:
        """The host's URI for libvirt."""
        return f"qemu+unix:///system?socket={self.socket}"

    @property
    def tcp_uri(self) -> str:
        """The host's libvirt URI over TCP, for use from the lab's other hosts."""
        return f"qemu+tcp://{self.ip}/system"

    def log_tail(self) -> str:
        """Return the last lines of what the host's libvirtd logged and printed."""
        lines: list[str] = []
        for path in (self._plan.log, self._plan.output):
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(lines)

    def wait_daemon(self, *, deadline: float = _ANSWER_S) -> None:
        """Wait until the host's libvirtd answers a call.

        Raises `LabError` with the end of its log when it ends instead, or does not in time.
        """
        try:
            wait_until(self._connects, deadline=deadline, what=f"libvirtd of host {self.name}")
            asked = subprocess.run(
                ["virsh", "--connect", self.native_uri, "uri"],
                capture_output=True,
                text=True,
                timeout=deadline,
            )
        except (DeadlineError, subprocess.TimeoutExpired) as error:
            raise LabError(f"{error}\n{self.log_tail()}") from error
        if asked.returncode != 0:
            raise LabError(f"libvirtd of host {self.name}: {asked.stderr.strip()}\n{self.log_tail()}")

    def _connects(self) -> bool:
        state = self._ask("status")["hosts"][self.name]
        if not state["daemon"]:
            raise LabError(f"libvirtd of host {self.name} ended with {state['exit_code']}\n{self.log_tail()}")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def daemon_pid(self) -> int:
        """Return the process id of the host's libvirtd. Raises `LabError` when it does not run."""
        with self._process("daemon") as pidfd:
            return pid_of(pidfd)

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send a signal to the host's libvirtd, and wait for its end when that cannot be avoided.

        Raises `LabError` when it does not run.
        """
        with self._process("daemon") as pidfd:
            self._signal(pidfd, number)

    def start_daemon(self) -> None:
        """Start the host's libvirtd again, and wait until it answers.

        Guests which outlived the former one are taken over. Raises `LabError` when it runs already
        or does not come up.
        """
        self._ask("start")
        self.wait_daemon()

    def qemu_pid(self, guest: str) -> int:
        """Return the process id of a guest's QEMU. Raises `LabError` when there is none here."""
        with self._process("qemu", guest=guest) as pidfd:
            return pid_of(pidfd)

    def signal_qemu(self, guest: str, number: signal.Signals) -> None:
        """Send a signal to a guest's QEMU, and wait for its end when that cannot be avoided.

        Raises `LabError` when there is none on this host.
        """
        with self._process("qemu", guest=guest) as pidfd:
            self._signal(pidfd, number)

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
            return enter(pid_of(pidfd), command, own_host=True, check=check, timeout=timeout, input=input)

    def call(self, command: list[str]) -> int:
        """Run a command on the host with our own input and output, and return its exit status."""
        with self._process("host") as pidfd:
            return subprocess.run(inside(pid_of(pidfd), command, own_host=True)).returncode

    def cut_network(self) -> None:
        """Pull the host's cable: it and its guests reach nothing else in the lab."""
        self._cable("down")

    def restore_network(self) -> None:
        """Put the host's cable back."""
        self._cable("up")

    def _cable(self, state: str) -> None:
        with self._process("lab") as pidfd:
            enter(pid_of(pidfd), ["ip", "link", "set", self._plan.port, state], own_host=False)

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


def inside(pid: int, command: list[str], *, own_host: bool) -> list[str]:
    """Return the command line that runs a command in the namespaces of a process of the lab."""
    spaces = ["--mount", "--net", "--pid", *(["--uts"] if own_host else [])]
    return ["nsenter", f"--target={pid}", *spaces, "--", *command]


def enter(
    pid: int,
    command: list[str],
    *,
    own_host: bool,
    check: bool = True,
    timeout: float = 60.0,
    input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in the namespaces of a process of the lab and return its result."""
    return subprocess.run(
        inside(pid, command, own_host=own_host),
        check=check,
        timeout=timeout,
        input=input,
        capture_output=True,
        text=True,
    )
