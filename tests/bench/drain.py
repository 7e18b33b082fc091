"""Draining: a real host of eight guests against one ``virsh migrate`` after the other; planning it at scale."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.measure import Ratio, compare, timed
from tests.bench.real import spec
from tests.testbed import CounterGuest, Lab
from vhal.fleet.fleet import Fleet
from vhal.fleet.members.entry import HostEntry
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.snapshot import FleetSnapshot, Load, SeenHost, SeenMachine
from vhal.journal import Journal
from vhal.spec.units import Bytes

GUESTS = 8
RUNS = 5
DIRTY_MIB_S = 0

LIMIT_S = 0.1
"""One of a thousand hosts is to be planned in so much processor time."""


class Drain:
    """Eight guests that leave a host for two others, by either means, and are brought back in between."""

    def __init__(self, lab: Lab, fleet: Fleet, journal: Journal) -> None:
        self.lab = lab
        self.fleet = fleet
        self.journal = journal
        self.sockets = itertools.count()

    def ours(self) -> float:
        """Drain it with vhal: look, plan and carry out."""
        self._back()

        def drain() -> None:
            plan = plan_drain(self.fleet.snapshot(), ["a"], strict=True)
            applied = apply(plan, self.fleet, journal=self.journal).check()
            assert len(applied.arrived) == GUESTS

        return timed(drain)

    def virsh(self) -> float:
        """Drain it with virsh: to the two others in turn, one after the other."""
        self._back()
        source, *targets = self.lab.hosts
        names = sorted(machine.name for machine in self.fleet.host("a").machines())

        def drain() -> None:
            for name, target in zip(names, itertools.cycle(targets), strict=False):
                data = self.lab.shared / f"drain-{next(self.sockets)}.sock"
                flags = ("--live", "--p2p", "--persistent", "--undefinesource", "--abort-on-error")
                argv = ["virsh", "-c", source.native_uri, "migrate", *flags, name]
                argv += ["--desturi", target.native_uri, "--migrateuri", f"unix://{data}"]
                subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

        return timed(drain)

    def _back(self) -> None:
        for name in ("b", "c"):
            for machine in self.fleet.host(name).machines():
                machine.migrate(self.fleet.host("a"))


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons: of planning with the time that it is to take, of a drain with virsh."""
    yield _planning()
    guest = CounterGuest.build()
    with (
        Lab(hosts=3) as lab,
        Fleet(
            {name: HostEntry(url=host.url, overcommit=16) for name, host in zip("abc", lab.hosts, strict=True)}
        ) as fleet,
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.sqlite") as journal,
    ):
        for number in range(GUESTS):
            vm = fleet.host("a").create(spec(guest, f"guest{number}", DIRTY_MIB_S))
            vm.start()
            vm.wait("ready")
        try:
            drain = Drain(lab, fleet, journal)
            yield compare(
                f"drain of {GUESTS} real VMs / virsh migrate, one after the other",
                drain.ours,
                drain.virsh,
                limit=0.6,
                runs=RUNS,
            )
        finally:
            for machine in fleet.machines():
                machine.delete(force=True)


def _planning() -> Ratio:
    hosts, machines = 1_000, 10_000
    snapshot = FleetSnapshot(
        hosts=tuple(
            SeenHost(name=f"h{n}", uuid=f"u{n}", cpus=64, memory=Bytes("512GiB"), overcommit=4.0) for n in range(hosts)
        ),
        machines=tuple(
            SeenMachine(
                id=f"i{n}",
                name=f"m{n}",
                host=f"h{n % hosts}",
                cpus=2 + n % 3,
                memory=Bytes((8 + n % 5 * 8) << 30),
                load=Load(cpus=n % 7 / 4),
            )
            for n in range(machines)
        ),
    )
    times = []
    for number in range(5):
        fresh = snapshot.model_copy()  # without what was found out the last time
        begun = time.process_time()
        plan = plan_drain(fresh, [f"h{number}"], strict=True)
        times.append(time.process_time() - begun)
        assert len(plan.moves) == machines // hosts
    spent_s = median(times)
    return Ratio("plan a drain of one of 1,000 hosts / 100 ms", spent_s, LIMIT_S, spent_s / LIMIT_S, 1.0, len(times))
