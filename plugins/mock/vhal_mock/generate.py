"""Makes up a fleet: hosts of several kinds in racks, and machines of several sizes on them; the same for the same seed.

For trying automation on more than one can write down. The mix is made up, too: it is asymmetric on purpose, so that
what only works where all hosts are alike shows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from vhal.errors import InvalidSpec

T = TypeVar("T")

GIB = 1 << 30
RACK = 16
"""Hosts in a rack, which share its uplink."""
UPLINK = 5_000_000_000
"""Bytes a second: 40 Gbit/s."""
FILL = 0.7
"""What of a host's memory is given to machines at most."""

_BASE = ("sse4.2", "avx", "avx2")
_KINDS: Sequence[tuple[float, Mapping[str, Any]]] = (
    (
        0.45,
        {
            "cpus": 32,
            "memory": 128 * GIB,
            "bandwidth": 1_250_000_000,
            "cpu_model": "Skylake-Server",
            "cpu_features": [*_BASE, "avx512f"],
            "versions": {"qemu": "7.2.0"},
            "quirks": ["post-copy-parallel-loses"],
        },
    ),
    (
        0.35,
        {
            "cpus": 64,
            "memory": 256 * GIB,
            "bandwidth": 3_125_000_000,
            "numa": 2,
            "cpu_model": "EPYC-Milan",
            "cpu_features": list(_BASE),
            "versions": {"qemu": "8.2.0"},
            "quirks": ["post-copy-parallel-loses"],
        },
    ),
    (
        0.15,
        {
            "cpus": 96,
            "memory": 512 * GIB,
            "bandwidth": 12_500_000_000,
            "numa": 4,
            "cpu_model": "Sapphire-Rapids",
            "cpu_features": [*_BASE, "avx512f", "amx-tile"],
            "versions": {"qemu": "10.1.0"},
        },
    ),
    (
        0.05,
        {
            "cpus": 64,
            "memory": 1024 * GIB,
            "bandwidth": 12_500_000_000,
            "numa": 2,
            "cpu_model": "Sapphire-Rapids",
            "cpu_features": [*_BASE, "avx512f", "amx-tile"],
            "versions": {"qemu": "10.1.0"},
            "gpus": [{"model": "H100-80GB", "scheme": "mig", "count": 4}],
        },
    ),
)
"""Chance → a kind of host."""

_SIZES = ((0.4, (1, 2)), (0.3, (2, 4)), (0.2, (4, 16)), (0.1, (8, 32)))
"""Chance → processors and GiB of a machine."""


def generate(hosts: int, machines: int, seed: int = 0) -> dict[str, Any]:
    """Return the spec of a world, JSON-ready: what :meth:`vhal_mock.World.from_spec` takes.

    Args:
        hosts: How many.
        machines: How many, all running.
        seed: Of everything that is made up, and of the world.

    Raises:
        vhal.errors.InvalidSpec: The hosts have no room for so many machines, or a number is none.
    """
    if hosts < 1 or machines < 0:
        raise InvalidSpec(
            f"a fleet of {hosts} hosts and {machines} machines", hint="at least one host, no less than no machine"
        )
    chance = random.Random(f"fleet:{seed}")  # noqa: S311 - reproducible on purpose
    width = len(str(hosts))
    made = []
    for number in range(1, hosts + 1):
        kind = _pick(_KINDS, chance)
        made.append({"name": f"h{number:0{width}}", "domains": {"rack": f"r{(number - 1) // RACK + 1}"}, **kind})
    racks = dict.fromkeys(host["domains"]["rack"] for host in made)
    # A rack of one host, or the only one, has nobody to share its uplink with.
    links = [
        {"name": f"uplink-{rack}", "domain": {"rack": rack}, "bandwidth": UPLINK} for rack in racks if len(racks) > 1
    ]
    return {"seed": seed, "hosts": made, "links": links, "machines": _machines(made, machines, chance)}


def _machines(hosts: list[dict[str, Any]], count: int, chance: random.Random) -> list[dict[str, Any]]:
    """Return machines, each on a host that has room: one that chance says, or the next."""
    memory = [int(host["memory"] * FILL) for host in hosts]
    cpus = [host["cpus"] * 2 for host in hosts]
    width, found = len(str(count)), []
    for number in range(1, count + 1):
        wanted_cpus, gib = _pick(_SIZES, chance)
        first = int(chance.random() * len(hosts))
        for step in range(len(hosts)):
            place = (first + step) % len(hosts)
            if memory[place] >= gib * GIB and cpus[place] >= wanted_cpus:
                break
        else:
            raise InvalidSpec(
                f"{len(hosts)} hosts have room for {number - 1} machines, not for {count}",
                hint="more hosts, or fewer machines",
            )
        memory[place] -= gib * GIB
        cpus[place] -= wanted_cpus
        mock: dict[str, Any] = {
            "dirty_rate": int((1 + 63 * chance.random()) * (1 << 20)),
            "workload": _workload(chance),
        }
        spec = {"name": f"m{number:0{width}}", "cpus": wanted_cpus, "memory": gib * GIB, "options": {"mock": mock}}
        found.append({"host": hosts[place]["name"], "running": True, "spec": spec})
    return found


def _workload(chance: random.Random) -> dict[str, Any]:
    kind, low = chance.random(), round(0.02 + 0.2 * chance.random(), 3)
    high = round(low + (0.95 - low) * chance.random(), 3)
    if kind < 0.4:
        return {"profile": "constant", "level": low}
    if kind < 0.8:
        return {"profile": "periodic", "low": low, "high": high, "phase_s": round(86400 * chance.random())}
    return {"profile": "burst", "low": low, "high": high, "every_s": 3600, "length_s": 600, "jitter": 1.0}


def _pick(options: Sequence[tuple[float, T]], chance: random.Random) -> T:
    """Return one of the options, each with its chance."""
    left = chance.random()
    for share, option in options:
        left -= share
        if left < 0:
            return option
    return options[-1][1]
