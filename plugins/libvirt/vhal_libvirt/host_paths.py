"""Which of a host's files a spec may name.

The engine opens a machine's files with rights that whoever writes the spec needn't have: a disk or an initial ramdisk
shows the guest a file, a disk that is written to changes it, a log grows by what the guest writes, and a socket hears
it. So the places where a system keeps itself aren't given away. What is left is still every other file that the engine
may open: this keeps the host's own files from guests, not one user's machines from another user's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import libvirt

from vhal.driver import Blocker, Level
from vhal.errors import AccessDenied
from vhal.spec import BootKernel, MachineSpec
from vhal_libvirt import storage
from vhal_libvirt.host_files import pool_folders

LOGS = "/var/log/libvirt"
"""Where serial lines may be logged: libvirt's log daemon, which is root, writes there and nobody else's file is."""

SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var",
)  # fmt: skip
"""Folders in which a system keeps itself."""

KERNELS = ("/boot", "/lib", "/usr")
"""Of these, the ones where kernels are found; they are only read."""

HIDDEN = frozenset({".cache", ".local"})
"""Hidden folders that hold no secrets and no settings; all others may."""


def refused(conn: libvirt.virConnect, spec: MachineSpec) -> Iterator[Blocker]:
    """Yield each path of the spec that isn't given to a guest."""
    disks = [disk.path for disk in spec.disks if disk.path is not None]
    boot = [spec.boot.kernel, spec.boot.initrd] if isinstance(spec.boot, BootKernel) else []
    kernels = [path for path in boot if path is not None]
    doubtful = [path for path in disks if _system(path)]
    doubtful += [path for path in kernels if _system(path) and not _below(path, KERNELS)]
    if doubtful:
        # Where the host's administrator made a pool, there are disks.
        pools = {storage.DEFAULT_FOLDER, *pool_folders(conn)}
        doubtful = [path for path in doubtful if posixpath.dirname(_plain(path)) not in pools]
    doubtful += [path for path in disks + kernels if _hidden(path)]
    for path in dict.fromkeys(doubtful):
        yield _blocker(
            f"{path} isn't given to a guest: it is among the system's own files or somebody's hidden ones",
            "put it into a folder of its own, such as /srv, or make its folder a storage pool (virsh pool-define-as)",
        )
    for serial in spec.serials:
        if serial.log is not None and not _below(serial.log, (LOGS,)):
            yield _blocker(f"a guest can't write to {serial.log}", f"have the log in {LOGS}")
        if serial.socket is not None and (_system(serial.socket) or _hidden(serial.socket)):
            yield _blocker(
                f"a guest can't speak to {serial.socket}: services of the host listen in such places",
                "have the socket in a folder of its own, such as /srv/lines",
            )


def _blocker(message: str, remedy: str) -> Blocker:
    return Blocker("path-refused", message, remedy, Level.HOST, AccessDenied)


def _plain(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(_plain(path).startswith(f"{folder}/") for folder in folders)


def _system(path: str) -> bool:
    return _below(path, SYSTEM)


def _hidden(path: str) -> bool:
    return any(part.startswith(".") and part not in HIDDEN for part in _plain(path).split("/"))
