"""The first process of a lab, which everything in the lab lives and dies with.

It is process 1 of the lab's own process namespace: when it ends, in whatever way, the kernel kills
all that runs in the lab, and the network and mounts go with the last process. It ends when asked
to, or when the process that made the lab has gone.

Started by `lab.Lab`; not to be run by hand.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .control import REQUEST_BYTES, answer
from .enginespace import hold_engine, start_service
from .errors import LabError
from .hostspace import hold, private_devices, private_names
from .plan import EnginePlan, HostPlan, LabPlan

__all__ = ["Supervisor", "main"]

LAB_IP = "10.99.0.254"

Reply = tuple[dict[str, Any], int | None]


def _ip(commands: Iterable[str], *, inside: int | None = None) -> None:
    """Run `ip` commands, in the network namespace of process `inside` or in our own."""
    where = [] if inside is None else ["nsenter", f"--target={inside}", "--net", "--"]
    subprocess.run([*where, "ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


class _NodeState(ABC):
    """A host or engine with the process that holds it and its daemon's last known state."""

    def __init__(self, label: str, holder: int) -> None:
        self.label = label
        self.holder = holder
        self.daemon: int | None = None
        self.exit_code: int | None = None

    def start_daemon(self) -> None:
        if self.daemon is not None:
            raise LabError(f"{self.label} runs already")
        self.exit_code = None
        self.daemon = self._spawn()

    @abstractmethod
    def _spawn(self) -> int:
        """Start the daemon and return its process id."""

    def qemu(self, name: str) -> int:
        """Find the QEMU of a guest here. Raises `LabError` when there is none."""
        raise LabError(f"no QEMU runs guest {name!r}: {self.label} runs containers")


class _EngineState(_NodeState):
    def __init__(self, plan: EnginePlan, holder: int) -> None:
        super().__init__(f"{plan.kind} of engine {plan.name}", holder)
        self.plan = plan

    def _spawn(self) -> int:
        return start_service(self.plan, self.holder)


class _HostState(_NodeState):
    def __init__(self, plan: HostPlan, holder: int) -> None:
        super().__init__(f"libvirtd of host {plan.name}", holder)
        self.plan = plan

    def _spawn(self) -> int:
        # The memory file system behind `/run` is the host's own, and the daemon's pid file in it
        # is what makes it notice a second one.
        argv = [
            "nsenter",
            f"--target={self.holder}",
            "--mount",
            "--net",
            "--uts",
            "--",
            "libvirtd",
            "--listen",
            "--pid-file=/run/libvirtd.pid",
        ]
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawnp(
            argv[0],
            argv,
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.plan.output), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )

    def qemu(self, name: str) -> int:
        """Find the QEMU of a guest on this host by its command line."""
        mine = Path(f"/proc/{self.holder}/ns/net").readlink()
        wanted = f"guest={name.replace(',', ',,')},".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                argv = (process / "cmdline").read_bytes().split(b"\0")
                if (
                    Path(os.fsdecode(argv[0])).name.startswith("qemu-system-")
                    and any(argument.startswith(wanted) for argument in argv)
                    and (process / "ns" / "net").readlink() == mine
                ):
                    return int(process.name)
            except (FileNotFoundError, ProcessLookupError):
                # It ended while we looked at it.
                continue
        raise LabError(f"no QEMU runs guest {name!r} on host {self.plan.name}")


