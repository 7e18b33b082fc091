"""One container host of a lab, as a test holds it."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path

from .cgroups import ENTER
from .errors import DeadlineError, LabError
from .node import Node, inside, pid_of, tail
from .plan import EnginePlan
from .wait import wait_until

__all__ = ["PING", "Engine", "UnixConnection"]

PING = "/v4.0.0/libpod/_ping"
_PINGS = {"podman": PING, "docker": "/_ping"}
_ANSWER_S = 60.0
_CALL_S = 10.0
_SPACES = ("--uts", "--ipc", "--cgroup")


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path, *, timeout: float = _CALL_S) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Engine(Node):
    """A podman or docker with namespaces, control groups, an address, storage and an API service of its own.

    Its containers are not below the service: they run on when that is killed.
    """

    def __init__(self, plan: EnginePlan, control: Path) -> None:
        super().__init__(control)
        self._plan = plan

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def ip(self) -> str:
        return self._plan.ip

    @property
    def folder(self) -> Path:
        """The engine's private files, at the same path inside and outside."""
        return self._plan.folder

    @property
    def socket(self) -> Path:
        """The unix socket of the engine's API, reachable from everywhere."""
        return self._plan.socket

    @property
    def url(self) -> str:
        """The engine's URL for `vhal`."""
        return f"containers+unix://{self.socket}"

    @property
    def log(self) -> Path:
        """What the engine's service prints."""
        return self._plan.log

    @property
    def pid(self) -> int:
        """The first process on the engine, which lives as long as the lab; for `nsenter`."""
        with self._process("host") as pidfd:
            return pid_of(pidfd)

    @property
    def _port(self) -> str:
        return self._plan.port

    def service_pid(self) -> int:
        """Return the process id of the API service. Raises `LabError` when it does not run."""
        with self._process("daemon") as pidfd:
            return pid_of(pidfd)

    def signal_service(self, number: signal.Signals) -> None:
        """Send a signal to the API service, and wait for its end when that cannot be avoided.

        Raises `LabError` when it does not run.
        """
        with self._process("daemon") as pidfd:
            self._signal(pidfd, number)

    def start_service(self) -> None:
        """Start the API service again, and wait until it answers.

        Raises `LabError` when it runs already or does not come up.
        """
        self._ask("start")
        self.wait_service()

    def wait_service(self, *, deadline: float = _ANSWER_S) -> None:
        """Wait until the API service answers a call.

        Raises `LabError` with the end of its log when it ends instead, or does not in time.
        """
        try:
            wait_until(self._answers, deadline=deadline, what=f"{self._plan.kind} of engine {self.name}")
        except DeadlineError as error:
            raise LabError(f"{error}\n{tail(self.log)}") from error

    def _answers(self) -> bool:
        state = self._ask("status")["hosts"][self.name]
        if not state["daemon"]:
            raise LabError(f"{self._plan.kind} of engine {self.name} ended with {state['exit_code']}\n{tail(self.log)}")
        link = UnixConnection(self.socket)
        try:
            link.request("GET", _PINGS[self._plan.kind])
            return link.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def _inside(self, pid: int, command: list[str]) -> list[str]:
        # Into the control groups first: what is not in them would be outside of all that the engine sees.
        return ["sh", "-c", ENTER, self._plan.group, *inside(pid, command, *_SPACES)]

    def _environment(self) -> dict[str, str]:
        return self._plan.environment
