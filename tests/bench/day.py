"""A day of a simulated fleet: machines whose load is from traces, looked at every five minutes."""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path

from vhal_mock import World

import vhal

STEPS = 288
STEP_S = 300
TRACES = 500
"""Different ones; machines share them."""


class Day:
    """A fleet at midnight.

    Args:
        hosts: How many.
        machines: How many, spread evenly.
    """

    def __init__(self, hosts: int, machines: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vhal-day-")
        path = Path(self._folder.name, "day.csv")
        _write(path)
        self.world = World.from_spec({"hosts": [{"name": "h", "count": hosts, "cpus": 16, "memory": "256GiB"}]})
        self.hosts = [vhal.connect(self.world.url(name)) for name in self.world.hosts]
        for number in range(machines):
            trace = {"profile": "trace", "file": str(path), "column": f"vm{number % TRACES}"}
            self.hosts[number % hosts].create(
                vhal.MachineSpec(name=f"m{number}", cpus=4, memory="1GiB", options={"mock": {"workload": trace}})
            ).start()

    def run(self) -> None:
        """Let the day pass, and look at every machine each five minutes."""
        for _ in range(STEPS):
            self.world.clock.advance(STEP_S)
            for host in self.hosts:
                host.usage()


def _write(path: Path) -> None:
    chance = random.Random(7)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_s", *(f"vm{number}" for number in range(TRACES))])
        for step in range(STEPS):
            rows.writerow([step * STEP_S, *(f"{chance.random():.3f}" for _ in range(TRACES))])
