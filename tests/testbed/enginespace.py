"""A container host seen from inside: its namespaces, its root file system and its engine's settings.

Runs in the supervisor. The holder's side of an engine is `engine.Engine`.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from . import cgroups, namespaces
from .plan import CRIU, EnginePlan, LabPlan

__all__ = ["hold_engine", "start_service"]

_PRIVATE = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWNET
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
    | namespaces.CLONE_NEWCGROUP
)
_SPACES = ("mnt", "net", "uts", "ipc", "cgroup")

# Podman raises the limits of its containers to its own idea of the most, which takes a privilege that root in a
# container does not have; so they are given.
_MOST_FILES = 8192
_MOST_PROCESSES = 16384

_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


def _at_most(wanted: int, limit: int) -> int:
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _write_settings(lab: LabPlan, root: Path) -> None:
    settings = root / "etc/containers"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "containers.conf").write_text(
        _CONTAINERS_CONF.format(
            files=_at_most(_MOST_FILES, resource.RLIMIT_NOFILE),
            processes=_at_most(_MOST_PROCESSES, resource.RLIMIT_NPROC),
        )
    )
    (settings / "policy.json").write_text(_POLICY)
    # Settings of the machine's own engine are none of this one's.
    for other in ("storage.conf", "registries.conf.d", "containers.conf.d"):
        path = settings / other
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(root / "etc/cni/net.d", ignore_errors=True)
    (root / "etc/hosts").unlink(missing_ok=True)
    (root / "etc/hosts").write_text(lab.names())
    # Where runc finds it, on the PATH of the service.
    link = root / "usr/local/sbin/criu"
    link.unlink(missing_ok=True)
    link.symlink_to(CRIU)


def _mount_root(plan: EnginePlan) -> Path:
    """Put together the engine's root: the machine's files, with all changes kept in memory."""
    # The upper layer must not be on the file system it lies upon: the kernel takes that for a loop.
    scratch = plan.folder / "upper"
    namespaces.mount("tmpfs", scratch, data="mode=0755")
    for name in ("files", "work"):
        (scratch / name).mkdir()
    root = plan.folder / "root"
    layers = f"lowerdir=/,upperdir={scratch / 'files'},workdir={scratch / 'work'}"
    namespaces.mount("overlay", root, data=layers)
    return root


def _mount_kernel(root: Path) -> None:
    namespaces.mount("proc", root / "proc")
    namespaces.mount("sysfs", root / "sys", flags=namespaces.MS_NOSUID)
    # Hierarchies of the old kind only: runtimes refuse a mixture in which both kinds have controllers.
    groups = root / "sys/fs/cgroup"
    namespaces.mount("tmpfs", groups, data="mode=0755")
    for name in cgroups.controllers():
        (groups / name).mkdir()
        namespaces.mount("cgroup", groups / name, data="none,name=systemd" if name == "systemd" else name)
    namespaces.mount("", root / "dev", flags=namespaces.MS_BIND | namespaces.MS_REC, source="/dev")
    # Podman's locks are in shared memory under a name that is always the same.
    namespaces.mount("tmpfs", root / "dev/shm", flags=namespaces.MS_NOSUID, data="mode=1777")


def _mount_folders(lab: LabPlan, plan: EnginePlan, root: Path) -> None:
    namespaces.mount("tmpfs", root / "run", flags=namespaces.MS_NOSUID, data="mode=0755")
    namespaces.mount("tmpfs", root / "tmp", data="mode=1777")
    for source, target in (
        (plan.folder / "store", plan.store.relative_to("/")),
        (plan.service, plan.service.relative_to("/")),
        (lab.shared, lab.shared.relative_to("/")),
    ):
        (root / target).mkdir(parents=True, exist_ok=True)
        namespaces.bind(source, root / target)


def _build(lab: LabPlan, plan: EnginePlan) -> None:
    # In this order: a control group namespace has its root where the process is that makes it. Made anywhere else,
    # a runtime that ends "all processes of the group" could find those of the machine in it.
    cgroups.join(plan.group)
    namespaces.unshare(_PRIVATE)
    socket.sethostname(plan.name)
    root = _mount_root(plan)
    _mount_kernel(root)
    _mount_folders(lab, plan, root)
    _write_settings(lab, root)
    namespaces.change_root(root)
    # Networks of podman's own are behind this host's address.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _run_as(plan: EnginePlan, prepare: Callable[[], None], command: list[str], *, ready: int | None) -> NoReturn:
    """Become a command of the engine. Says so on `ready` right before it does."""
    try:
        prepare()
        output = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if ready is not None:
            os.write(ready, b"1")
        os.dup2(output, 1)
        os.dup2(output, 2)
        # The supervisor's own handlers and descriptors must not be passed on.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os.execvpe(command[0], command, plan.environment)  # noqa: S606 - there is no shell to start
    except BaseException:  # noqa: BLE001 - nothing may get past here, see below
        traceback.print_exc()
    finally:
        # Never return into the supervisor's code, of which this process is a copy.
        sys.stderr.flush()
        os._exit(1)


@contextmanager
def _children_elsewhere(enter: Callable[[], None]) -> Iterator[None]:
    """Let `enter` choose the process namespace for children started in the block."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter()
        yield
    finally:
        namespaces.setns(own, namespaces.CLONE_NEWPID)
        os.close(own)


def hold_engine(lab: LabPlan, plan: EnginePlan) -> int:
    """Start the first process of an engine, and return its id.

    Everything of the engine ends with it. Raises `OSError` when its namespaces cannot be made; the reason is on the
    error output.
    """
    for folder in (plan.folder, plan.service, *(plan.folder / name for name in ("store", "upper", "root"))):
        folder.mkdir()
    cgroups.make(plan.group)
    ready, done = os.pipe()
    with _children_elsewhere(lambda: namespaces.unshare(namespaces.CLONE_NEWPID)):
        pid = os.fork()
        if pid == 0:
            # It only waits for orphans, which the monitors of containers become when the service has ended.
            _run_as(plan, lambda: _build(lab, plan), ["catatonit", "-P"], ready=done)
    os.close(done)
    with os.fdopen(ready, "rb") as pipe:
        if not pipe.read(1):
            raise OSError(f"the namespaces of engine {plan.name} could not be made")
    return pid


def start_service(plan: EnginePlan, holder: int) -> int:
    """Start the API service beside the first process of an engine, and return its id."""
    # The one before may have been killed.
    plan.socket.unlink(missing_ok=True)
    space = Path(f"/proc/{holder}/ns")

    def enter_all() -> None:
        cgroups.join(plan.group)
        # All are opened first: entering the mounts takes this folder away.
        spaces = [os.open(space / name, os.O_RDONLY | os.O_CLOEXEC) for name in _SPACES]
        for fd in spaces:
            namespaces.setns(fd)
        os.chdir("/")

    def enter_pids() -> None:
        fd = os.open(space / "pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.setns(fd, namespaces.CLONE_NEWPID)
        os.close(fd)

    with _children_elsewhere(enter_pids):
        pid = os.fork()
        if pid == 0:
            _run_as(plan, enter_all, plan.command, ready=None)
    return pid
