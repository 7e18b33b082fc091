"""Puts the machines of a spec on the hosts of a new world. No time passes, and no fault strikes yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vhal.driver.context import Context
from vhal.errors import InvalidSpec, VhalError
from vhal_mock import power
from vhal_mock.creation import create

if TYPE_CHECKING:
    from vhal_mock.spec import PlacedMachine
    from vhal_mock.world import World


def populate(world: World, machines: Iterable[PlacedMachine], source: str) -> None:
    """Make the machines, and start those that shall run.

    Precondition: the world has no faults yet.

    Raises:
        vhal.errors.InvalidSpec: One can't be where it is said to be; the path and the reason are named.
    """
    ctx = Context()
    for place, placed in enumerate(machines):
        host = world.hosts[placed.host]
        for spec in placed.specs():
            try:
                with host.lock:
                    machine = create(host, spec, ctx)
                    if placed.running:
                        power.start(host, machine, ctx)
            except VhalError as error:
                path = f"machines[{place}]"
                raise InvalidSpec(
                    f"{source}: {path}: {error.message}",
                    problems=[(path, error.message)],
                    hint=error.hint,
                    machine=spec.name,
                ) from error
