"""The mock against others that keep machines in memory only (libvirt's test driver, moto), and against itself, larger.

A day of a fleet and the memory of a machine have no peer: they are compared with what they may take at most.
"""

from __future__ import annotations

import contextlib
import statistics
import tracemalloc
import uuid
from collections.abc import Callable, Iterator

import libvirt
from vhal_mock import World

import vhal
from tests.bench.day import STEPS, Day
from tests.bench.measure import Ratio, compare, timed

COUNT = 1000
HOSTS, MACHINES = 2000, 100_000
BYTES = 3 << 10
DAY_S = 60.0
TEST_URL = "libvirt+test:///default"
DOMAIN = (
    "<domain type='test'><name>m{}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
    "<os><type arch='i686'>hvm</type></os></domain>"
)


def spec(number: int) -> vhal.MachineSpec:
    """Return a small machine."""
    return vhal.MachineSpec(name=f"m{number}", cpus=1, memory="64MiB")


def simulated() -> float:
    """Create and start the machines on the mock."""
    world = World.from_spec({"hosts": [{"name": "big", "cpus": 4096, "memory": "64TiB"}]})

    def fill(host: vhal.Host) -> None:
        for number in range(COUNT):
            host.create(spec(number)).start()

    with vhal.connect(world.url()) as host:
        return timed(lambda: fill(host))


def populated() -> float:
    """Create and start as many by a world's spec."""
    machines = {"host": "big", "running": True, "count": COUNT, "spec": {"name": "m", "cpus": 1, "memory": "64MiB"}}
    table = {"hosts": [{"name": "big", "cpus": 4096, "memory": "64TiB"}], "machines": [machines]}
    return timed(lambda: World.from_spec(table))


def same_machine() -> float:
    """Define and start the same machines in the test driver, by its library: with the devices of such a machine."""
    with vhal.connect(TEST_URL) as host:
        made = host.create(spec(0))
        with contextlib.closing(libvirt.open("test:///default")) as connection:
            document = connection.lookupByUUIDString(made.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        made.delete()
    return in_test_driver(lambda number: document.replace(">m0<", f">m{number}<").replace(made.id, str(uuid.uuid4())))


def smallest_domain() -> float:
    """Define and start the least that the test driver takes for a machine: no disk, no console, no description."""
    return in_test_driver(DOMAIN.format)


def in_test_driver(document: Callable[[int], str]) -> float:
    """Define and start as many domains in the test driver."""

    def fill(connection: libvirt.virConnect) -> None:
        for number in range(COUNT):
            connection.defineXML(document(number)).create()

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


def in_moto() -> float:
    """Run as many instances in moto's EC2, one by one."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("ec2", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106
        (image,) = client.describe_images(MaxResults=1)["Images"][:1]

        def fill() -> None:
            for _ in range(COUNT):
                client.run_instances(ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType="t3.nano")

        return timed(fill)


def many() -> Iterator[Ratio]:
    """Fill many hosts, and compare what the machines cost with what the first thousand did; then their memory."""
    world = World.from_spec({"hosts": [{"name": "h", "count": HOSTS, "cpus": 64, "memory": "1TiB"}]})
    hosts = [vhal.connect(world.url(name)) for name in world.hosts]
    simulated()  # so that the first thousand aren't the first of all

    def fill(first: int) -> None:
        for number in range(first, first + COUNT):
            hosts[number % HOSTS].create(spec(number)).start()

    times = [timed(lambda first=first: fill(first)) for first in range(0, MACHINES, COUNT)]  # type: ignore[misc]
    each = statistics.mean(times)
    yield Ratio(
        f"one of {MACHINES:,} machines on {HOSTS:,} hosts / one of the first {COUNT:,}",
        each / COUNT,
        times[0] / COUNT,
        each / times[0],
        1.3,
        len(times),
        "mean of all",
    )
    for host in hosts:
        host.close()


def memory() -> Ratio:
    """Return what a machine takes of memory, by what it may: bytes, not seconds."""
    world = World.from_spec({"hosts": [{"name": "h", "count": HOSTS, "cpus": 64, "memory": "1TiB"}]})
    hosts = [vhal.connect(world.url(name)) for name in world.hosts]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(MACHINES // 4):
            hosts[number % HOSTS].create(spec(number)).start()
        each = (tracemalloc.get_traced_memory()[0] - before) / (MACHINES // 4)
    finally:
        tracemalloc.stop()
        for host in hosts:
            host.close()
    return Ratio(
        f"memory of one of {MACHINES // 4:,} machines / 3 KiB",
        each / 1000,
        BYTES / 1000,
        each / BYTES,
        1.0,
        1,
        "bytes, not milliseconds: with its spec, its entries in the log, its place in every table",
    )


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons."""
    yield compare(
        f"{COUNT} mock machines created and started / the same with test:/// by libvirt's own library",
        simulated,
        same_machine,
        limit=0.05,
        runs=5,
        note="domains with the devices that such a machine has",
    )
    yield compare(
        f"a world with {COUNT} running machines / {COUNT} of the smallest domains of test:///",
        populated,
        smallest_domain,
        limit=0.05,
    )
    yield compare(
        f"{COUNT} mock machines created and started one by one / {COUNT} of the smallest domains of test:///",
        simulated,
        smallest_domain,
        limit=0.05,
        note="domains without a disk or a console, by libvirt's own library: less than a machine",
    )
    yield compare(
        f"{COUNT} mock machines created and started / {COUNT} moto instances run",
        simulated,
        in_moto,
        limit=0.005,
        runs=5,
    )
    yield from many()
    yield memory()
    day = Day(hosts=1000, machines=10_000)
    took_s = timed(day.run)
    yield Ratio(
        f"a day of 1,000 hosts, 10,000 machines with traces, {STEPS} samples / {DAY_S:g} s",
        took_s,
        DAY_S,
        took_s / DAY_S,
        1.0,
        1,
    )
