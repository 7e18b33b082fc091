"""The suite that every backend passes, on the mock."""

from __future__ import annotations

from pathlib import Path

from tests.kit.simulated import make_world, simulated
from vhal.testing import BackendSuite

REPORTS = Path(__file__).parents[3] / "docs" / "reference" / "reports"
WORLD = make_world()


class TestMock(BackendSuite):
    harness = simulated(lambda: WORLD, kept=REPORTS / "mock.json")
