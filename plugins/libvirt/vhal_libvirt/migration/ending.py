"""How a migration ended, by looking at the machine, and bringing either host to one of the two good ends.

Every call may be repeated, and each looks before it acts. Nothing here destroys a machine that runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import libvirt

from vhal.driver import Offer, Ticket
from vhal.errors import InvalidState, MigrationFailed, MigrationInDoubt
from vhal.spec import MachineState
from vhal_libvirt.inventory import read_record
from vhal_libvirt.migration.cargo import Cargo, Place
from vhal_libvirt.power import power_off
from vhal_libvirt.state import machine_state

_RUNS = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED)
_POST_COPY = {
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED),
}
"""The machine's memory is on both hosts, some here and some there, and it needs both."""
_LOST = (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED)

_LEAVE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    # The firmware's variables may lie where the other host uses them.
    | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
)


def find(conn: libvirt.virConnect, id: str) -> libvirt.virDomain | None:
    """Return the machine, or None if the host hasn't got it."""
    try:
        return conn.lookupByUUIDString(id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def commit(dom: libvirt.virDomain | None, ticket: Ticket) -> libvirt.virDomain:
    """Return the destination's machine if it is there as it was offered, and let it go on if it was to wait for that.

    Raises:
        vhal.errors.MigrationFailed: It isn't there.
        vhal.errors.MigrationInDoubt: It is there, but not as it should be.
    """
    if dom is None:
        raise MigrationFailed(
            "the destination hasn't got the machine", hint="it is on the source; look there", backend="libvirt"
        )
    place = Place.of(ticket)
    state, reason = dom.state()
    _check_whole(dom, state, reason)
    if ticket.state is MachineState.RUNNING and place.strict and state == libvirt.VIR_DOMAIN_PAUSED:
        dom.resume()
        state, reason = dom.state()
    if not _as_offered(ticket.state, state, reason, strict=place.strict):
        raise MigrationInDoubt(
            f"the destination's machine is {machine_state(state, reason)}, but it was offered {ticket.state}",
            hint="look at both hosts before starting or deleting anything",
            backend="libvirt",
            machine=dom.name(),
        )
    return dom


def _as_offered(offered: MachineState, state: int, reason: int, *, strict: bool) -> bool:
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        # A guest may have turned itself off since; it did that here.
        return reason not in _LOST
    if offered is MachineState.RUNNING:
        return state in _RUNS
    if offered is MachineState.PAUSED and state == libvirt.VIR_DOMAIN_PAUSED:
        return strict or machine_state(state, reason) is MachineState.PAUSED
    return False


def cancel(dom: libvirt.virDomain, ticket: Ticket) -> None:
    """Remove what the ticket's machine left at the destination.

    Raises:
        vhal.errors.InvalidState: The machine runs here; it isn't touched.
        vhal.errors.MigrationInDoubt: Its memory is on both hosts; it isn't touched.
    """
    if read_record(dom).epoch != Place.of(ticket).epoch:
        return  # another life of the machine, which this migration didn't bring
    state, reason = dom.state()
    _check_whole(dom, state, reason)
    if state in _RUNS:
        raise InvalidState(
            "the machine runs at the destination and is left alone",
            hint="commit the migration, or stop the machine there first",
            backend="libvirt",
            machine=dom.name(),
        )
    _remove(dom)


def release(dom: libvirt.virDomain, offer: Offer) -> None:
    """Remove what is left of the machine at the source, but none of its disks.

    Raises:
        vhal.errors.MigrationInDoubt: It never left, or not yet all of its memory; it isn't touched.
    """
    if read_record(dom).epoch != Cargo.of(offer).epoch:
        return  # it has come back since
    state, reason = dom.state()
    _check_whole(dom, state, reason)
    # What was offered running and was sent stands still for that reason; standing still for another one, it never left.
    halted = state == libvirt.VIR_DOMAIN_PAUSED
    never_left = offer.state is MachineState.RUNNING and halted and reason != libvirt.VIR_DOMAIN_PAUSED_MIGRATION
    if state in _RUNS or never_left:
        raise MigrationInDoubt(
            "the machine is still on the source",
            hint="look at both hosts; stop the older copy, the one with the lower epoch",
            backend="libvirt",
            machine=dom.name(),
        )
    _remove(dom)


def resume(dom: libvirt.virDomain, offer: Offer) -> None:
    """Let a machine that the transfer halted go on. Does nothing to one that goes on already.

    Raises:
        vhal.errors.MigrationInDoubt: It has gone on at the destination since; it isn't touched.
    """
    state, reason = dom.state()
    _check_whole(dom, state, reason)
    sent = (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
    if offer.state is MachineState.RUNNING and sent:
        dom.resume()


def _check_whole(dom: libvirt.virDomain, state: int, reason: int) -> None:
    """Return if the machine isn't in the middle of a post-copy, under way or broken off.

    Raises:
        vhal.errors.MigrationInDoubt: It is: neither of the two copies may be removed, or started again.
    """
    if (state, reason) in _POST_COPY:
        raise broken_off(dom)


def broken_off(dom: libvirt.virDomain) -> MigrationInDoubt:
    """Return the error for a machine in the middle of a post-copy."""
    return MigrationInDoubt(
        "the machine was switched to the destination, but some of its memory is still on the source only",
        hint="touch neither copy; if the post-copy broke off, recover it: virsh migrate --postcopy-resume",
        backend="libvirt",
        machine=dom.name(),
    )


def _remove(dom: libvirt.virDomain) -> None:
    persistent = dom.isPersistent()
    power_off(dom)  # it may end by itself this very moment
    if persistent:
        dom.undefineFlags(_LEAVE)


@contextlib.contextmanager
def gone_is_done() -> Iterator[None]:
    """Take it for done if the machine vanishes in between: libvirt tidies up after a migration, too."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
