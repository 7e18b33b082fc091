"""Made-up fleets for trials and benchmarks: seeded, uneven, of any size. No fleet of anybody's is in them.

Sizes are drawn as in public traces of clouds: most machines are small (the shape of Azure's packing trace of 2020),
and hosts differ in how many machines they drew. Who wants a fleet that runs takes :mod:`vhal_mock`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from vhal.fleet.rules import Apart, Rule
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, Load, SeenHost, SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.units import Bytes

GIB = 1 << 30
_CPUS = (1, 2, 4, 8, 16)
_SHARES = (35, 30, 20, 10, 5)
_PER_CPU = (2, 4, 4, 8)


def sample(
    hosts: int,
    machines: int,
    *,
    seed: int = 0,
    skew: float = 0.8,
    fill: float = 0.6,
    sizes: Sequence[float] = (1.0,),
    overcommit: float = 4.0,
    apart: int = 0,
    racks: int = 4,
) -> FleetSnapshot:
    """Return a fleet.

    Args:
        hosts: How many.
        machines: How many.
        seed: The same seed and arguments give the same fleet.
        skew: How uneven it is: 0 is by chance only.
        fill: Share of all memory that is given away.
        sizes: Factors of the hosts' sizes, drawn for each host.
        overcommit: Virtual processors that may be given away for each real one.
        apart: How many groups of three machines each must be apart, on different hosts.
        racks: How many racks hosts are in, by their label ``rack``.
    """
    draw = random.Random(f"{seed}")  # noqa: S311 - no secret
    shapes = [_shape(draw) for _ in range(machines)]
    factors = [draw.choice(list(sizes)) for _ in range(hosts)]
    share = max(sum(factors), 1.0)
    memory = _rounded(sum(size for _, size in shapes) / share / fill, 8 * GIB)
    cpus = _rounded(sum(count for count, _ in shapes) / share / 2, 4)
    seen = [
        SeenHost(
            name=f"h{place:05d}",
            uuid=f"sample-{place}",
            cpus=max(2, round(cpus * factor)),
            memory=Bytes(max(round(memory * factor) // GIB, 2) * GIB),
            reserved_memory=Bytes(GIB // 2),
            reserved_cpus=1 / overcommit,
            overcommit=overcommit,
            bandwidth=1.25e9,
            labels=FrozenDict({"rack": f"r{place % racks}"}),
        )
        for place, factor in enumerate(factors)
    ]
    heat = [math.exp(skew * draw.gauss(0, 1)) * factor for factor in factors]
    place = _Places(seen, heat, draw)
    groups = [f"g{number // 3}" if number < 3 * apart else "" for number in range(machines)]
    made = []
    taken: dict[str, set[int]] = {}
    for number, ((count, size), group) in enumerate(zip(shapes, groups, strict=True)):
        others = taken.setdefault(group, set()) if group else set()
        host = place.take(count, size, others)
        if group:
            others.add(host)
        busy = count * min(1.0, draw.betavariate(1.2, 3.0))
        made.append(
            SeenMachine.trusted(
                id=f"m{number:06d}",
                name=f"m{number:06d}",
                host=seen[host].name,
                cpus=count,
                memory=Bytes(size),
                load=Load.trusted(cpus=busy, memory=float(size), disk=draw.random() * 2e7, network=draw.random() * 2e7),
                dirty_rate=busy * draw.uniform(1e6, 5e7),
                labels=FrozenDict({"group": group} if group else {}),
            )
        )
    rules: tuple[Rule, ...] = tuple(
        Apart(name=f"g{number}", machines=Selector(f"group=g{number}")) for number in range(apart)
    )
    return FleetSnapshot(hosts=tuple(seen), machines=tuple(made), rules=rules)


def _shape(draw: random.Random) -> tuple[int, int]:
    (count,) = draw.choices(_CPUS, _SHARES)
    return count, count * draw.choice(_PER_CPU) * GIB


def _rounded(amount: float, step: int) -> int:
    return max(math.ceil(amount / step), 1) * step


class _Places:
    """Hosts by how hot they are, and what is left on each."""

    def __init__(self, hosts: Sequence[SeenHost], heat: Sequence[float], draw: random.Random) -> None:
        self._draw = draw
        self._sums = [0.0]
        for each in heat:
            self._sums.append(self._sums[-1] + each)
        self._memory = [host.memory_to_give for host in hosts]
        self._cpus = [host.cpus_to_give for host in hosts]

    def take(self, cpus: int, memory: int, others: set[int]) -> int:
        """Return the host of a machine: by heat, if one has room; else the emptiest.

        Raises:
            ValueError: No host has room; a fleet of these numbers can't be made.
        """
        count = len(self._memory)
        weights = self._sums
        for _ in range(1000):
            (host,) = self._draw.choices(range(count), cum_weights=weights[1:])
            if self._fits(host, cpus, memory, others):
                break
        else:
            fitting = [host for host in range(count) if self._fits(host, cpus, memory, others)]
            if not fitting:
                raise ValueError("the machines don't fit on the hosts: fewer machines, or a lower fill")
            host = max(fitting, key=lambda each: self._memory[each])
        self._memory[host] -= memory
        self._cpus[host] -= cpus
        return host

    def _fits(self, host: int, cpus: int, memory: int, others: set[int]) -> bool:
        return memory <= self._memory[host] and cpus <= self._cpus[host] and host not in others
