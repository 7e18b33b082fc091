"""Which of a host's folders a spec may name.

The engine mounts with rights that whoever writes the spec needn't have: a folder of the host in a container shows what
is in it, and lets it be changed. So the places where a system keeps itself aren't given away, nor those that hold
everybody's folders, nor hidden ones, which hold keys and settings. What is left is still every other folder that the
engine may open: this keeps the host's own files from containers, not one user's machines from another user's.

A symbolic link is not followed, where that can be seen: a container that may write into a folder could put one there,
and have the next one given what it leads to.
"""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterator

from vhal.driver import Blocker, Level
from vhal.errors import AccessDenied, NotFound
from vhal.spec import BootRootfs, MachineSpec
from vhal_containers.engine_process import EngineProcess

SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var",
)  # fmt: skip
"""Folders in which a system keeps itself, and engines their sockets and stores."""

_EVERYBODYS = re.compile(r"/|/(home|root|tmp|opt|mnt|media)|/home/[^/]+")
"""Folders that hold those of others, and hidden ones; what is below them may be given."""


def refused(spec: MachineSpec, process: EngineProcess | None) -> Iterator[Blocker]:
    """Yield each path of the spec that isn't given to a container, or isn't there."""
    paths = [mount.path for mount in spec.mounts if mount.path is not None]
    if isinstance(spec.boot, BootRootfs):
        paths.append(spec.boot.rootfs)
    for path in dict.fromkeys(paths):
        if not _given(path):
            yield _blocker(
                f"{path} isn't given to a container: it is among the system's own files, everybody's, or hidden ones",
                "put what it needs into a folder of its own, such as /srv/NAME, or use a volume",
            )
        elif process is not None:
            yield from _on_host(path, process)
    if isinstance(spec.boot, BootRootfs) and any(character in spec.boot.rootfs for character in ":,"):
        # The engine reads options after these.
        yield _blocker(
            f"{spec.boot.rootfs} can't be a root file system: its path holds ':' or ','", "rename the folder"
        )


def _given(path: str) -> bool:
    plain = "/" + posixpath.normpath(path).lstrip("/")
    if _EVERYBODYS.fullmatch(plain) or any(plain == folder or plain.startswith(f"{folder}/") for folder in SYSTEM):
        return False
    return not any(part.startswith(".") for part in plain.split("/"))


def _on_host(path: str, process: EngineProcess) -> Iterator[Blocker]:
    try:
        found = process.look(path)
    except ValueError as error:
        yield _blocker(f"{path} isn't given to a container: {error}", "name the folder that it leads to")
    except OSError:
        return  # the engine may see what we don't
    else:
        if found is None:
            yield Blocker(
                "path-missing", f"the host has no {path}", "make it there, or correct the path", Level.HOST, NotFound
            )
        elif not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            yield _blocker(f"{path} is neither a folder nor a file", "give a folder")


def _blocker(message: str, remedy: str) -> Blocker:
    return Blocker("path-refused", message, remedy, Level.HOST, AccessDenied)
