"""An engine's control groups: the one thing of a lab that is not in a namespace.

A group is a folder in each of the machine's hierarchies, named after the lab and the engine. It stays
there when its last process has ended, so the lab removes it, or else the next lab does.
"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LabError

__all__ = ["ENTER", "controllers", "join", "make", "remove", "require", "sweep"]

ROOT = Path("/sys/fs/cgroup")

# CPU and memory nodes are not inherited in the old kind of hierarchy: without them a group is unusable.
_CPUSET = ("cpuset.cpus", "cpuset.mems")

ENTER = f'for group in {ROOT}/*/"$0"; do echo 0 >"$group/cgroup.procs" || exit; done; exec "$@"'
"""Shell that enters the group `$0` and becomes the command `$@`."""


def _mounts() -> dict[str, str]:
    """Return name and kind of each hierarchy, as in `{"memory": "cgroup"}`."""
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(target).parent == ROOT:
            found[Path(target).name] = kind
    return found


def controllers() -> list[str]:
    """Return the names of the hierarchies of the old kind, which an engine sees."""
    return [name for name, kind in _mounts().items() if kind == "cgroup"]


def require() -> None:
    """Raise `LabError` when this machine has no control groups for an engine."""
    found = controllers()
    missing = {"memory", "cpu", "devices", "freezer"} - {part for name in found for part in name.split(",")}
    if missing:
        raise LabError(
            f"engines need control groups of version 1 under {ROOT}; there is no {', '.join(sorted(missing))}: "
            "boot with systemd.unified_cgroup_hierarchy=0"
        )
    fixed = [name for name in found if not os.access(ROOT / name, os.W_OK)]
    if fixed:
        raise LabError(f"{ROOT / fixed[0]} is read-only, so an engine can't have a control group")


def make(name: str) -> None:
    """Make a group in every hierarchy. Raises `OSError`."""
    for hierarchy in _mounts():
        folder = ROOT / hierarchy / name
        folder.mkdir()
        for setting in _CPUSET:
            if (folder / setting).exists():
                (folder / setting).write_text((folder.parent / setting).read_text())


def join(name: str) -> None:
    """Move this process into a group. Raises `OSError`."""
    for hierarchy in _mounts():
        (ROOT / hierarchy / name / "cgroup.procs").write_text("0")


def remove(lab: str) -> bool:
    """Remove the groups of all engines of a lab; say whether none is left.

    A group with a process in it stays as it is, and so does all that is beside or in it.
    """
    clean = True
    for top in ROOT.glob(f"*/{lab}.*"):
        groups = [Path(path) for path, _, _ in os.walk(top, topdown=False)]
        try:
            if any((group / "cgroup.procs").read_text() for group in groups):
                clean = False
                continue
            for group in groups:
                group.rmdir()
        except FileNotFoundError:
            # Somebody else removes it right now.
            continue
        except OSError:
            clean = False
    return clean


def sweep(labs: Path, prefix: str) -> None:
    """Remove groups of labs that have no folder in `labs` any more."""
    for name in {top.name.rpartition(".")[0] for top in ROOT.glob(f"*/{prefix}*.*")}:
        if not (labs / name).exists():
            remove(name)
