"""The page's comparison is what the committed measurements say, and its errors are no larger than it states."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.physics.cells import GRID, WAYS, Cell
from tests.physics.compare import Row, rows
from tests.physics.data import Data
from tests.physics.page import DATA, PAGE, PICTURE, made
from tests.physics.plot import plot
from tests.physics.run import Run


@pytest.fixture(scope="module")
def data() -> Data:
    return Data.load(DATA)


@pytest.fixture(scope="module")
def held_out(data: Data) -> list[Row]:
    return [row for row in rows(data.runs)[1] if row.measured.cell.held_out]


def test_the_page_has_what_was_measured(data: Data) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == made(text, data), "run: python -m tests.physics docs"


def test_every_cell_was_measured_as_often_as_it_says(data: Data) -> None:
    cells = [run.cell for run in data.runs]
    assert set(cells) == {*GRID, *WAYS}
    assert all(cells.count(cell) == 2 * cell.runs for cell in cells)  # on two occasions


def test_the_errors_are_no_larger_than_stated(held_out: list[Row]) -> None:
    ended = [row for row in held_out if row.measured.complete]
    assert all(row.predicted.complete for row in ended)
    grid = [row for row in ended if row.measured.cell.plain]
    assert len(grid) >= len(GRID) // 2 - 1
    total = [abs(row.total_error) for row in grid]
    assert median(total) <= 0.10
    assert max(total) <= 0.30
    downtime = [abs(row.downtime_error) for row in grid]
    assert median(downtime) <= 0.10
    assert max(downtime) <= 0.50
    sent = [abs(row.sent_error) for row in ended]
    assert median(sent) <= 0.05
    assert max(sent) <= 0.15
    ways = [abs(row.total_error) for row in ended if not row.measured.cell.plain]
    assert max(ways) <= 0.90


def test_what_does_not_end_is_said_not_to(held_out: list[Row]) -> None:
    endless = [row for row in held_out if not row.measured.complete]
    assert endless
    assert not any(row.predicted.complete for row in endless)


def test_the_picture(data: Data, tmp_path: Path) -> None:
    _, compared = rows(data.runs)
    for name in ("one.svg", "two.svg", "one.png"):
        plot(compared, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in PICTURE.read_text(encoding="utf-8")[:1000]
    assert PICTURE.stat().st_size < 100_000


def test_measurements_survive_their_file(data: Data, tmp_path: Path) -> None:
    data.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == DATA.read_bytes()
    assert isinstance(data.runs[0], Run)
    assert Cell.of(data.runs[0].cell.as_dict()) == data.runs[0].cell
