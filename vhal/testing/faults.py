"""What goes wrong in a simulated world, as a test says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhal.driver.fault import Fault, FaultKind
from vhal.errors import InvalidSpec
from vhal.testing import worlds

if TYPE_CHECKING:
    from vhal_mock.world import World

    from vhal.driver import FaultPlan


class WorldFaults:
    """The faults of one world, with a short spelling, and checked: points and hosts must be there.

    Concurrency: safe from any thread.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def plan(self) -> FaultPlan:
        """The world's plan: which faults are left, and which points were visited."""
        return worlds.plan(self._world)

    def add(self, fault: Fault | str, kind: FaultKind | str = FaultKind.ERROR, **fields: Any) -> Fault:
        """Let ``fault`` go wrong, too, from now on; return it.

        ``add("migration.transfer.round=3", "host-crash", host="b")`` is short for
        ``add(Fault(at="migration.transfer.round=3", kind="host-crash", host="b"))``.

        Raises:
            vhal.errors.InvalidSpec: There is no such point, kind, field or host; the hint has the nearest.
        """
        if not isinstance(fault, Fault):
            fault = Fault(at=fault, kind=kind, **fields)
        elif fields:
            raise InvalidSpec(
                f"a Fault is whole; {', '.join(fields)} can't be added to it",
                problems=[(name, "is given beside a Fault") for name in fields],
                hint="give the point as text, or all fields to Fault()",
            )
        if fault.host is not None:
            worlds.check_host(self._world, fault.host, "host")
        worlds.inject(self._world, fault)
        return fault

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self.plan.clear()
