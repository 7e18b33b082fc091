"""``python -m tests.bench [NAME…] [--data DIR] [--json FILE] [--strict]``: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.measure import Ratio

GROUPS = (
    "imports",
    "simulator",
    "listing",
    "lifecycle",
    "migration",
    "containers",
    "balance",
    "fleet",
    "drain",
    "planetlab",
)
DATA = {"planetlab"}
"""Groups that take a folder of data; without one they make up their own."""


def main() -> int:
    """Run the groups that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("groups", nargs="*", default=GROUPS, metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a limit is exceeded")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of recorded data, for groups that take one")
    parser.add_argument("--hbal-hosts", type=int, metavar="N", help="fleets up to which hbal is run: 20; it takes long")
    arguments = parser.parse_args()
    for name, value in (("VHAL_BENCH_FLEETS", arguments.data), ("VHAL_BENCH_HBAL_HOSTS", arguments.hbal_hosts)):
        if value is not None:
            os.environ[name] = str(value)
    found: list[Ratio] = []
    for group in arguments.groups:
        ratios: Callable[..., Iterator[Ratio]] = importlib.import_module(f"tests.bench.{group}").ratios
        for ratio in ratios(*([arguments.data] if group in DATA else [])):
            found.append(ratio)
            mark = "ok " if ratio.ok else "OVER"
            print(
                f"{mark:4} {ratio.ratio:8.3f} (limit {ratio.limit:g})  {ratio.name}: "
                f"{ratio.figures}, median of {ratio.runs}" + (f"; {ratio.note}" if ratio.note else ""),
                flush=True,
            )
    if arguments.json:
        machine = {"python": platform.python_version(), "kernel": platform.release(), "cpus": os.cpu_count()}
        document = {"machine": machine, "ratios": [ratio.as_dict() for ratio in found]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if arguments.strict and not all(ratio.ok for ratio in found) else 0


sys.exit(main())
