"""The driver: one libvirt host behind vhal's contract.

It holds what belongs together (the connection, the host's facts, the list of machines) and hands each call to the file
of its noun. Errors of libvirt leave it as they are; :meth:`LibvirtDriver.translate` says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import libvirt

from vhal.driver import (
    CREATE,
    MIGRATION,
    YES,
    Answer,
    Capability,
    ConsoleStream,
    Context,
    Driver,
    Event,
    HostUrl,
    Level,
    Migration,
    StopMode,
)
from vhal.errors import NotFound, VhalError
from vhal.spec import Bytes, HostInfo, MachineInfo, MachineSpec, Usage
from vhal_libvirt import accelerator, creation, host_report, metrics, power, requirements, resizing, saving, translation
from vhal_libvirt.abilities import machine_answer
from vhal_libvirt.address import libvirt_uri
from vhal_libvirt.connection import Connection, Notice
from vhal_libvirt.console import Console
from vhal_libvirt.events import EventMapping
from vhal_libvirt.host_facts import Facts
from vhal_libvirt.inventory import Inventory
from vhal_libvirt.migration import LibvirtMigration
from vhal_libvirt.readiness import ready

T = TypeVar("T")


class LibvirtDriver(Driver):
    """One host, as its libvirtd offers it. Made by :meth:`open`."""

    backend: ClassVar[str] = "libvirt"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            "create",
            "power",
            "pause",
            "reboot",
            "save",
            "readiness",
            "console",
            "events",
            "migration",
            "resize",
            "metrics",
        }
    )

    def __init__(self, url: HostUrl, connection: Connection) -> None:
        self._connection = connection
        self._facts = Facts()
        self._inventory = Inventory()
        self._saving: set[str] = set()
        self.host_id = ""
        self._connection.listen(self._notice)
        conn = connection.get()
        facts = self._facts.host(conn)
        self._simulated = facts.simulated
        self._name = conn.getHostname()
        self.host_id = facts.uuid
        self._migration = LibvirtMigration(url, self._connection, self._facts, self._inventory)

    @classmethod
    def open(cls, url: HostUrl) -> LibvirtDriver:
        """Return a driver for a URL that was checked against :data:`vhal_libvirt.address.TRANSPORTS`.

        Raises:
            vhal.errors.InvalidUrl: Its parts don't fit each other.
            vhal.errors.HostUnreachable: The daemon doesn't answer.
            libvirt.libvirtError: The daemon refuses; :meth:`translate` says what that means.
        """
        connection = Connection(libvirt_uri(url))
        try:
            return cls(url, connection)
        except BaseException:
            connection.close()
            raise

    def describe(self) -> HostInfo:
        conn = self._connection.get()
        return host_report.describe(
            conn, self._name, self._facts.host(conn), self._inventory.machines(conn, fresh=True)
        )

    def machines(self) -> list[MachineInfo]:
        return self._inventory.machines(self._connection.get())

    def inspect(self, ref: str) -> MachineInfo:
        return self._inventory.inspect(self._find(ref))

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        return creation.create(self._connection.get(), self._facts, self._inventory, spec, ctx)

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        dom = self._machine(id)
        creation.delete(self._connection.get(), dom, simulated=self._simulated, keep_disks=keep_disks)
        self._inventory.forget(id)

    def start(self, id: str, ctx: Context) -> None:
        power.start(self._machine(id))

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        dom = self._machine(id)
        if mode is StopMode.FORCED:
            power.power_off(dom)
        else:
            power.shut_down(self._connection, dom, ctx, simulated=self._simulated)

    def pause(self, id: str, ctx: Context) -> None:
        """Running → paused."""
        self._machine(id).suspend()

    def resume(self, id: str, ctx: Context) -> None:
        """Paused → running."""
        self._machine(id).resume()

    def reboot(self, id: str, ctx: Context) -> None:
        """Ask the guest to restart; returns when it was asked."""
        power.restart(self._machine(id), simulated=self._simulated)

    def save(self, id: str, ctx: Context) -> None:
        """Running or paused → saved. A failure leaves the machine as it was."""
        dom = self._connection.apart(self._machine(id))
        self._saving.add(id)
        try:
            saving.save(dom, ctx)
        finally:
            self._saving.discard(id)

    def restore(self, id: str, ctx: Context) -> None:
        """Saved → running; the saved memory is used up."""
        saving.restore(self._connection.apart(self._machine(id)))

    def ready(self, id: str) -> bool:
        """Return whether the guest has its agent's channel open. Never waits."""
        return ready(self._machine(id))

    def console(self, id: str) -> ConsoleStream:
        """Return a new stream of the first serial line from now on."""
        return Console(self._connection, self._machine(id))

    def resize(self, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        """Give the machine that much; see :mod:`vhal_libvirt.resizing`."""
        try:
            resizing.resize(self._connection.get(), self._machine(id), cpus, memory, ctx)
        finally:
            self._inventory.forget(id)

    def usage(self) -> Mapping[str, Usage]:
        """Return what every active machine uses, in one round trip."""
        return metrics.usage(self._connection.get())

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event, from libvirt's thread, until the returned function is called."""
        paused = self._connection.get().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED)
        mapping = EventMapping(self._name, (dom.UUIDString() for dom in paused), self._saving)

        def tell(notice: Notice) -> None:
            for event in mapping.events(notice):
                listener(event)

        return self._connection.listen(tell)

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if self.provides(capability) is None:
            what = "libvirt's test driver" if self._simulated else "this backend"
            return Answer.no("not-provided", f"{what} can't {capability.summary}", "use another host", Level.BACKEND)
        if capability.id == CREATE.id and isinstance(subject, MachineSpec):
            return Answer.of(requirements.examine(self._connection.get(), self._facts, subject).blockers)
        if isinstance(subject, MachineInfo) and not self._simulated:
            return machine_answer(capability, self._machine(subject.id))
        return YES

    def provides(self, capability: Capability[T]) -> T | None:
        if capability.id not in self.capabilities or (self._simulated and capability.id in _ONLY_REAL):
            return None
        if capability.id == MIGRATION.id:
            migration: Migration = self._migration
            return migration  # type: ignore[return-value]
        return self  # type: ignore[return-value]

    def translate(self, error: Exception) -> VhalError | None:
        return translation.translate(error)

    def close(self) -> None:
        self._connection.close()

    def _notice(self, notice: Notice) -> None:
        self._inventory.notice(notice)
        if notice.topic == "closed":
            self._facts.forget()
            accelerator.forget(self.host_id)

    def _machine(self, id: str) -> libvirt.virDomain:
        return self._connection.get().lookupByUUIDString(id)

    def _find(self, ref: str) -> libvirt.virDomain:
        conn = self._connection.get()
        for look_up in (conn.lookupByUUIDString, conn.lookupByName):
            dom = _looked_up(look_up, ref)
            if dom is not None:
                return dom
        raise NotFound(
            f"there is no machine {ref!r} on {self._name}",
            hint="machines() lists what is there",
            backend="libvirt",
            machine=ref,
        )


def _looked_up(look_up: Callable[[str], libvirt.virDomain], ref: str) -> libvirt.virDomain | None:
    """Return what ``look_up`` finds, or None for nothing.

    libvirt keeps a thread's last error until the next call, and freeing an object is one: where Python collects garbage
    between a failure and the question what it was, nobody knows. Then it is looked once more.
    """
    for again in (True, False):
        try:
            return look_up(ref)
        except libvirt.libvirtError as error:
            code = error.get_error_code()
            if code in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
                return None
            if code is not None or not again:
                raise
    raise AssertionError("the second look returns or raises")


_ONLY_REAL = frozenset({"readiness", "console", "migration", "metrics"})
"""What libvirt's test driver doesn't have."""
