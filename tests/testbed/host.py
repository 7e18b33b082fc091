"""One virtual machine host of a lab, as a test holds it."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

from .errors import DeadlineError, LabError
from .node import Node, inside, pid_of, tail
from .plan import HostPlan
from .wait import wait_until

__all__ = ["Host"]

_ANSWER_S = 60.0


class Host(Node):
    """A libvirtd with namespaces, an address and folders of its own."""

    def __init__(self, plan: HostPlan, control: Path) -> None:
        super().__init__(control)
        self._plan = plan

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def uuid(self) -> str:
        """The host UUID which its libvirtd reports."""
        return self._plan.uuid

    @property
    def ip(self) -> str:
        return self._plan.ip

    @property
    def _port(self) -> str:
        return self._plan.port

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
        return tail(self._plan.log, self._plan.output)

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

    def _inside(self, pid: int, command: list[str]) -> list[str]:
        return inside(pid, command, "--uts")
