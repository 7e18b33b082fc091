"""What there is in the data centre, and how a day of it begins, as Beloglazov and Buyya have it.

The protocol (Concurrency and Computation 24, 2012), as CloudSim 4.0 plays it:

* 800 hosts, each other one an HP ML110 G4 (2 × 1,860 MIPS) and a G5 (2 × 2,660), 4 GiB, 1 Gbit/s.
* Machines have one processor of 2,500, 2,000, 1,000 or 500 MIPS and 870, 1,740, 1,740 or 613 MiB: the first quarter of
  them is of the first kind, and so on, as CloudSim's code has it (papers say "evenly").
* At the beginning each has what it was sold: they are placed one after the other where power grows least, by peak
  MIPS and memory; the idle power of a host that has to be switched on counts.
* From then on processors are given by need. Memory counts no more: CloudSim's machines hold none while they run (its
  workload's memory model is the null model; with 4 GiB a host, what it reports couldn't fit).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HOSTS = 800
CORES = 2
CORE_MIPS = (1860.0, 2660.0)
HOST_MIB = 4096.0
LINK = 125_000_000
"""Bytes a second."""
WATTS = (
    (86, 89.4, 92.6, 96, 99.5, 102, 106, 108, 112, 114, 117),
    (93.7, 97, 101, 105, 110, 116, 121, 125, 129, 133, 135),
)
"""At 0, 10, … 100 % of the processors, by SPECpower: G4 (Xeon 3040), G5 (Xeon 3075)."""
MACHINE_MIPS = (2500.0, 2000.0, 1000.0, 500.0)
MACHINE_MIB = (870, 1740, 1740, 613)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Center:
    """Hosts and machines, as arrays.

    Args:
        machines: How many.
        hosts: How many.
    """

    def __init__(self, machines: int, hosts: int = HOSTS) -> None:
        kinds = np.arange(machines) // -(-machines // len(MACHINE_MIPS))
        self.mips: Floats = np.array(MACHINE_MIPS)[kinds]
        self.mib: Ints = np.array(MACHINE_MIB)[kinds]
        self.kind: Ints = np.arange(hosts) % 2
        self.core: Floats = np.array(CORE_MIPS)[self.kind]
        self.capacity: Floats = self.core * CORES

    def power(self, share: Floats) -> Floats:
        """Return what each host draws when so much of it is busy, in watts; linear between two of the table."""
        tenths = np.linspace(0, 1, 11)
        drawn = [np.interp(share, tenths, table) for table in WATTS]
        return np.where(self.kind == 0, drawn[0], drawn[1])

    def first_places(self) -> Ints:
        """Return the host of each machine at the beginning."""
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
