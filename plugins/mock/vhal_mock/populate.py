"""Puts the machines of a spec on the hosts of a new world, with the driver's own calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vhal.driver.context import Context
from vhal.errors import InvalidSpec, VhalError

if TYPE_CHECKING:
    from vhal_mock.spec import PlacedMachine
    from vhal_mock.world import World


def populate(world: World, machines: Iterable[PlacedMachine], source: str) -> None:
    """Make the machines, and start those that shall run.

    Raises:
        vhal.errors.InvalidSpec: One can't be where it is said to be; the path and the reason are named.
    """
    from vhal_mock.driver import MockDriver

    drivers = {name: MockDriver(host) for name, host in world.hosts.items()}
    for place, placed in enumerate(machines):
        driver = drivers[placed.host]
        for spec in placed.specs():
            try:
                made = driver.create(spec, Context())
                if placed.running:
                    driver.start(made.id, Context())
            except VhalError as error:
                path = f"machines[{place}]"
                raise InvalidSpec(
                    f"{source}: {path}: {error.message}",
                    problems=[(path, error.message)],
                    hint=error.hint,
                    machine=spec.name,
                ) from error