class Supervisor:
    """Makes a lab's hosts, starts their daemons and answers their holder's requests."""

    def __init__(self, plan: LabPlan, owner: int | None) -> None:
        self._plan = plan
        self._owner = owner
        self._hosts: dict[str, _NodeState] = {}
        self._ended = False
        self._handlers: dict[str, Callable[[dict[str, Any]], Reply]] = {
            "status": self._status,
            "start": self._start,
            "pidfd": self._pidfd,
            "socket": self._socket,
            "stop": self._stop,
        }

    def build(self) -> None:
        """Make the lab's network and all hosts. Raises `OSError` or `CalledProcessError`."""
        scratch = self._plan.folder / "dev"
        scratch.mkdir()
        private_devices(scratch)
        private_names(self._plan)
        self._plan.shared.mkdir()
        # Spanning tree off and no delay: a cable works as soon as it is up.
        bridge = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        _ip(
            [
                "link set lo up",
                f"link add br0 {bridge}",
                f"address add {LAB_IP}/24 dev br0",
                "link set br0 up",
            ]
        )
        for plan in self._plan.hosts:
            holder = hold(plan)
            _ip(
                [
                    f"link add {plan.port} type veth peer name uplink netns {holder}",
                    f"link set {plan.port} master br0 up",
                ]
            )
            _ip(
                [
                    "link set lo up",
                    f"link add br0 {bridge}",
                    "link set uplink master br0 up",
                    f"address add {plan.ip}/24 dev br0",
                    "link set br0 up",
                ],
                inside=holder,
            )
            self._hosts[plan.name] = _HostState(plan, holder)
        for engine in self._plan.engines:
            holder = hold_engine(self._plan, engine)
            _ip(
                [
                    f"link add {engine.port} type veth peer name eth0 netns {holder}",
                    f"link set {engine.port} master br0 up",
                ]
            )
            _ip(
                [
                    "link set lo up",
                    f"address add {engine.ip}/24 dev eth0",
                    "link set eth0 up",
                    f"route add default via {LAB_IP}",
                ],
                inside=holder,
            )
            self._hosts[engine.name] = _EngineState(engine, holder)
        for host in self._hosts.values():
            host.start_daemon()

    def serve(self) -> None:
        """Answer requests until told to stop, terminated, or left alone by the owner."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminated)
        with (
            selectors.DefaultSelector() as selector,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        ):
            # It gets its name when it listens: who sees it may call at once.
            nameless = self._plan.control.with_suffix(".new")
            listener.bind(str(nameless))
            listener.listen()
            nameless.rename(self._plan.control)
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            if self._owner is not None:
                selector.register(self._owner, selectors.EVENT_READ)
            self._reap()
            while not self._ended:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        link, _ = listener.accept()
                        with link:
                            self._reply(link)
                    elif key.fileobj is woken:
                        woken.recv(4096)
                        self._reap()
                    else:
                        return

    def _terminated(self, *_: object) -> None:
        self._ended = True

    def _reap(self) -> None:
        """Collect every ended process: orphans of the whole lab end up here."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for host in self._hosts.values():
                if host.daemon == pid:
                    host.daemon = None
                    host.exit_code = os.waitstatus_to_exitcode(status)
                elif host.holder == pid:
                    raise LabError(f"the host of {host.label} was taken away")

    def _reply(self, link: socket.socket) -> None:
        # A holder that was killed between connecting and asking must not block the lab.
        readable, _, _ = select.select([link], [], [], 5)
        data = link.recv(REQUEST_BYTES) if readable else b""
        if not data:
            return
        fd = None
        try:
            request = json.loads(data)
            reply, fd = self._handlers[request["do"]](request)
        except (LabError, OSError) as error:
            reply = {"error": str(error)}
        answer(link, reply, fd)
        if fd is not None:
            os.close(fd)

    def _host(self, request: dict[str, Any]) -> _NodeState:
        return self._hosts[request["host"]]

    def _status(self, _request: dict[str, Any]) -> Reply:
        self._reap()
        return {
            "plan": self._plan.dump(),
            "hosts": {
                name: {"daemon": host.daemon is not None, "exit_code": host.exit_code}
                for name, host in self._hosts.items()
            },
        }, None

    def _start(self, request: dict[str, Any]) -> Reply:
        self._reap()
        self._host(request).start_daemon()
        return {}, None

    def _pidfd(self, request: dict[str, Any]) -> Reply:
        """Open a process of the lab. Its holder sees it under another number, or not at all."""
        match request["of"]:
            case "lab":
                pid = os.getpid()
            case "host":
                pid = self._host(request).holder
            case "daemon":
                self._reap()
                host = self._host(request)
                if host.daemon is None:
                    raise LabError(f"{host.label} does not run")
                pid = host.daemon
            case "qemu":
                pid = self._host(request).qemu(request["guest"])
            case other:
                raise LabError(f"no process {other!r} is known")
        return {}, os.pidfd_open(pid)

    def _socket(self, _request: dict[str, Any]) -> Reply:
        """Make a socket here: it stays in the lab's network wherever it is connected from."""
        return {}, socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach()

    def _stop(self, _request: dict[str, Any]) -> Reply:
        self._ended = True
        return {}, None


def main(arguments: list[str]) -> None:
    """Run a lab: `arguments` are its plan and the pidfd of its owner, or `-` for none."""
    if os.getpid() != 1:
        raise SystemExit("the supervisor must be process 1 of a namespace; use tests.testbed.Lab")
    text, owner = arguments
    owner_fd = None if owner == "-" else int(owner)
    if owner_fd is not None:
        os.set_inheritable(owner_fd, False)
    os.chdir("/")
    supervisor = Supervisor(LabPlan.load(text), owner_fd)
    supervisor.build()
    supervisor.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
