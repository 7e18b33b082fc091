"""Who does something, told such that another process can find out whether that one still lives.

A token names the machine's boot, the namespace of its processes, the process and when it began, since numbers of
processes are used again. It means something on one machine only, as the file of :mod:`vhal.journal.file` does: another
boot is an earlier one.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

_ours: set[str] = set()
"""The tokens that this process holds."""


def token() -> str:
    """Return a new token of this process."""
    boot, space = _here()
    pid = os.getpid()
    return f"{boot}:{space}:{pid}:{_began(pid)}:{uuid.uuid4().hex[:8]}"


def hold(token: str) -> None:
    """Let a token of this process live."""
    _ours.add(token)


def let_go(token: str) -> bool:
    """Let a token of this process be dead; return whether it lived."""
    if token not in _ours:
        return False
    _ours.discard(token)
    return True


def process(token: str) -> int:
    """Return the number of a token's process."""
    return int(token.split(":")[2])


def lives(token: str) -> bool:
    """Return whether whom a token names still lives, and holds it if that is this process."""
    boot, space, pid, began, _ = token.split(":")
    if (boot, space) != _here():
        # A process of another namespace can't be looked for; only a reboot has ended it for sure.
        return boot == _here()[0]
    if int(pid) == os.getpid():
        return token in _ours
    return _began(int(pid)) == began


def _here() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot, str(Path("/proc/self/ns/pid").stat().st_ino)


def _began(pid: int) -> str:
    """Return when a process began, in ticks since the boot, or an empty text if there is none (proc(5): field 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]
