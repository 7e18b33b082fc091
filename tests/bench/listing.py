"""Listing a thousand machines of libvirt's test driver, against Apache Libcloud and against the bare call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt
from libcloud.compute.drivers.libvirt_driver import LibvirtNodeDriver

import vhal
from tests.bench.measure import Ratio, compare, timed
from tests.bench.simulator import COUNT, DOMAIN


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons. The test driver's machines live in the process, and both sides see the same ones."""
    connection = libvirt.open("test:///default")
    for number in range(COUNT):
        connection.defineXML(DOMAIN.format(number)).create()
    driver: Any = LibvirtNodeDriver
    libcloud = driver("test:///default")
    with vhal.connect("libvirt+test:///default") as host:
        first = timed(host.machines)
        assert len(host.machines()) == len(connection.getAllDomainStats()) == len(libcloud.list_nodes())
        note = f"the first listing, which reads each machine's metadata once, took {first * 1000:.0f} ms"
        yield compare(
            f"host.machines() of {COUNT} / Libcloud's list_nodes()",
            lambda: timed(host.machines),
            lambda: timed(libcloud.list_nodes),
            limit=1 / 50,
            note=note,
        )
        yield compare(
            f"host.machines() of {COUNT} / bare getAllDomainStats()",
            lambda: timed(host.machines),
            lambda: timed(connection.getAllDomainStats),
            limit=2.0,
            runs=25,
        )
    connection.close()
