"""``python -m tests.physics``: compare the simulator's model of a migration with real QEMU.

``measure FILE`` moves real guests on the test bed (root, Debian, ten minutes) and writes what happened. ``compare
FILE`` prints the model beside it, ``plot FILE PICTURE`` draws it. ``docs`` makes the tables and the picture of
docs/explanation/physics.md from docs/explanation/physics.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.physics.compare import rows
from tests.physics.data import Data
from tests.physics.page import DATA, PAGE, PICTURE, made
from tests.physics.table import comparison, constants, errors


def main() -> int:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.physics", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name, paths in {"measure": ["file"], "compare": ["file"], "plot": ["file", "picture"], "docs": []}.items():
        task = tasks.add_parser(name)
        for path in paths:
            task.add_argument(path, type=Path)
    arguments = parser.parse_args()
    if arguments.task == "measure":
        _measure(arguments.file)
    elif arguments.task == "compare":
        costs, compared = rows(Data.load(arguments.file).runs)
        print(constants(costs), errors(compared), comparison(compared), sep="\n\n")
    else:
        from tests.physics.plot import plot

        docs = arguments.task == "docs"
        data = Data.load(DATA if docs else arguments.file)
        plot(rows(data.runs)[1], PICTURE if docs else arguments.picture)
        if docs:
            PAGE.write_text(made(PAGE.read_text(encoding="utf-8"), data), encoding="utf-8")
    return 0


def _measure(path: Path) -> None:
    from tests.physics.cells import GRID, WAYS
    from tests.physics.measure import measure

    data = Data.here()
    for run in measure((*GRID, *WAYS)):
        data = data.with_run(run)
        data.save(path)
        print(f"{run.cell.name}: {run.total_s:.2f} s, downtime {run.downtime_s * 1000:.0f} ms", flush=True)


sys.exit(main())
