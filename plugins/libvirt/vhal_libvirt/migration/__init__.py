"""Moving machines between two libvirt hosts: the five steps of :class:`vhal.driver.Migration`.

libvirt moves a machine in one call, so ``transfer`` does most of it; the other steps look first and look again
afterwards. What travels with the offer and the ticket is in :mod:`vhal_libvirt.migration.cargo`, what stands against
a migration in :mod:`~vhal_libvirt.migration.preflight`, the call itself in :mod:`~vhal_libvirt.migration.transfer`,
and how an end is recognised and undone in :mod:`~vhal_libvirt.migration.ending`.
"""

from __future__ import annotations

import libvirt

from vhal.driver import Answer, Context, HostUrl, MigrationPolicy, Offer, Ticket, Transfer
from vhal.spec import FrozenDict, MachineInfo, MachineState
from vhal_libvirt.connection import Connection, Notice
from vhal_libvirt.host_facts import Facts
from vhal_libvirt.inventory import Inventory
from vhal_libvirt.migration import ending, nvram, preflight, transfer
from vhal_libvirt.migration.cargo import Cargo, Place, load
from vhal_libvirt.migration.route import data_socket, is_local, remove_socket
from vhal_libvirt.options import LibvirtMigrationOptions


class LibvirtMigration:
    """Both sides of a migration, for one host.

    Args:
        url: The host's URL, which the other side may need.
    """

    def __init__(self, url: HostUrl, connection: Connection, facts: Facts, inventory: Inventory) -> None:
        self._url = url
        self._connection = connection
        self._facts = facts
        self._inventory = inventory

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Return what would move, as it is now.

        Raises:
            vhal.errors.InvalidState: It neither runs, nor is paused, nor is stopped.
        """
        conn = self._connection.get()
        dom = conn.lookupByUUIDString(id)
        machine = self._inventory.inspect(dom)
        cargo = load(conn, dom, machine, local=is_local(self._url))
        return Offer(
            backend="libvirt",
            host_uuid=self._facts.host(conn).uuid,
            machine=machine,
            state=machine.state,
            payload=FrozenDict(cargo.model_dump(mode="json")),
        )

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Return whether this host would take it."""
        conn = self._connection.get()
        return Answer.of(preflight.blockers(conn, self._facts, self._inventory, self._url, offer, policy))

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Return how the source reaches this host. libvirt itself holds the place when the transfer begins.

        Raises:
            vhal.errors.AlreadyExists: The name or the id was taken since the examination.
        """
        conn = self._connection.get()
        taken = Answer.of(preflight.taken(conn, offer.machine))
        if not taken:
            raise taken.error(backend="libvirt", machine=offer.machine.name)
        cargo = Cargo.of(offer)
        options = policy.options_for("libvirt", LibvirtMigrationOptions)
        if offer.state is MachineState.STOPPED:
            self._await(offer.machine.id, offer.machine.name, True)
        place = Place(
            url=str(self._url),
            host=conn.getHostname(),
            socket=data_socket(self._url, cargo, options, offer.machine.id),
            epoch=cargo.epoch + 1,
            strict=options.strict,
            nvram=nvram.absent(conn, cargo.nvram) if offer.state is not MachineState.STOPPED else None,
        )
        return Ticket(
            host_uuid=self._facts.host(conn).uuid,
            machine_id=offer.machine.id,
            state=offer.state,
            payload=FrozenDict(place.model_dump(mode="json")),
        )

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Send it."""
        dom = self._connection.apart(self._domain(offer.machine.id))
        return transfer.Sending(self._connection, dom, offer, ticket, policy).run(ctx)

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Take it over, in the state it was offered in."""
        dom = ending.find(self._connection.get(), ticket.machine_id)
        return self._inventory.inspect(ending.commit(dom, ticket))

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Leave nothing of it here. Never touches a machine that isn't the ticket's, or that runs."""
        conn = self._connection.get()
        self._await(ticket.machine_id, "", False)
        dom = ending.find(conn, ticket.machine_id)
        if dom is not None:
            with ending.gone_is_done():
                ending.cancel(dom, ticket)
            self._inventory.forget(ticket.machine_id)
        nvram.remove(conn, Place.of(ticket).nvram)
        remove_socket(self._url, ticket.machine_id)

    def release(self, offer: Offer, ctx: Context) -> None:
        """Leave nothing of it here, except its disks."""
        dom = ending.find(self._connection.get(), offer.machine.id)
        if dom is not None:
            with ending.gone_is_done():
                ending.release(dom, offer)
        self._inventory.forget(offer.machine.id)
        if offer.state is MachineState.STOPPED:
            # Of a machine that moves without running, libvirt says nothing at the source.
            event, detail = libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED
            self._connection.tell(Notice("lifecycle", offer.machine.id, offer.machine.name, event, detail))

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Bring it back to the state it was offered in."""
        ending.resume(self._domain(offer.machine.id), offer)

    def _await(self, id: str, name: str, awaited: bool) -> None:
        """Have the events told right: libvirt says of one that comes without running that it was made."""
        self._connection.tell(Notice("awaited", id, name, int(awaited)))

    def _domain(self, id: str) -> libvirt.virDomain:
        return self._connection.get().lookupByUUIDString(id)
