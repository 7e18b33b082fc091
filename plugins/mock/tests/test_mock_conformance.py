"""The suite that every backend passes, on the mock."""

from __future__ import annotations

from pathlib import Path

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

from vhal import MachineSpec
from vhal.testing import BackendSuite, Harness

REPORTS = Path(__file__).parents[3] / "docs" / "reference" / "reports"
WORLD = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})


class TestMock(BackendSuite):
    harness = Harness(
        open=lambda: MockDriver(WORLD.host("a")),
        peer=lambda: MockDriver(WORLD.host("b")),
        spec=lambda name: MachineSpec(name=name, memory="64MiB"),
        kept=REPORTS / "mock.json",
    )
