"""How the conformance suite gets at a simulated world: its hosts, a witness, and an engine that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

from vhal import MachineSpec
from vhal.driver import Driver, Fault, FaultPlan
from vhal.testing import Harness, Sighting


def make_world() -> World:
    """Return a world of two hosts."""
    return World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})


class Points(FaultPlan):
    """Asks a function at each point whether the engine fails there. At the end of a call all is done already."""

    def __init__(self, fails: Callable[[str], bool]) -> None:
        super().__init__()
        self.idle = False
        self._fails = fails

    def strike(self, point: str, host: str = "", machine: str = "") -> Fault | None:
        return Fault(at=point) if not point.endswith(".end") and self._fails(point) else None


def simulated(
    world: Callable[[], World], kept: Path | None = None, known_failures: dict[str, str] | None = None
) -> Harness:
    """Return a harness for the hosts of what ``world`` returns when they are opened."""

    def seen(name: str) -> list[Sighting]:
        # What the world's own model says.
        found = [(host, host.by_name[name]) for host in world().hosts.values() if name in host.by_name]
        return [
            Sighting(host.name, machine.state, machine.cpus, machine.memory, int(machine.state.active))
            for host, machine in found
        ]

    @contextmanager
    def sabotage(driver: Driver, fails: Callable[[str], bool]) -> Iterator[None]:
        there = world()
        there.faults, before = Points(fails), there.faults
        try:
            yield
        finally:
            there.faults = before

    return Harness(
        open=lambda: MockDriver(world().host("a")),
        peer=lambda: MockDriver(world().host("b")),
        spec=lambda name: MachineSpec(name=name, memory="64MiB"),
        kept=kept,
        known_failures=known_failures or {},
        witness=seen,
        sabotage=sabotage,
    )
