"""How long it takes until something can be done: whole processes, with compiled bytecode."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.measure import Ratio, compare, timed

SCRIPT = Path(sys.executable).with_name("vhal")


def process(*argv: str) -> Callable[[], float]:
    """Return a call that runs a process and returns how long it took."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VHAL_", "PYTHON"))}

    def run() -> float:
        return timed(lambda: subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL))

    return run


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons."""
    python = sys.executable
    yield compare(
        "import vhal and connect to mock:/// / import pydantic",
        process(python, "-c", "import vhal; vhal.connect('mock:///')"),
        process(python, "-c", "import pydantic"),
        limit=1.5,
        runs=15,
    )
    yield compare(
        "vhal --help / import click",
        process(str(SCRIPT), "--help"),
        process(python, "-c", "import click"),
        limit=2.0,
        runs=15,
    )
