"""A lab: libvirt hosts, podman and docker engines on this machine which share nothing but a network and a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from . import cgroups
from .control import ask, ask_fd
from .engine import Engine
from .errors import DeadlineError, LabError
from .host import Host
from .hostspace import MOUNT_POINTS
from .node import Node, enter, pid_of
from .plan import CRIU, DOCKER, MOST_HOSTS, LabPlan
from .wait import wait_until

__all__ = ["Lab", "in_use"]

FOLDER = Path("/tmp")
"""Where labs are made: a unix socket's path has at most 107 bytes, so a short one."""

PREFIX = "vhal-lab-"

_SETUP = Path(__file__).with_name("setup.sh")
_ROOT = Path(__file__).parents[2]
_TOOLS = ("unshare", "nsenter", "ip")
_HOST_TOOLS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img")
_ENGINE_TOOLS = ("podman", "runc", "conmon", "catatonit", "iptables", "nft", str(CRIU))
_DOCKER_TOOLS = ("runc", "catatonit", "iptables", f"{DOCKER}/usr/sbin/dockerd", f"{DOCKER}/usr/bin/containerd")
_START_S = 60.0
_STOP_S = 20.0

# The folder and the engines' control groups are removed from outside the lab's namespaces, after the last process in
# them has gone, by somebody who outlives the owner. A command that was run on an engine from outside may need a moment
# more to leave its group; a group that does not become empty is left to the next lab.
_KEEPER = f"""
unshare "$@"
tries=0
set -- {cgroups.ROOT}/*/"${{0##*/}}".*
while [ -d "$1" ] && [ $tries -lt 100 ]; do
    find "$@" -depth -type d -exec rmdir {{}} + 2>/dev/null || sleep 0.05
    tries=$((tries + 1))
    set -- {cgroups.ROOT}/*/"${{0##*/}}".*
done
rm -rf -- "$0"
"""


def _require(hosts: int, engines: int, dockers: int) -> None:
    """Raise `LabError` when this machine or user cannot run a lab."""
    if os.geteuid() != 0:
        raise LabError("a lab makes namespaces and mounts: run as root")
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    groups = ((_HOST_TOOLS, hosts), (_ENGINE_TOOLS, engines), (_DOCKER_TOOLS, dockers))
    tools = dict.fromkeys((*_TOOLS, *(tool for group, count in groups if count for tool in group)))
    missing = [tool for tool in tools if shutil.which(tool, path=path) is None]
    if hosts:
        missing += [str(folder) for folder in MOUNT_POINTS.values() if not folder.is_dir()]
    if missing:
        raise LabError(f"missing: {', '.join(missing)}; run {_SETUP}")
    if engines or dockers:
        cgroups.require()
    if hosts and not Path("/dev/net/tun").exists():
        raise LabError("guests' network cards need /dev/net/tun, which this machine does not have")


