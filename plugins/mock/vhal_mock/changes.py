"""Sizes that change, and snapshots, of simulated machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vhal.driver.event import EventKind
from vhal.errors import AlreadyExists, InsufficientResources, NotFound
from vhal.spec.state import MachineState
from vhal_mock import power
from vhal_mock.boot import Boot
from vhal_mock.driver import SAVE_RATE

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.units import Bytes
    from vhal_mock.driver import MockDriver
    from vhal_mock.files import FileTree
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine


class MockResize:
    """New sizes on one host, as far as it has room."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def resize(self, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        """Give the machine that much, running or not."""
        host = self._driver.host
        with host.lock:
            self._driver.begin("resize", id, ctx)
            machine = self._driver.find(id, "resize")
            wanted = machine.cpus if cpus is None else cpus, machine.memory if memory is None else int(memory)
            check_room(host, machine, *wanted)
            host.resize(machine, *wanted)
            host.tell(EventKind.CHANGED, machine)
            self._driver.end("resize", id, ctx)


def check_room(host: SimHost, machine: SimMachine, cpus: int, memory: int, *, active: bool | None = None) -> None:
    """Return if the machine can have these sizes on its host.

    Raises:
        vhal.errors.InsufficientResources: It can't.
    """
    if memory > host.memory_limit or cpus > host.cpu_limit:
        from vhal.spec.units import Bytes

        raise InsufficientResources(
            f"host {host.name!r} has {host.cpu_limit} processors and {Bytes(host.memory_limit)} of memory in all",
            hint="choose a larger host, or less",
        )
    if machine.state.active if active is None else active:
        power.check_room(host, machine, cpus, memory)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot of one machine."""

    info: SnapshotInfo
    files: FileTree
    cpus: int
    memory: int


class MockSnapshots:
    """Snapshots of the machines of one host."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def snapshot(self, id: str, name: str, memory: bool, ctx: Context) -> SnapshotInfo:
        """Keep files and sizes; memory takes as long as it is large."""
        from vhal.spec.snapshot import SnapshotInfo

        host = self._driver.host
        with host.lock:
            self._driver.begin("snapshot", id, ctx)
            machine = self._driver.find(id, "snapshot")
            self._free(machine, name)
            shortage = host.disk_shortage(1) if host.trouble.disk_full else None
            if shortage:
                raise InsufficientResources(f"host {host.name!r} can't keep it: {shortage}", hint="make room there")
            if memory:
                self._driver.spend(machine.memory / SAVE_RATE, ctx)
            machine = self._driver.find(id, "snapshot")
            self._free(machine, name)
            host.visit("snapshot.after_data_before_record", machine.name, ctx)
            info = SnapshotInfo(name=name, memory=memory, created=host.world.clock.now_s)
            machine.snapshots[name] = Snapshot(info, machine.guest.files.copy(), machine.cpus, machine.memory)
            self._driver.end("snapshot", id, ctx)
            return info

    def snapshots(self, id: str) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""
        with self._driver.host.lock:
            self._driver.begin("snapshots", id)
            found = [kept.info for kept in self._driver.find(id).snapshots.values()]
            self._driver.end("snapshots", id)
            return found

    def revert(self, id: str, name: str, ctx: Context) -> None:
        """Give a stopped machine its files and sizes back; with memory it runs."""
        host = self._driver.host
        with host.lock:
            self._driver.begin("revert", id, ctx)
            machine = self._driver.find(id, "revert")
            kept = self._kept(machine, name)
            running = kept.info.memory
            check_room(host, machine, kept.cpus, kept.memory, active=running)
            if running:
                self._driver.spend(kept.memory / SAVE_RATE, ctx)
            machine = self._driver.find(id, "revert")
            kept = self._kept(machine, name)
            check_room(host, machine, kept.cpus, kept.memory, active=running)
            machine.guest.files.become(kept.files)
            host.resize(machine, kept.cpus, kept.memory)
            if running:
                machine.guest.restart()
                machine.boot = Boot(host.world.clock.now_s, 0.0)  # it had come up when it was kept
            host.turn(machine, MachineState.RUNNING if running else MachineState.STOPPED)
            host.tell(EventKind.CHANGED, machine)
            if running:
                host.tell(EventKind.RESTORED, machine)
            self._driver.end("revert", id, ctx)

    def delete_snapshot(self, id: str, name: str, ctx: Context) -> None:
        """Forget one."""
        with self._driver.host.lock:
            self._driver.begin("delete_snapshot", id, ctx)
            machine = self._driver.find(id)
            self._kept(machine, name)
            del machine.snapshots[name]
            self._driver.end("delete_snapshot", id, ctx)

    def _free(self, machine: SimMachine, name: str) -> None:
        if name in machine.snapshots:
            raise AlreadyExists(
                f"machine {machine.spec.name!r} has a snapshot {name!r}",
                hint="choose another name, or delete that one",
                machine=machine.spec.name,
            )

    def _kept(self, machine: SimMachine, name: str) -> Snapshot:
        kept = machine.snapshots.get(name)
        if kept is None:
            raise NotFound(
                f"machine {machine.spec.name!r} has no snapshot {name!r}",
                hint=f"it has {', '.join(machine.snapshots) or 'none'}",
                machine=machine.spec.name,
            )
        return kept
