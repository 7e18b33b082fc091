"""Moves a real guest to and fro between two hosts of the test bed, and keeps what QEMU said about each move."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import libvirt
from vhal_libvirt import LibvirtDriver

from tests.physics.cells import AREA, MEMORY, PAGE, Cell
from tests.physics.run import GIVE_UP_S, MOST_S, Run
from tests.testbed import Lab, TickCollector, TickGuest
from vhal.driver import MIGRATION, Context, HostUrl, MigrationPolicy, Progress, StopMode
from vhal.errors import OperationTimeout
from vhal.spec import Disk, MachineSpec, Serial

SETTLE_TICKS = 500
"""After a move, until what the source still has to tidy up is over."""
TICKS = 1500
"""That the guest's rate is measured over, before each move."""


class Shuttle:
    """One guest that goes to and fro."""

    def __init__(self, lab: Lab, pages: int, ticks: TickCollector) -> None:
        self._pages = pages
        self._ticks = ticks
        self._drivers = [LibvirtDriver.open(HostUrl.parse(host.url)) for host in lab.hosts]
        self._natives = [libvirt.open(host.native_uri) for host in lab.hosts]
        self._here = 0
        disk = lab.shared / f"physics-{pages}.img"
        TickGuest.image(disk, pages, AREA >> 20 if pages else 0)
        spec = MachineSpec(
            name=f"physics-{pages}",
            cpus=1,
            memory=MEMORY,
            disks=[Disk(path=str(disk), format="raw", bus="ide", shared=True)],
            serials=[Serial(socket=str(ticks.path))],
            options={"libvirt": {"accelerator": "tcg"}},
        )
        self._id = self._drivers[0].create(spec, Context()).id
        self._drivers[0].start(self._id, Context())
        # Until it has been everywhere in its area.
        ticks.wait_ticks(max(100, AREA // PAGE // pages if pages else 0), deadline=MOST_S)

    def close(self) -> None:
        """Remove the guest, wherever it is."""
        for driver in self._drivers:
            for machine in driver.machines():
                if machine.id == self._id:
                    driver.stop(machine.id, StopMode.FORCED, Context())
                    driver.delete(machine.id, Context())
            driver.close()
        for native in self._natives:
            native.close()

    def move(self, cell: Cell) -> Run:
        """Move it to the other host, or let it be where that doesn't end."""
        source, destination = self._drivers[self._here], self._drivers[1 - self._here]
        policy = MigrationPolicy(
            bandwidth=None if cell.bandwidth is None else f"{cell.bandwidth}MiB",
            auto_converge=cell.auto_converge,
            post_copy=cell.post_copy,
            parallel=cell.parallel,
            max_downtime_s=cell.max_downtime_s,
        )
        dom = self._natives[self._here].lookupByUUIDString(self._id)
        seen = [0]

        def look(progress: Progress) -> None:
            try:
                stats = dom.jobStats()
            except libvirt.libvirtError:
                return  # it has just arrived
            seen.append(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 0))

        load, before = os.getloadavg()[0], self._tick_rate()
        giving, taking = source.provides(MIGRATION), destination.provides(MIGRATION)
        assert giving is not None
        assert taking is not None
        offer = giving.offer(self._id, policy)
        ticket = taking.prepare(offer, policy, Context())
        ticked, begun = self._ticks.ticks, time.monotonic()
        try:
            sent = giving.transfer(offer, ticket, policy, Context(MOST_S if cell.ends else GIVE_UP_S, on_progress=look))
        except OperationTimeout:
            taking.cancel(ticket, Context())
            giving.resume(offer, Context())
            sent = None
        during = (self._ticks.ticks - ticked) / (time.monotonic() - begun)
        if sent is not None:
            taking.commit(ticket, Context())
            giving.release(offer, Context())
            self._here = 1 - self._here
            self._ticks.wait_ticks(SETTLE_TICKS)
        return Run(
            cell=cell,
            load=load,
            dirty_rate=round(before * self._pages * PAGE),
            dirty_rate_during=round(during * self._pages * PAGE),
            dirty_rate_engine=max(seen) * PAGE,
            complete=sent is not None,
            total_s=(sent.elapsed_s if sent else None) or GIVE_UP_S,
            setup_s=(sent.setup_s if sent else None) or 0.0,
            downtime_s=(sent.downtime_s if sent else None) or 0.0,
            sent=int(sent.transferred) if sent else 0,
            iterations=sent.iterations if sent else 0,
        )

    def _tick_rate(self) -> float:
        ticked, begun = self._ticks.ticks, time.monotonic()
        self._ticks.wait_ticks(TICKS, deadline=MOST_S)
        return (self._ticks.ticks - ticked) / (time.monotonic() - begun)


@contextmanager
def shuttle(lab: Lab, pages: int) -> Iterator[Shuttle]:
    """Have a guest that writes to so many pages a tick, on the lab's first host at first."""
    with TickCollector(lab.shared / f"physics-{pages}.sock") as ticks:
        one = Shuttle(lab, pages, ticks)
        try:
            yield one
        finally:
            one.close()


def measure(cells: Iterable[Cell]) -> Iterator[Run]:
    """Move each cell's guest as often as it says, and yield what came of it.

    One guest runs at a time. Its cells take turns, so that what else this machine does hits all of them alike.
    """
    wanted = list(cells)
    with Lab(hosts=2) as lab:
        for pages in dict.fromkeys(cell.pages for cell in wanted):
            mine = [cell for cell in wanted if cell.pages == pages]
            with ExitStack() as stack:
                guest = stack.enter_context(shuttle(lab, pages))
                for turn in range(max(cell.runs for cell in mine)):
                    for cell in mine:
                        if turn < cell.runs:
                            yield guest.move(cell)
