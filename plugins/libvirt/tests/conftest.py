"""Drivers to test with: libvirt's own test driver, and two real hosts with a guest that counts."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libvirt
import pytest
from vhal_libvirt import LibvirtDriver

from tests.testbed import CounterGuest, Lab, kernel_cmdline, wait_until
from vhal.driver import MIGRATION, Context, HostUrl, Migration, MigrationPolicy, StopMode, Transfer
from vhal.errors import VhalError
from vhal.spec import BootKernel, Disk, MachineInfo, MachineSpec

BOOT_S = 120.0

_numbers = itertools.count(1)


def open_driver(url: str) -> LibvirtDriver:
    return LibvirtDriver.open(HostUrl.parse(url))


def migration(driver: LibvirtDriver) -> Migration:
    provided = driver.provides(MIGRATION)
    assert provided is not None
    return provided


@dataclass
class Console:
    """What a counter guest says, from the moment this was opened."""

    driver: LibvirtDriver
    id: str

    def __post_init__(self) -> None:
        self.stream = self.driver.console(self.id)
        self.heard = b""

    def counts(self) -> list[int]:
        return [int(number) for number in re.findall(rb"count (\d+)\r", self.heard)]

    def listen_for(self, more: int = 2) -> int:
        """Wait for that many more counts and return the last one."""
        before = len(self.counts())

        def enough() -> bool:
            self.heard += self.stream.read(0.5)
            return len(self.counts()) >= before + more

        wait_until(enough, deadline=BOOT_S, what="counts on the console")
        return self.counts()[-1]

    def close(self) -> None:
        self.stream.close()


@dataclass
class World:
    """Two real hosts and what is needed to make machines on them."""

    lab: Lab
    a: LibvirtDriver
    b: LibvirtDriver
    guest: CounterGuest

    def spec(
        self,
        name: str | None = None,
        *,
        extra: str = "",
        dirty_mib: int = 0,
        dirty_mib_s: int = 0,
        disks: tuple[Disk, ...] = (),
    ) -> MachineSpec:
        cmdline = kernel_cmdline(extra=extra, dirty_mib=dirty_mib, dirty_mib_s=dirty_mib_s)
        return MachineSpec(
            name=name or f"m{next(_numbers)}",
            memory="128MiB",
            boot=BootKernel(kernel=str(self.guest.kernel), initrd=str(self.guest.initrd), cmdline=cmdline),
            disks=disks,
        )

    def disk(self, name: str, format: str = "qcow2", **fields: object) -> Disk:
        path = self.lab.shared / name
        subprocess.run(["qemu-img", "create", "-q", "-f", format, str(path), "16M"], check=True)
        return Disk(path=str(path), format=format, **{"shared": True, **fields})  # type: ignore[arg-type]

    def console(self, driver: LibvirtDriver, id: str) -> Console:
        return Console(driver, id)

    def running(self, spec: MachineSpec | None = None, driver: LibvirtDriver | None = None) -> MachineInfo:
        """Return a machine that has counted."""
        driver = driver or self.a
        machine = driver.create(spec or self.spec(), Context())
        driver.start(machine.id, Context())
        console = self.console(driver, machine.id)
        console.listen_for(2)
        console.close()
        return driver.inspect(machine.id)

    def clear(self) -> None:
        # First all are ended: one that waits for its other half can't be removed before that is gone.
        for driver in (self.a, self.b):
            for machine in driver.machines():
                with contextlib.suppress(VhalError, libvirt.libvirtError):
                    driver.stop(machine.id, StopMode.FORCED, Context())
        for driver in (self.a, self.b):
            for machine in driver.machines():
                driver.delete(machine.id, Context())

    def move(
        self,
        source: LibvirtDriver,
        destination: LibvirtDriver,
        id: str,
        policy: MigrationPolicy | None = None,
        ctx: Context | None = None,
    ) -> Transfer:
        """Take the steps in their order, without any of the core's care."""
        policy = policy or MigrationPolicy()
        giving, taking = migration(source), migration(destination)
        offer = giving.offer(id, policy)
        answer = taking.examine(offer, policy)
        assert answer, answer
        ticket = taking.prepare(offer, policy, Context())
        sent = giving.transfer(offer, ticket, policy, ctx or Context(120))
        arrived = taking.commit(ticket, Context())
        assert (arrived.id, arrived.state) == (id, offer.state)
        giving.release(offer, Context())
        assert id not in {machine.id for machine in source.machines()}
        return sent


@pytest.fixture
def simulated() -> Iterator[LibvirtDriver]:
    """libvirt's test driver, as it is when it is new.

    It lasts until its last connection is let go, and libvirt's event thread holds one a little longer than a test does.
    So a test that comes right after finds what the one before left, unless it is removed.
    """
    driver = open_driver("libvirt+test:///default")
    conn = libvirt.open("test:///default")
    before = {thing.name() for thing in (*conn.listAllDomains(), *conn.listAllStoragePools())}
    yield driver
    for domain in conn.listAllDomains():
        if domain.isActive() and domain.name() not in before:
            domain.destroy()
        if domain.name() not in before:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    for pool in conn.listAllStoragePools():
        for volume in pool.listAllVolumes() if pool.isActive() else ():
            volume.delete(0)
        if pool.name() not in before:
            if pool.isActive():
                pool.destroy()
            pool.undefine()
    conn.close()
    driver.close()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="session")
def counter_guest() -> CounterGuest:
    return CounterGuest.build()


@pytest.fixture
def world(lab: Lab, counter_guest: CounterGuest) -> Iterator[World]:
    first, second = (open_driver(host.url) for host in lab.hosts)
    world = World(lab, first, second, counter_guest)
    yield world
    world.clear()
    first.close()
    second.close()


@pytest.fixture
def events_of() -> Iterator[Callable[[LibvirtDriver], list[tuple[str, str]]]]:
    """Return a list that grows with what a driver tells: kind and machine's name."""
    cancels = []

    def subscribe(driver: LibvirtDriver) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        cancels.append(driver.subscribe(lambda event: seen.append((str(event.kind), event.machine))))
        return seen

    yield subscribe
    for cancel in cancels:
        cancel()
