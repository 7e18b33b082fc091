"""Workloads from files: CSV, a row for each step and a column for each machine or kind of use.

The first column is ``time_s``, evenly spaced from the first row on; every other column has a name and a number in each
row. What it lacks is an error that says where: a trace with a hole in it would be a machine that idles there.
"""

from __future__ import annotations

import csv
import itertools
from array import array
from difflib import get_close_matches
from pathlib import Path

from vhal.errors import InvalidSpec, NotFound
from vhal_mock.workload import SHORTEST_S, Trace

TIME = "time_s"


class Traces:
    """The files that were read, so that many machines can share one. Not for several threads at once.

    Args:
        folder: Where paths begin that aren't absolute.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[float, dict[str, array[float]]]] = {}
        self._made: dict[tuple[str, str, float], Trace] = {}

    def read(self, path: str, column: str, scale: float = 1.0) -> Trace:
        """Return the workload in one column of a file.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: It has no such column, a hole, or a value that is no level; the place is named.
        """
        made = self._made.get((path, column, scale))
        if made is None:
            if path not in self._files:
                self._files[path] = _table(str(self._folder / path))
            interval_s, columns = self._files[path]
            if column not in columns:
                near = get_close_matches(column, columns, 1, 0.3)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(columns)}"
                raise InvalidSpec(
                    f"{path}: there is no column {column!r}",
                    problems=[(f"{path}: {column}", "there is no such column")],
                    hint=hint,
                )
            levels = columns[column]
            if scale != 1.0:
                levels = array("d", (value * scale for value in levels))
            for row, level in enumerate(levels):
                if not 0 <= level <= 1:
                    raise _wrong(
                        path, row + 2, f"{column} is {level:g}, a level is 0 to 1", "set 'scale': 0.01 for percent"
                    )
            made = self._made[path, column, scale] = Trace(levels, interval_s)
        return made


def _table(path: str) -> tuple[float, dict[str, array[float]]]:
    """Return the interval and the columns of a file."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # with the mark that spreadsheets begin with, or without
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"there is no trace {path}", hint="give the path of a CSV file on this machine") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{path}: can't be read: {error}", hint="is it a CSV file, in UTF-8?") from None
    rows = list(csv.reader(text.splitlines()))
    if not rows or rows[0][:1] != [TIME] or len(rows[0]) < 2:
        raise _wrong(path, 1, f"the first row must name the columns, {TIME!r} first", "as in: time_s,cpu")
    names = rows[0][1:]
    if len(set(names)) != len(names):
        raise _wrong(path, 1, "two columns have one name", "rename one")
    columns = {name: array("d") for name in names}
    times: list[float] = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise _wrong(
                path, number, f"it has {len(row)} values, not {len(rows[0])}", "fill the hole, or leave out the row"
            )
        for name, value in zip(rows[0], row, strict=True):
            try:
                found = float(value)
            except ValueError:
                said = f"{name} is {value!r}, no number" if value.strip() else f"{name} is empty"
                raise _wrong(path, number, said, "fill the hole") from None
            if name == TIME:
                times.append(found)
            else:
                columns[name].append(found)
    if len(times) < 2:
        raise _wrong(path, len(rows), "it has fewer than two steps", "a trace needs at least two rows")
    interval_s = times[1] - times[0]
    for number, (before, after) in enumerate(itertools.pairwise(times), 3):
        # Asked so that what is no number, or infinite, isn't even.
        if not (interval_s > 0 and abs(after - before - interval_s) <= interval_s * 1e-6):
            raise _wrong(
                path,
                number,
                f"it is {after - before:g} s after the row before, the others are {interval_s:g} s apart",
                "fill the hole, or sort the rows",
            )
    if interval_s < SHORTEST_S:
        raise _wrong(path, 3, f"it is {interval_s:g} s after the row before", f"{SHORTEST_S:g} s is the shortest step")
    return interval_s, columns


def _wrong(path: str, row: int, what: str, hint: str) -> InvalidSpec:
    return InvalidSpec(f"{path}, row {row}: {what}", problems=[(f"{path}:{row}", what)], hint=hint)
