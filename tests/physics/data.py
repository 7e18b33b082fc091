"""What was measured, and on what, as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from tests.physics.run import Run


@dataclass(frozen=True)
class Data:
    """The runs, and the machine they were made on."""

    machine: dict[str, str]
    runs: tuple[Run, ...] = ()

    @classmethod
    def here(cls) -> Data:
        """Begin with this machine."""
        said = subprocess.run(["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True).stdout
        found = re.search(r"version (\S+)", said)
        qemu = found[1] if found else "unknown"
        return cls({"qemu": qemu, "kernel": platform.release(), "cpus": str(os.cpu_count())})

    @classmethod
    def load(cls, path: Path) -> Data:
        """Read it."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(document["machine"], tuple(Run.of(run) for run in document["runs"]))

    def with_run(self, run: Run) -> Data:
        """Return it with one more run."""
        return replace(self, runs=(*self.runs, run))

    def save(self, path: Path) -> None:
        """Write it, a line for each run."""
        lines = ",\n".join(json.dumps(run.as_dict()) for run in self.runs)
        path.write_text(f'{{"machine": {json.dumps(self.machine)}, "runs": [\n{lines}\n]}}\n', encoding="utf-8")
