"""Real QEMU does what the model says, as far as that can be said of a machine that may be busy."""

from __future__ import annotations

import pytest

from tests.physics.cells import Cell
from tests.physics.compare import Measured, rows
from tests.physics.data import Data
from tests.physics.measure import measure
from tests.physics.page import DATA
from tests.physics.run import Run

CELLS = (Cell(3, 32, runs=1), Cell(3, 32, post_copy=True, runs=1))


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return list(measure(CELLS))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_move(runs: list[Run], cell: Cell) -> None:
    costs, _ = rows(Data.load(DATA).runs)
    real = Measured.of(cell, runs)
    model = real.predicted(costs)
    assert real.complete
    assert model.complete
    # A busy machine sends slower, so that the guest has longer to write; but it sends all of it.
    assert 0.6 < model.sent / real.sent < 1.5
    assert 0.2 < model.total_s / real.total_s < 2
    assert real.downtime_s < real.total_s / 2
