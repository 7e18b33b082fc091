"""The volumes of a machine: made with it where there are none of that name, and then deleted with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vhal.driver import Blocker, Level
from vhal.spec import MachineSpec
from vhal_containers.api import ApiError
from vhal_containers.engine import Engine, name_taken
from vhal_containers.identity import PREFIX

OWNER = f"{PREFIX}owner"
"""Label of a volume that was made for a machine: the machine's id."""
RESERVED = "vhal-"
"""What the names of vhal's own volumes begin with."""

_IN_USE = 409


def blockers(spec: MachineSpec) -> Iterator[Blocker]:
    """Yield the volumes that no machine may have."""
    for mount in spec.mounts:
        if mount.volume is not None and mount.volume.startswith(RESERVED):
            yield Blocker(
                "volume-reserved",
                f"the volume {mount.volume} is vhal's own",
                f"choose a name that doesn't begin with {RESERVED!r}",
                Level.BACKEND,
            )


def make(engine: Engine, spec: MachineSpec, machine: str) -> list[str]:
    """Make the machine's volumes that aren't there, and return their names.

    Raises:
        vhal_containers.api.ApiError: One can't be made; those made before it are deleted.
    """
    made: list[str] = []
    wanted = dict.fromkeys(mount.volume for mount in spec.mounts if mount.volume is not None)
    try:
        for name in wanted:
            if engine.api.volumes.exists(name):
                continue
            try:
                engine.api.volumes.create(name, labels={OWNER: machine})
            except ApiError as error:
                # Somebody else was faster; then it is theirs.
                if not name_taken(error):
                    raise
            else:
                made.append(name)
    except BaseException:
        remove(engine, machine)
        raise
    return made


def of(engine: Engine, machine: str) -> list[str]:
    """Return the names of the volumes that were made for a machine."""
    return [volume.name for volume in engine.api.volumes.list(filters={"label": [f"{OWNER}={machine}"]})]


def remove(engine: Engine, machine: str) -> list[str]:
    """Delete the volumes that were made for a machine, but for those that another container uses.

    Returns:
        The names of those that couldn't be deleted for another reason.
    """
    left: list[str] = []
    with contextlib.suppress(ApiError):
        for name in of(engine, machine):
            try:
                engine.remove_volume(name)
            except ApiError as error:
                if error.status != _IN_USE:
                    left.append(name)
    return left
