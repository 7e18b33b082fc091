"""``python -m tests.kit.bugs [NAME …] [--keep]``: run the whole suite on each bug, and tell what finds it.

A few in one process, and as many processes at a time as there are processors. With ``--keep`` it is written down, for
the tests and for the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kit.bugs.table import BUGS, KEPT, Caught, caught
from vhal.testing.conformance.report import Outcome, SuiteReport
from vhal.testing.conformance.rows import LAYERS

WHOLE = Path(__file__).with_name("whole.py")
TOGETHER = 6
"""Bugs that are tried in one process, one after the other."""


def failing(bugs: Sequence[str]) -> Caught:
    """Return the rows that fail for each bug, by their layers, the quickest first."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", str(WHOLE), "-q", "-p", "no:cacheprovider"]
        ran = subprocess.run(
            [*command, "--vhal-report", str(file)],
            env={**os.environ, "VHAL_KIT_BUGS": ",".join(bugs)},
            capture_output=True,
            text=True,
            check=False,
        )
        if not file.exists():
            raise SystemExit(f"{', '.join(bugs)}: {ran.stdout}{ran.stderr}")
        suites = SuiteReport.model_validate_json(file.read_text()).suites
    found: Caught = {bug: {} for bug in bugs}
    for finding in suites:
        layers = found[finding.suite.rpartition("::Test_")[2]]
        for layer in LAYERS:
            failed = [one for one in finding.rows if one.layer == layer and one.outcome is Outcome.FAILED]
            if failed:
                layers[layer] = [one.id for one in sorted(failed, key=lambda one: one.seconds)]
    return found


def main() -> int:
    """Do it; 1 if there is a bug that nothing finds."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.bugs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs; without any, all of them")
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name}")
    asked = parser.parse_args()
    names: list[str] = asked.names or list(BUGS)
    parts = [names[first : first + TOGETHER] for first in range(0, len(names), TOGETHER)]
    found = caught()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(failing, parts):
            found.update(part)
            for name, layers in part.items():
                told = ", ".join(f"{layer} {len(rows)} ({rows[0]})" for layer, rows in layers.items())
                print(f"{name}: {told or 'NOTHING FINDS IT'}", flush=True)
            if asked.keep:
                KEPT.write_text(json.dumps(found, indent=1) + "\n")
    return int(not all(found[name] for name in names))


if __name__ == "__main__":
    sys.exit(main())
