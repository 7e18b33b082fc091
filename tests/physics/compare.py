"""The model beside the measurements: constants fitted to some cells, errors stated for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from vhal_mock.physics import Costs

from tests.physics.cells import MIB, Cell
from tests.physics.predict import Prediction, predict
from tests.physics.run import GIVE_UP_S, MOST_S, Run

_STEPS = tuple(1.1**step for step in range(-25, 26))
# The guest and both ends share two CPUs with whatever else runs: a second stream finds none.
_START = Costs(
    setup_s=0.5, switch_s=0.03, scan_rate=1000.0 * MIB, stream_rate=400.0 * MIB, fill_rate=200.0 * MIB, cpus=1
)


@dataclass(frozen=True)
class Measured:
    """The medians of a cell's runs."""

    cell: Cell
    dirty_rate: float
    """Bytes a second that the guest wrote before it moved."""
    complete: bool
    total_s: float
    setup_s: float
    downtime_s: float
    sent: float
    iterations: float
    spread: float
    """The longest total by the shortest."""

    @classmethod
    def of(cls, cell: Cell, runs: Sequence[Run]) -> Measured:
        """Take the medians."""
        mine = [run for run in runs if run.cell == cell]
        totals = [run.total_s for run in mine]
        return cls(
            cell,
            dirty_rate=median(run.dirty_rate for run in mine),
            complete=all(run.complete for run in mine),
            total_s=median(totals),
            setup_s=median(run.setup_s for run in mine),
            downtime_s=median(run.downtime_s for run in mine),
            sent=median(run.sent for run in mine),
            iterations=median(run.iterations for run in mine),
            spread=max(totals) / min(totals),
        )

    def predicted(self, costs: Costs) -> Prediction:
        """Return what the model says about it."""
        # Two passes are the first, and what the switch found: it was switched to before the first one's end.
        at_once = self.iterations <= 2
        within_s = MOST_S if self.complete else GIVE_UP_S
        return predict(self.cell, self.dirty_rate, costs, within_s=within_s, at_once=at_once)


@dataclass(frozen=True)
class Row:
    """A cell and what the model says about it."""

    measured: Measured
    predicted: Prediction

    @property
    def total_error(self) -> float:
        """Of the total time, relative."""
        return self.predicted.total_s / self.measured.total_s - 1

    @property
    def downtime_error_s(self) -> float:
        """Of the downtime."""
        return self.predicted.downtime_s - self.measured.downtime_s

    @property
    def downtime_error(self) -> float:
        """Of the downtime, relative."""
        return self.predicted.downtime_s / self.measured.downtime_s - 1

    @property
    def sent_error(self) -> float:
        """Of the bytes that were sent, relative."""
        return self.predicted.sent / self.measured.sent - 1


def measured(runs: Iterable[Run]) -> list[Measured]:
    """Return the cells of some runs, in order."""
    all_runs = list(runs)
    cells = dict.fromkeys(run.cell for run in all_runs)
    return [Measured.of(cell, all_runs) for cell in sorted(cells, key=lambda cell: not cell.plain)]


def fit(cells: Iterable[Measured]) -> Costs:
    """Return the constants that fit best to the cells that aren't held out.

    What is minimised is the sum of the relative errors of total time and downtime, one constant after the other, three
    times.
    """
    known = [cell for cell in cells if not cell.cell.held_out and cell.complete]
    costs = _START

    def error(candidate: Costs) -> float:
        rows = [Row(cell, cell.predicted(candidate)) for cell in known]
        return sum(abs(row.total_error) + abs(row.downtime_error) for row in rows)

    varied: tuple[Callable[[Costs, float], Costs], ...] = (
        lambda c, by: replace(c, setup_s=_START.setup_s * by),
        lambda c, by: replace(c, scan_rate=_START.scan_rate * by),
        lambda c, by: replace(c, fill_rate=_START.fill_rate * by),
        lambda c, by: replace(c, stream_rate=_START.stream_rate * by),
        lambda c, by: replace(c, switch_s=_START.switch_s * by),
    )
    for _ in range(3):
        for vary in varied:
            costs = min((vary(costs, by) for by in _STEPS), key=error)
    return costs


def rows(runs: Iterable[Run]) -> tuple[Costs, list[Row]]:
    """Return the constants that fit, and each cell beside its prediction."""
    cells = measured(runs)
    costs = fit(cells)
    return costs, [Row(cell, cell.predicted(costs)) for cell in cells]