def _lock(folder: Path) -> int | None:
    """Take the lock which says that a lab's folder is in use, or return `None`."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A folder of this name may be gone by now, or be somebody else's trap.
        if folder.exists() and os.fstat(fd).st_uid == os.geteuid():
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def in_use(folder: Path) -> bool:
    """Say whether any process of the lab at a folder is left."""
    lock = _lock(folder)
    if lock is not None:
        os.close(lock)
    return lock is None and folder.exists()


def _sweep() -> None:
    """Remove folders and control groups of labs all of whose processes were killed before they could."""
    for folder in FOLDER.glob(f"{PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            cgroups.remove(folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    cgroups.sweep(FOLDER, PREFIX)


def _new_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=FOLDER))
        lock = _lock(folder)
        # Another lab's sweep may have been faster; then the folder is gone.
        if lock is not None:
            return folder, lock


class Lab:
    """Several hosts with their own libvirtd, podman or docker, on one network, in namespaces of their own.

    `hosts` is the number of those with a libvirtd, `engines` of those with a podman, `dockers` of those with a docker.

    A context manager: entering blocks until every daemon answers, leaving until every process of
    the lab has gone and its folder is removed. When the process that made the lab ends in any way,
    the lab ends too, unless it is `detached`. Labs do not see each other.

    Raises `LabError` on entry when the machine cannot run a lab or a daemon does not come up.
    """

    def __init__(self, hosts: int = 2, engines: int = 0, dockers: int = 0, *, detached: bool = False) -> None:
        for count, what in ((hosts, "hosts"), (engines, "engines"), (dockers, "dockers")):
            if not 0 <= count <= MOST_HOSTS:
                raise LabError(f"a lab has 0 to {MOST_HOSTS} {what}, not {count}")
        self._hosts = hosts
        self._engines = engines
        self._dockers = dockers
        self._detached = detached
        self._plan: LabPlan | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @classmethod
    def attach(cls, folder: Path) -> Lab:
        """Return the running lab at a folder. Raises `LabError` when none answers there."""
        lab = cls(detached=True)
        lab._plan = LabPlan.load(ask(folder / "control", {"do": "status"})["plan"])
        return lab

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def plan(self) -> LabPlan:
        """What the lab is made of. Raises `LabError` when it does not run."""
        if self._plan is None:
            raise LabError("the lab is not running")
        return self._plan

    @property
    def folder(self) -> Path:
        """The lab's private folder, removed with it."""
        return self.plan.folder

    @property
    def shared(self) -> Path:
        """A folder which all hosts and engines see under the same path, for disks and sockets."""
        return self.plan.shared

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The lab's hosts in order of their names."""
        plan = self.plan
        return tuple(Host(host, plan.control) for host in plan.hosts)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The lab's podman hosts in order of their names."""
        return self._of_kind("podman")

    @property
    def dockers(self) -> tuple[Engine, ...]:
        """The lab's docker hosts in order of their names."""
        return self._of_kind("docker")

    def _of_kind(self, kind: str) -> tuple[Engine, ...]:
        plan = self.plan
        return tuple(Engine(engine, plan.control) for engine in plan.engines if engine.kind == kind)

    def start(self) -> None:
        """Start the lab, as entering it does."""
        if self._plan is not None:
            raise LabError("the lab is running already")
        _require(self._hosts, self._engines, self._dockers)
        _sweep()
        folder, lock = _new_folder()
        plan = LabPlan.new(folder, self._hosts, self._engines, self._dockers)
        try:
            with tempfile.TemporaryFile() as output:
                self._plan = plan
                self._keeper = self._launch(plan, lock, output)
                self._wait_up(plan, output)
        except BaseException:
            self.stop()
            raise

    def _launch(self, plan: LabPlan, lock: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the supervisor and those who outlive us, and hand the folder's lock to them."""
        owner = None if self._detached else os.pidfd_open(os.getpid())
        environment = dict(os.environ)
        environment["PATH"] = environment.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
        environment["PYTHONPATH"] = str(_ROOT)
        try:
            return subprocess.Popen(
                [
                    "sh",
                    "-c",
                    _KEEPER,
                    str(plan.folder),
                    "--mount",
                    "--net",
                    "--uts",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount-proc",
                    sys.executable,
                    "-m",
                    "tests.testbed.supervisor",
                    plan.dump(),
                    "-" if owner is None else str(owner),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                # Ctrl-C at the owner's terminal must not reach the lab before its owner.
                start_new_session=True,
                pass_fds=[lock] if owner is None else [lock, owner],
            )
        finally:
            os.close(lock)
            if owner is not None:
                os.close(owner)

    def _wait_up(self, plan: LabPlan, output: IO[bytes]) -> None:
        keeper = self._keeper
        assert keeper is not None

        def answers() -> bool:
            if keeper.poll() is not None:
                raise LabError("the lab did not start")
            return plan.control.exists()

        try:
            wait_until(answers, deadline=_START_S, what="the lab's supervisor")
            for host in self.hosts:
                host.wait_daemon()
            for engine in (*self.engines, *self.dockers):
                engine.wait_service()
        except LabError as error:
            # Why it ended, if it did, only the supervisor itself has said.
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            raise LabError(f"{error}: {said}" if said else str(error)) from error

    def stop(self) -> None:
        """End the lab and wait until nothing of it is left. A lab which has ended is no error."""
        if self._plan is None:
            return
        folder = self._plan.folder
        # When it has ended by itself, or hangs, it does not answer; what follows deals with both.
        with contextlib.suppress(LabError):
            ask(self._plan.control, {"do": "stop"})
        keeper, self._keeper, self._plan = self._keeper, None, None
        if keeper is not None:
            try:
                keeper.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                # Its own session holds just the keeper, `unshare` and the supervisor; the kernel
                # ends all others with the latter.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(keeper.pid, signal.SIGKILL)
                keeper.wait()
        try:
            wait_until(
                lambda: self._remove(folder),
                deadline=_STOP_S,
                what=f"the end of the lab at {folder}",
            )
        except DeadlineError as error:
            raise LabError(f"{error}; some process of it cannot be killed") from error

    @staticmethod
    def _remove(folder: Path) -> bool:
        """Say whether the folder is gone; remove it and what the keeper left if no process holds its lock."""
        lock = _lock(folder)
        if lock is None:
            return not folder.exists()
        clean = cgroups.remove(folder.name)
        if clean:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        return clean and not folder.exists()

    def run(
        self,
        command: list[str],
        *,
        host: Node | None = None,
        check: bool = True,
        timeout: float = 60.0,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host, or in the lab beside the hosts, and return its result.

        Raises what `subprocess.run` raises.
        """
        if host is not None:
            return host.run(command, check=check, timeout=timeout, input=input)
        pidfd = ask_fd(self.plan.control, {"do": "pidfd", "of": "lab"})
        try:
            return enter(pid_of(pidfd), command, check=check, timeout=timeout, input=input)
        finally:
            os.close(pidfd)

    def connect_tcp(self, ip: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """Connect to an address in the lab's network, and return the socket.

        The timeout stays set on it. Raises `OSError` when nobody answers.
        """
        link = socket.socket(fileno=ask_fd(self.plan.control, {"do": "socket"}))
        link.settimeout(timeout)
        try:
            link.connect((ip, port))
        except BaseException:
            link.close()
            raise
        return link
