"""A day of a data centre, in steps of five minutes: who gets what of the processors, what it costs, who moves.

The protocol is that of Beloglazov and Buyya (Concurrency and Computation 24, 2012) as CloudSim 4.0 plays it:

* 800 hosts, each other one an HP ML110 G4 (2 × 1,860 MIPS) and a G5 (2 × 2,660), 4 GiB; their power is SPECpower's
  table, linear in between. A host without machines is off and draws nothing; switching takes no time and no energy.
* Machines have one processor of 2,500, 2,000, 1,000 or 500 MIPS and 870, 1,740, 1,740 or 613 MiB: the first quarter of
  them is of the first kind, and so on, as CloudSim's code has it (papers say "evenly").
* At the beginning each has what it was sold: they are placed one after the other where power grows least, by peak
  MIPS and memory; the idle power of a host that has to be switched on counts.
* From then on processors are given by need. Memory counts no more after the beginning: CloudSim's machines hold none
  while they run (its workload's memory model is the null model; with 4 GiB a host, what it reports couldn't fit).
  With ``memory=True`` it counts always: then at least 319 hosts must be on.
* A sample holds until the next one; the policy that is asked at its beginning knows it (``late=0``, as in CloudSim), or
  only the one before (``late=1``, which is stricter: nothing of the five minutes that come is known).
* A move takes memory / (1 Gbit/s / 2), as CloudSim halves it. Meanwhile the machine gets 90 % of what it would get, its
  source is loaded as before, and its destination with a tenth of it besides.

What is measured, with CloudSim's formulas: energy; SLATAH, the time in which a host that is on gives less than is
wanted of it, by the time in which hosts are on; PDM, what machines lack while they move by all that is wanted; their
product SLAV; ESV = energy · SLAV; moves. ESV is 0 without any move however machines suffer, so the shortfall is
measured, too: all that is lacking by all that is wanted.

Different from CloudSim: a host whose machines all happen to want nothing is on and draws idle power (there it counts as
off); PDM counts the whole of a move, and SLATAH the whole time that a machine is on its way to a host, not from the
next event on; power is that of the step, not the mean of its beginning and the next one's. None of it favours who
moves less.

It is no world of ``vhal_mock``: there all processors are as fast, and a move takes what its dirty pages make it take,
which is truer and not this protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tests.bench.planetlab.traces import STEP_S, STEPS, Traces

HOSTS = 800
CORES = 2
CORE_MIPS = (1860.0, 2660.0)
HOST_MIB = 4096.0
WATTS = (
    (86, 89.4, 92.6, 96, 99.5, 102, 106, 108, 112, 114, 117),
    (93.7, 97, 101, 105, 110, 116, 121, 125, 129, 133, 135),
)
"""At 0, 10, … 100 % of the processors: G4 (Xeon 3040), G5 (Xeon 3075)."""
MACHINE_MIPS = (2500.0, 2000.0, 1000.0, 500.0)
MACHINE_MIB = (870.0, 1740.0, 1740.0, 613.0)
MIB_S = 1e6 / (2 * 8000)
"""MiB a second of a move."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What came of a day."""

    energy_kwh: float
    slatah: float
    pdm: float
    moves: int
    shortfall: float
    hosts: float
    """On, in the mean."""

    @property
    def slav(self) -> float:
        return self.slatah * self.pdm

    @property
    def esv(self) -> float:
        return self.energy_kwh * self.slav

    def __str__(self) -> str:
        return (
            f"{self.energy_kwh:.2f} kWh, {self.moves:,} moves, SLATAH {self.slatah:.2%}, PDM {self.pdm:.4%}, "
            f"SLAV {self.slav:.6%}, ESV {self.esv:.6f}, shortfall {self.shortfall:.3%}, {self.hosts:.0f} hosts on"
        )


class Policy(Protocol):
    """Decides what moves."""

    def decide(self, center: Datacenter, wanted: Floats) -> Sequence[tuple[int, int]]:
        """Return machines and their new hosts.

        Args:
            center: As it is.
            wanted: The newest known sample of each machine, in MIPS.
        """
        ...


