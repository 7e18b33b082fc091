"""The mock against libvirt's own test driver, which also keeps its machines in memory only."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
from vhal_mock import World

import vhal
from tests.bench.measure import Ratio, compare, timed

COUNT = 1000
DOMAIN = (
    "<domain type='test'><name>m{}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
    "<os><type arch='i686'>hvm</type></os></domain>"
)


def simulated() -> float:
    """Create and start the machines on the mock."""
    world = World.from_spec({"hosts": [{"name": "big", "cpus": 4096, "memory": "64TiB"}]})

    def fill(host: vhal.Host) -> None:
        for number in range(COUNT):
            host.create(vhal.MachineSpec(name=f"m{number}", cpus=1, memory="64MiB")).start()

    with vhal.connect(world.url()) as host:
        return timed(lambda: fill(host))


def in_test_driver() -> float:
    """Define and start as many domains in the test driver."""

    def fill(connection: libvirt.virConnect) -> None:
        for number in range(COUNT):
            connection.defineXML(DOMAIN.format(number)).create()

    connection = libvirt.open("test:///default")
    try:
        return timed(lambda: fill(connection))
    finally:
        for domain in connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            if domain.name() != "test":
                domain.undefine()
        connection.close()


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons."""
    yield compare(
        f"{COUNT} mock machines created and started / {COUNT} test:/// domains",
        simulated,
        in_test_driver,
        limit=0.25,
    )
