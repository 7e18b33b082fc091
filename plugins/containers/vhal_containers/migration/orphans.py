"""What goes on without its engine: a container, or the freezing of one, whose engine died while it worked on it.

An engine has its runtime do the work. If it is killed meanwhile, the runtime finishes; but nobody writes that down, and
afterwards the engine takes a container that runs for one that never did. Nothing but a look at the host's processes
tells, and without that look two copies of a machine could run.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable

from vhal.errors import MigrationInDoubt
from vhal_containers.address import Address
from vhal_containers.migration.reach import Reach, ReachError, reach

ENDS_S = 20.0
"""How long what is ended may take to be gone; and, for what freezes, at least this long for each look."""
_LOOK_S = 0.05
_ID = re.compile(r"[0-9a-f]{64}")
_RUNTIMES = ("runc", "crun")


def end(where: Address, runtime: str, podman_id: str) -> None:
    """End what runs of a container that its engine doesn't know to run. Does nothing if nothing does.

    Precondition: nothing of it is to be kept: the source has its memory.

    Raises:
        vhal.errors.MigrationInDoubt: It can't be made sure that nothing of it runs.
    """
    if runtime not in _RUNTIMES or not _ID.fullmatch(podman_id):
        raise _in_doubt(f"the runtime {runtime} isn't known")
    try:
        with contextlib.closing(reach(where)) as way:

            def gone() -> bool:
                # Again and again: what is about to begin can't be ended yet.
                way.run([runtime, "delete", "--force", podman_id], files=True)
                return not any(podman_id in line for line in _processes(way))

            if not _comes_about(gone):
                raise _in_doubt("it doesn't end")
    except ReachError as error:
        raise _in_doubt(str(error)) from error


def wait_until_frozen(where: Address, podman_id: str) -> None:
    """Wait for the end of a freezing that goes on without its engine, as far as it can be seen."""
    with contextlib.suppress(ReachError), contextlib.closing(reach(where)) as way:
        freezing = re.compile(rf"^\S*({'|'.join(_RUNTIMES)}) .*\bcheckpoint\b.*{re.escape(podman_id)}")
        _comes_about(lambda: not any(freezing.match(line) for line in _processes(way)))


def _processes(way: Reach) -> list[str]:
    return way.run(["ps", "-e", "-ww", "-o", "args="], files=True).splitlines()


def _comes_about(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + ENDS_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _in_doubt(reason: str) -> MigrationInDoubt:
    return MigrationInDoubt(
        f"the engine died while it brought the machine back, and what it left may run: {reason}",
        hint="look for its processes on that host and end them (runc delete --force ID), before it goes on elsewhere",
        backend="containers",
    )
