"""The process behind an engine's socket, where that is on this machine: its root folder, and what it may give.

Everything here is a help that may not be there: a remote engine has no process here, and one that systemd starts when
it is called shows systemd.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vhal_containers.address import Address

_SYS_RESOURCE = 24
"""Number of the capability that lets a process exceed its own limits (capabilities(7))."""
_CONNECT_S = 5.0
_ENGINES = ("podman", "dockerd")
_SPACES = ("mnt", "net", "pid")
_LIMITS = {
    "as": "address space",
    "core": "core file size",
    "cpu": "cpu time",
    "data": "data size",
    "fsize": "file size",
    "locks": "file locks",
    "memlock": "locked memory",
    "msgqueue": "msgqueue size",
    "nice": "nice priority",
    "nofile": "open files",
    "nproc": "processes",
    "rss": "resident set",
    "rtprio": "realtime priority",
    "rttime": "realtime timeout",
    "sigpending": "pending signals",
    "stack": "stack size",
}


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """The process that listens at an engine's socket on this machine."""

    pid: int
    ceilings: dict[str, int]
    """Limit → the most that it can give to a container; without those that it may exceed, or that have no end."""

    @classmethod
    def behind(cls, where: Address) -> EngineProcess | None:
        """Return the process behind a socket, or None where it isn't known. Quick, and never raises."""
        if not where.local:
            return None
        try:
            pid = _listener(where.socket)
            return cls(pid, _ceilings(pid)) if pid > 0 else None
        except OSError:
            return None

    @property
    def thread(self) -> Path:
        """The folder in ``/proc`` of one of its threads that is where the engine is: its root folder, its namespaces.

        Not simply the process's, which are those of its first thread: podman joins a container's mounts with a single
        thread when it copies files, and if that happens to be the first one, it stays there for good.
        """
        places: dict[tuple[str, ...], list[Path]] = {}
        folder = Path(f"/proc/{self.pid}")
        with contextlib.suppress(OSError):  # it has ended, or isn't ours to look at: whoever goes on will meet that
            for thread in sorted((folder / "task").iterdir(), key=lambda each: int(each.name)):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                    spaces = tuple(str((thread / "ns" / space).readlink()) for space in _SPACES)
                    places.setdefault(spaces, []).append(thread)
        return max(places.values(), key=len, default=[folder])[0]

    @property
    def root(self) -> Path:
        """The folder here that is the engine's root folder, whatever namespaces it is in."""
        return self.thread / "root"

    def ceiling(self, name: str) -> int | None:
        """Return the highest limit of that name that it can give, or None where it has none or it isn't known."""
        return self.ceilings.get(name)

    def look(self, path: str) -> os.stat_result | None:
        """Return what is at a path of the engine's host, or None if there is nothing.

        Raises:
            ValueError: There is a symbolic link on the way: what is named isn't what would be used.
            PermissionError: We may not look there.
        """
        found: os.stat_result | None = None
        root = at = self.root
        for part in PurePosixPath(path).parts[1:]:
            at /= part
            try:
                found = at.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(found.st_mode):
                raise ValueError(f"/{at.relative_to(root)} is a symbolic link")
        return found


def _listener(path: str) -> int:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_CONNECT_S)
        link.connect(path)
        pid, _, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)


def _ceilings(pid: int) -> dict[str, int]:
    folder = Path(f"/proc/{pid}")
    if not folder.joinpath("comm").read_text().startswith(_ENGINES):
        return {}
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", folder.joinpath("status").read_text(), re.MULTILINE)
    if effective and int(effective[1], 16) >> _SYS_RESOURCE & 1:
        return {}
    text = folder.joinpath("limits").read_text()
    found: dict[str, int] = {}
    for name, title in _LIMITS.items():
        line = re.search(rf"^Max {title}\s+\S+\s+(\d+)\b", text, re.MULTILINE)
        if line:
            found[name] = int(line[1])
    return found
