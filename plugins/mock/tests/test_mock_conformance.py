"""The suite that every backend passes, on the mock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

from vhal import MachineSpec
from vhal.driver import Driver, Fault, FaultPlan
from vhal.testing import BackendSuite, Harness, Sighting

REPORTS = Path(__file__).parents[3] / "docs" / "reference" / "reports"
WORLD = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})


def seen(name: str) -> list[Sighting]:
    """What the world's own model says, without a driver."""
    found = [(host, host.by_name[name]) for host in WORLD.hosts.values() if name in host.by_name]
    return [
        Sighting(host.name, machine.state, machine.cpus, machine.memory, int(machine.state.active))
        for host, machine in found
    ]


class Points(FaultPlan):
    """Asks a function at each point whether the engine fails there. At the end of a call all is done already."""

    def __init__(self, fails: Callable[[str], bool]) -> None:
        super().__init__()
        self.idle = False
        self._fails = fails

    def strike(self, point: str, host: str = "", machine: str = "") -> Fault | None:
        return Fault(at=point) if not point.endswith(".end") and self._fails(point) else None


@contextmanager
def sabotage(driver: Driver, fails: Callable[[str], bool]) -> Iterator[None]:
    WORLD.faults, before = Points(fails), WORLD.faults
    try:
        yield
    finally:
        WORLD.faults = before


class TestMock(BackendSuite):
    harness = Harness(
        open=lambda: MockDriver(WORLD.host("a")),
        peer=lambda: MockDriver(WORLD.host("b")),
        spec=lambda name: MachineSpec(name=name, memory="64MiB"),
        kept=REPORTS / "mock.json",
        witness=seen,
        sabotage=sabotage,
    )
