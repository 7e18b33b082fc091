"""A day in a world of the simulator: hosts, machines that replay traces, and a watch that decides what moves.

It is what a user has: a world from a table, a fleet of its hosts, and :class:`vhal.fleet.watch.watch.Watch` with
``policy = "cool"``, whose plans are carried out as live migrations that share links and send again what is written
meanwhile. The watch looks every five minutes, as the protocol wants, and knows only what is over: nothing of the five
minutes that come, which CloudSim's policies know.

Hosts have processors of two speeds, and the simulator has one: a processor of the world is 10 MIPS, and a machine has
one for each 10 MIPS that it was sold. A move may use half of a link, as in CloudSim.

All moves of a plan begin at once, but those from one host, which follow one another. They are tasks of the world's
clock, for only those are the same in each run; the watch itself is in its dry run.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from vhal_mock.clock import Task
from vhal_mock.world import World

import vhal
from tests.bench.planetlab.outcome import Count, Moved, Outcome
from tests.bench.planetlab.protocol import HOSTS, LINK, Center, Floats
from tests.bench.planetlab.traces import STEP_S, STEPS, Traces
from vhal.driver.migration import MigrationPolicy
from vhal.fleet.plan import Move, Plan
from vhal.fleet.watch.cool import CoolSettings
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Decision, Watch
from vhal.journal import Journal
from vhal.spec.units import Bytes

UNIT_MIPS = 10.0
DAY_S = STEPS * STEP_S
AGREE = 1e-6
"""By how much the world's counters may be off from what follows from where it had the machines when."""


class Day:
    """A day that is to be played.

    Args:
        traces: What machines want, in percent.
        hosts: How many hosts there are.
        settings: Of the policy; None for the defaults.
    """

    def __init__(self, traces: Traces, hosts: int = HOSTS, settings: CoolSettings | None = None) -> None:
        self._traces = traces
        self.center = Center(len(traces), hosts)
        self._places = self.center.first_places()
        # Limits by the hour are for those who watch a few hosts; all else is the policy's default.
        self._policy = WatchPolicy(
            policy="cool",
            every_s=STEP_S,
            moves_per_hour=1_000_000,
            memory_per_hour=Bytes(1 << 50),
            cool=settings or CoolSettings(),
        )
        with tempfile.TemporaryDirectory(prefix="vhal-planetlab-") as folder:
            path = Path(folder, "day.csv")
            _write(traces, path)
            self.world = World.from_spec(self._spec(path))
        self.moves: list[Moved] = []

    def run(self) -> Outcome:
        """Let the day pass."""
        clock = self.world.clock
        urls = {name: self.world.url(name) for name in self.world.hosts}
        with (
            tempfile.TemporaryDirectory(prefix="vhal-planetlab-") as folder,
            Journal(Path(folder, "journal.sqlite")) as journal,
            vhal.Fleet(urls, clock=lambda: clock.now_s) as fleet,
        ):
            hosts = {name: fleet.host(name) for name in fleet.names}
            watch = Watch(
                fleet, self._policy, journal=journal, dry_run=True, now_s=lambda: clock.now_s, wait=self._wait
            )
            for each in watch.rounds():
                if each.decision is Decision.FAILED:
                    raise SystemExit(f"the watch failed: {each.reason}")
                if each.decision is Decision.PLANNED and each.plan is not None:
                    self._carry(each.plan, hosts)
                if clock.now_s + STEP_S > DAY_S:
                    break
            clock.advance(max(0.0, DAY_S - clock.now_s))
            counted = self._counted(hosts)
        count = Count(self.center, self._traces, self._places)
        outcome = count.day(self.moves, clock.now_s)
        _refuse_disagreement(counted, count.given)
        return outcome

    def _wait(self, every_s: float) -> None:
        """Let time pass until the next look."""
        now_s = self.world.clock.now_s
        self.world.clock.advance((now_s // every_s + 1) * every_s - now_s)

    def _carry(self, plan: Plan, hosts: dict[str, vhal.Host]) -> None:
        clock = self.world.clock
        tasks: list[Task] = []
        last: dict[str, Task] = {}
        for move in plan.moves:
            ends = (move.source, move.destination)
            before = [*(tasks[place] for place in move.after), *(last[end] for end in ends if end in last)]
            task = clock.begin(partial(self._move, move, hosts, before))
            tasks.append(task)
            last.update(dict.fromkeys(ends, task))
        clock.join(*tasks)
        for task in tasks:
            if task.error is not None:
                raise task.error

    def _move(self, move: Move, hosts: dict[str, vhal.Host], before: Sequence[Task]) -> None:
        clock = self.world.clock
        clock.join(*before)
        begun_s = clock.now_s
        machine = hosts[move.source].machine(move.id)
        result = machine.migrate(hosts[move.destination], MigrationPolicy(bandwidth=LINK // 2))
        ended_s = clock.now_s
        self.moves.append(
            Moved(_number(move.machine), _number(move.destination), begun_s, ended_s - result.downtime_s, ended_s)
        )

    def _counted(self, hosts: dict[str, vhal.Host]) -> Floats:
        """Return what the world says that it gave to each machine, in MIPS · s."""
        found = np.zeros(len(self._traces))
        for host in hosts.values():
            usage = host.usage()
            for machine in host.machines():
                found[_number(machine.name)] = (usage[machine.id].cpu_s or 0.0) * UNIT_MIPS
        return found

    def _spec(self, path: Path) -> dict[str, Any]:
        center = self.center
        memory = f"{int(center.mib.sum())}MiB"  # enough for all on one: it doesn't count after the beginning
        return {
            "hosts": [
                {
                    "name": f"h{number}",
                    "cpus": round(capacity / UNIT_MIPS),
                    "cpu_overcommit": 64,
                    "memory": memory,
                    "bandwidth": LINK,
                }
                for number, capacity in enumerate(center.capacity)
            ],
            "machines": [
                {"host": f"h{host}", "running": True, "spec": self._machine(number, path)}
                for number, host in enumerate(self._places)
            ],
        }

    def _machine(self, number: int, path: Path) -> dict[str, Any]:
        workload = {"profile": "trace", "file": str(path), "column": f"m{number}", "scale": 0.01}
        return {
            "name": f"m{number}",
            "cpus": round(self.center.mips[number] / UNIT_MIPS),
            "memory": f"{self.center.mib[number]}MiB",
            "options": {"mock": {"workload": workload}},
        }


def _number(name: str) -> int:
    return int(name[1:])


def _refuse_disagreement(counted: Floats, given: Floats) -> None:
    """Raise if the world gave machines anything else than what follows from their places and moves."""
    off = np.abs(counted - given).max() / max(1.0, given.max())
    if off > AGREE:
        raise SystemExit(f"the world's counters are off by {off:.2e} from what was measured")


def _write(traces: Traces, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_s", *(f"m{number}" for number in range(len(traces)))])
        rows.writerows([step * STEP_S, *traces[:, step]] for step in range(traces.shape[1]))
