"""The few Linux calls for namespaces and mounts which Python 3.11 does not have."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

__all__ = ["bind", "change_root", "mount", "setns", "unshare"]

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
_MNT_DETACH = 0x2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)


def unshare(flags: int) -> None:
    """Move this process to new namespaces. Raises `OSError`."""
    if _libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def setns(fd: int, kind: int = 0) -> None:
    """Move this process to the namespace behind a descriptor, which must be of `kind`. Raises `OSError`.

    A process namespace is only that of children started from now on.
    """
    if _libc.setns(fd, kind) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def change_root(root: Path) -> None:
    """Make a mount point the root of this mount namespace, and let go of the former one. Raises `OSError`."""
    os.chdir(root)
    # The old root ends up on top of the new one, and is taken off.
    if _libc.pivot_root(b".", b".") != 0 or _libc.umount2(b".", _MNT_DETACH) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"pivot_root: {os.strerror(code)}", str(root))
    os.chdir("/")


def mount(kind: str, target: Path, *, flags: int = 0, data: str = "", source: str = "") -> None:
    """Mount a file system of a kind at `target`. Raises `OSError` naming the target."""
    done = _libc.mount((source or kind).encode(), os.fsencode(target), kind.encode(), flags, data.encode() or None)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {kind}: {os.strerror(code)}", str(target))


def bind(source: Path, target: Path) -> None:
    """Make `source` visible at `target`, which must exist. Raises `OSError`."""
    mount("", target, flags=MS_BIND, source=str(source))