class Datacenter:
    """Hosts, machines, and where they are.

    Args:
        traces: What the machines want, in percent.
        hosts: How many.
        memory: Whether memory counts after the beginning.
    """

    def __init__(self, traces: Traces, hosts: int = HOSTS, *, memory: bool = False) -> None:
        count = len(traces)
        kinds = np.arange(count) // -(-count // len(MACHINE_MIPS))
        self.mips: Floats = np.array(MACHINE_MIPS)[kinds]
        self.mib: Floats = np.array(MACHINE_MIB)[kinds]
        self.kind: Ints = np.arange(hosts) % 2
        self.core: Floats = np.array(CORE_MIPS)[self.kind]
        self.capacity: Floats = self.core * CORES
        self.memory = memory
        self.demand: Floats = traces * self.mips[:, None] / 100
        self.place: Ints = self._first_places()

    def power(self, share: Floats) -> Floats:
        """Return what each host draws when so much of it is busy, in watts."""
        tenths = np.linspace(0, 1, 11)
        drawn = [np.interp(share, tenths, table) for table in WATTS]
        return np.where(self.kind == 0, drawn[0], drawn[1])

    def run(self, policy: Policy, late: int = 0) -> Outcome:
        """Let the day pass."""
        count = len(self.capacity)
        energy = short_s = on_s = lacked_moving = lacked = wanted_all = 0.0
        moved = 0
        for step in range(STEPS):
            wanted = self.demand[:, step]
            moves = policy.decide(self, self.demand[:, step - late]) if step >= late else ()
            moved += len(moves)
            source = self.place.copy()
            takes = np.zeros(len(wanted))
            for machine, host in moves:
                self.place[machine] = host
                takes[machine] = self.mib[machine] / MIB_S
            begun = 0.0
            for ended in (*np.unique(takes[takes > 0]), STEP_S):
                span, moving = ended - begun, takes > begun
                at = np.where(moving, source, self.place)
                asked = np.bincount(at, wanted, count)
                taken = np.minimum(wanted, self.core[at])
                arriving = np.bincount(self.place[moving], 0.1 * taken[moving], count)
                load = np.bincount(at, taken, count) + arriving
                scale = np.minimum(1.0, self.capacity / np.maximum(load, 1e-9))
                served = taken * scale[at] * np.where(moving, 0.9, 1.0)
                on = (np.bincount(at, minlength=count) > 0) | (np.bincount(self.place, minlength=count) > 0)
                share = np.minimum(1.0, load / self.capacity)
                short = (asked + arriving > np.minimum(load, self.capacity) + 0.1) | (arriving > 0)
                energy += float(self.power(share)[on].sum()) * span
                on_s += float(on.sum()) * span
                short_s += float((short & on).sum()) * span
                lacked_moving += float((wanted - served)[moving].sum()) * span
                lacked += float((wanted - served).sum()) * span
                wanted_all += float(wanted.sum()) * span
                begun = ended
        return Outcome(
            energy / 3.6e6,
            short_s / on_s,
            lacked_moving / wanted_all,
            moved,
            lacked / wanted_all,
            on_s / STEPS / STEP_S,
        )

    def _first_places(self) -> Ints:
        """Place machines one after the other by what they were sold, where power grows least."""
        used, mib = np.zeros(len(self.capacity)), np.zeros(len(self.capacity))
        places = np.zeros(len(self.mips), dtype=np.int64)
        for machine, (mips, size) in enumerate(zip(self.mips, self.mib, strict=True)):
            fits = (used + mips <= self.capacity) & (mib + size <= HOST_MIB) & (mips <= self.core)
            before = np.where(used > 0, self.power(used / self.capacity), 0.0)
            growth = self.power(np.minimum(1.0, (used + mips) / self.capacity)) - before
            growth[~fits] = np.inf
            host = int(growth.argmin())
            if not fits[host]:
                raise SystemExit("the machines don't fit into the hosts")
            places[machine] = host
            used[host] += mips
            mib[host] += size
        return places
