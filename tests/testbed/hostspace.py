"""A host seen from inside: its namespaces, its private folders and its libvirt settings.

Runs in the supervisor. The holder's side of a host is `host.Host`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from . import namespaces
from .plan import HostPlan, LabPlan

__all__ = ["MOUNT_POINTS", "hold", "private_devices", "private_names"]

MOUNT_POINTS = {
    "etc": Path("/etc/libvirt"),
    "lib": Path("/var/lib/libvirt"),
    "cache": Path("/var/cache/libvirt"),
    "log": Path("/var/log/libvirt"),
}
"""Private folder of a host, and where its libvirtd looks for it."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun", "userfaultfd")

_LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{ip}"
auth_tcp = "none"
auth_unix_rw = "none"
unix_sock_dir = "{socket_dir}"
unix_sock_rw_perms = "0700"
host_uuid = "{uuid}"
keepalive_interval = 1
keepalive_count = 3
log_outputs = "3:file:{log}"
"""

# Hosts share guests' disks, so none of them may change the owner or the labels of a file under
# another. Control groups and mount namespaces of the machine are out of reach in many containers.
_QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
migration_host = "{ip}"
migration_address = "0.0.0.0"
keepalive_interval = 1
keepalive_count = 3
"""


# The user libvirt was built to run QEMU as. It looks it up even when told to use another one, but
# only the package which sets up libvirtd as a service creates it.
_BUILT_IN_USER = "libvirt-qemu"


def private_devices(scratch: Path) -> None:
    """Give this mount namespace a small `/dev` of its own, put together at `scratch`.

    It has no `/dev/kvm`: where that opens but cannot run a guest, libvirt would still offer it.
    Terminals and shared memory of the lab's guests end with the lab.
    """
    namespaces.mount("tmpfs", scratch, flags=namespaces.MS_NOSUID, data="mode=0755")
    for name in _DEVICES:
        device = Path("/dev", name)
        if device.exists():
            copy = scratch / name
            copy.parent.mkdir(exist_ok=True)
            copy.touch()
            namespaces.bind(device, copy)
    (scratch / "pts").mkdir()
    (scratch / "shm").mkdir()
    quiet = namespaces.MS_NOSUID | namespaces.MS_NOEXEC
    namespaces.mount("devpts", scratch / "pts", flags=quiet, data="newinstance,ptmxmode=0666")
    namespaces.mount("tmpfs", scratch / "shm", flags=namespaces.MS_NOSUID | namespaces.MS_NODEV)
    (scratch / "ptmx").symlink_to("pts/ptmx")
    (scratch / "fd").symlink_to("/proc/self/fd")
    namespaces.mount("", Path("/dev"), flags=namespaces.MS_BIND | namespaces.MS_REC, source=str(scratch))


def private_names(plan: LabPlan) -> None:
    """Let this mount namespace know the hosts' names, and no others."""
    names = plan.folder / "names"
    names.write_text(plan.names())
    names.chmod(0o644)
    namespaces.bind(names, Path("/etc/hosts"))


def _write_settings(plan: HostPlan) -> None:
    for name in MOUNT_POINTS:
        (plan.folder / name).mkdir(parents=True)
    values = {
        "ip": plan.ip,
        "uuid": plan.uuid,
        "socket_dir": plan.folder,
        "log": plan.log,
    }
    (plan.folder / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(**values))
    (plan.folder / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(**values))


def _private_accounts(plan: HostPlan) -> None:
    for name, entry in (
        ("passwd", f"{_BUILT_IN_USER}:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
        ("group", f"{_BUILT_IN_USER}:x:64055:"),
    ):
        original = Path("/etc", name)
        text = original.read_text()
        if not any(line.startswith(f"{_BUILT_IN_USER}:") for line in text.splitlines()):
            copy = plan.folder / name
            copy.write_text(f"{text.rstrip()}\n{entry}\n")
            copy.chmod(0o644)
            namespaces.bind(copy, original)


def _enter(plan: HostPlan) -> None:
    namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWUTS)
    socket.sethostname(plan.name)
    for name, target in MOUNT_POINTS.items():
        namespaces.bind(plan.folder / name, target)
    _private_accounts(plan)
    namespaces.mount("tmpfs", Path("/run"), flags=namespaces.MS_NOSUID | namespaces.MS_NODEV, data="mode=0755")
    # libvirtd locks the terminal of a console that is open, in /var/lock, which leads here.
    Path("/run/lock").mkdir()
    # Programs on the host find its daemon without being told where.
    usual = Path("/run/libvirt/libvirt-sock")
    usual.parent.mkdir()
    usual.symlink_to(plan.socket)
    # The view of `/sys/class/net` belongs to the network namespace of whoever mounted it.
    namespaces.mount("sysfs", Path("/sys"), flags=namespaces.MS_NOSUID)


def _hold_forever(plan: HostPlan, ready: int) -> NoReturn:
    try:
        _enter(plan)
        os.write(ready, b"1")
        os.close(ready)
        while True:
            signal.pause()
    except BaseException:  # noqa: BLE001 - nothing may get past here, see below
        traceback.print_exc()
    finally:
        # Never return into the supervisor's code, of which this process is a copy.
        sys.stderr.flush()
        os._exit(1)


def hold(plan: HostPlan) -> int:
    """Start the process which holds a host's namespaces open, and return its id.

    Everything of the host runs in these namespaces. Raises `OSError` when they cannot be made; the
    reason is on the error output.
    """
    _write_settings(plan)
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        _hold_forever(plan, done)
    os.close(done)
    with os.fdopen(ready, "rb") as pipe:
        if not pipe.read(1):
            raise OSError(f"the namespaces of host {plan.name} could not be made")
    return pid
