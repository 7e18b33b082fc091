"""Copying memory while a machine runs, so that less is sent while it stands still: what stands against it.

CRIU and podman's command line can do it, where the kernel tells which pages a process writes to
(``CONFIG_MEM_SOFT_DIRTY``). podman's API makes such a copy (``preCheckpoint``), and a checkpoint that builds on it
(``withPrevious``). But to bring that back an engine needs the copy too, and its ``restore`` has no parameter to give it
one that another engine made: ``--import-previous`` is the command line's alone. So it is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from vhal.driver import Blocker, Level
from vhal_containers.engine import Engine
from vhal_containers.migration import host_facts

_REMEDY = "leave pre_dump out: all memory is sent while the machine stands still; or move it with live=False"


def on_source(engine: Engine) -> Iterator[Blocker]:
    """Yield what stands against it where the machine is: only there the kernel has to do something for it."""
    reason = host_facts.dirty_tracking(engine)
    if reason:
        yield Blocker(
            "no-dirty-tracking",
            f"the kernel doesn't tell which pages a machine writes to: {reason}",
            f"boot a kernel with CONFIG_MEM_SOFT_DIRTY there, or {_REMEDY}",
            Level.HOST,
        )


def on_destination() -> Iterator[Blocker]:
    """Yield what stands against it wherever the machine goes."""
    yield Blocker(
        "pre-dump", "podman's API can't bring back what was copied ahead from another engine", _REMEDY, Level.BACKEND
    )
