"""The call that sends a machine, watched from outside.

libvirt's return isn't trusted to say how it ended: the destination is looked at afterwards, in
:mod:`vhal_libvirt.migration.ending`. What the job measured comes from the event at its end, since after it nobody on
the source remembers the machine.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import libvirt

from vhal.driver import Context, MigrationPolicy, Offer, Ticket, Transfer
from vhal.spec import Bytes, MachineState
from vhal_libvirt import metadata
from vhal_libvirt.address import checked, libvirt_uri
from vhal_libvirt.connection import Connection, Notice
from vhal_libvirt.document import dump, parse
from vhal_libvirt.job import Job
from vhal_libvirt.migration import route
from vhal_libvirt.migration.cargo import Cargo, Place
from vhal_libvirt.migration.ending import broken_off
from vhal_libvirt.options import LibvirtMigrationOptions

_MEASURED_S = 1.0
"""The event with the measurements is sent before the call returns, but comes in another thread."""

_BROKEN_OFF = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED]
_RETURNS_S = 5.0
"""How long after a post-copy broke off the call about it may take to say so."""

_OPERATION = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT

_HALTED = ("lifecycle", libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)

_UNREACHED = re.compile(
    r"unable to connect to server|Failed to connect socket|Failed to connect to remote libvirt URI"
    r"|[Uu]nable to resolve|authentication failed|certificate|Unable to (read|load) .*TLS"
)


class Sending:
    """One transfer of one machine."""

    def __init__(
        self, connection: Connection, dom: libvirt.virDomain, offer: Offer, ticket: Ticket, policy: MigrationPolicy
    ) -> None:
        self._connection = connection
        self._dom = dom
        self._offer = offer
        self._policy = policy
        self._cargo = Cargo.of(offer)
        self._place = Place.of(ticket)
        self._options = policy.options_for("libvirt", LibvirtMigrationOptions)
        self._live = offer.state is not MachineState.STOPPED
        self._measured = threading.Event()
        self._facts: dict[str, Any] = {}
        self._job: Job | None = None
        self._iterations = 0
        self._halted: float | None = None
        self._broken_since: float | None = None

    def run(self, ctx: Context) -> Transfer:
        """Send it by the first way that works, and return what was measured."""
        cancel = self._connection.listen(self._notice)
        try:
            with self._downtime():
                self._send(ctx)
            if self._live:
                self._measured.wait(_MEASURED_S)
        finally:
            cancel()
        return self._transfer()

    @contextlib.contextmanager
    def _downtime(self) -> Iterator[None]:
        """Have the machine's QEMU know how long it may stand still; it forgets it again if the machine stays."""
        if not self._live or self._policy.max_downtime_s is None:
            yield
            return
        before = self._dom.migrateGetMaxDowntime(0)
        self._dom.migrateSetMaxDowntime(round(self._policy.max_downtime_s * 1000), 0)
        try:
            yield
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                self._dom.migrateSetMaxDowntime(before, 0)
            raise

    def _send(self, ctx: Context) -> None:
        wanted = self._policy.route
        if wanted == "managed" or (wanted == "auto" and route.peer_is_ssh(self._place, self._options)):
            self._managed(ctx)
            return
        try:
            self._peer_to_peer(ctx)
        except libvirt.libvirtError as error:
            if wanted != "auto" or not self._unreached(error):
                raise
            self._managed(ctx)

    def _peer_to_peer(self, ctx: Context) -> None:
        uri = route.peer_uri(self._cargo, self._place, self._options)
        parameters, flags = self._parameters(), self._flags() | libvirt.VIR_MIGRATE_PEER2PEER
        self._run(Job(self._dom, lambda: self._dom.migrateToURI3(uri, parameters, flags), "transfer", _OPERATION), ctx)

    def _managed(self, ctx: Context) -> None:
        destination = Connection(libvirt_uri(checked(self._place.url)))
        try:
            conn = destination.get()
            parameters, flags = self._parameters(), self._flags()
            self._run(Job(self._dom, lambda: self._dom.migrate3(conn, parameters, flags), "transfer", _OPERATION), ctx)
        finally:
            destination.close()

    def _run(self, job: Job, ctx: Context) -> None:
        self._job = job
        job.run(ctx, self._tick)

    def _unreached(self, error: libvirt.libvirtError) -> bool:
        """Return whether the source's daemon didn't even get to the destination's."""
        begun = self._job is not None and self._job.begun
        return not begun and _UNREACHED.search(error.get_error_message() or "") is not None

    def _tick(self) -> None:
        job = self._job
        if job is not None and job.final:
            self._check_post_copy()
        if not self._policy.post_copy or self._iterations < 2 or job is None or job.final:
            return
        # Before the first pass over the memory is complete, which the second one's beginning tells, it would be slow.
        with contextlib.suppress(libvirt.libvirtError):
            self._dom.migrateStartPostCopy(0)
            job.final = True

    def _check_post_copy(self) -> None:
        """Raise if a post-copy broke off, and the call about it doesn't return.

        libvirt 9.0's destination then waits for the end of the migration with the lock that hearing of it takes.

        Raises:
            vhal.errors.MigrationInDoubt: It did.
        """
        try:
            broken = self._dom.state() == _BROKEN_OFF
        except libvirt.libvirtError:
            return  # it has just left for good, or the line is down; the call itself will say
        if not broken:
            self._broken_since = None
        elif self._broken_since is None:
            self._broken_since = time.monotonic()
        elif time.monotonic() - self._broken_since > _RETURNS_S:
            raise broken_off(self._dom)

    def _notice(self, notice: Notice) -> None:
        if notice.id != self._offer.machine.id:
            return
        if notice.topic == "iteration":
            self._iterations = notice.event
            if self._job is not None:
                self._job.wake()
        elif notice.topic == "job":
            self._facts = notice.facts
            self._measured.set()
        elif (notice.topic, notice.event, notice.detail) == _HALTED:
            self._halted = time.monotonic()

    def _flags(self) -> int:
        flags: int = libvirt.VIR_MIGRATE_PERSIST_DEST
        if self._cargo.persistent:
            flags |= libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        # Only what the spec promises about every disk, or somebody who takes it on himself, goes past libvirt's check,
        # which takes a folder that several hosts share for a private one.
        if self._policy.allow_unsafe or (self._cargo.disks and self._cargo.safe):
            flags |= libvirt.VIR_MIGRATE_UNSAFE
        if not self._live:
            flags |= libvirt.VIR_MIGRATE_OFFLINE
            return flags
        flags |= libvirt.VIR_MIGRATE_ABORT_ON_ERROR
        if self._policy.live:
            flags |= libvirt.VIR_MIGRATE_LIVE
        if self._place.strict:
            flags |= libvirt.VIR_MIGRATE_PAUSED
        if self._policy.auto_converge:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if self._policy.parallel > 1:
            flags |= libvirt.VIR_MIGRATE_PARALLEL
        if self._policy.post_copy:
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
        if self._place.socket is None and not self._policy.allow_plaintext:
            flags |= libvirt.VIR_MIGRATE_TLS
        return flags

    def _parameters(self) -> dict[str, Any]:
        persistent = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
        parameters: dict[str, Any] = {}
        if self._cargo.persistent:
            xml = self._moved(persistent | libvirt.VIR_DOMAIN_XML_INACTIVE)
            parameters[libvirt.VIR_MIGRATE_PARAM_PERSIST_XML] = xml
        parameters[libvirt.VIR_MIGRATE_PARAM_DEST_XML] = self._moved(persistent)
        if not self._live:
            return parameters
        uri = route.data_uri(self._place, self._options)
        if uri is not None:
            parameters[libvirt.VIR_MIGRATE_PARAM_URI] = uri
        if self._policy.bandwidth is not None:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = self._policy.bandwidth >> 20
        if self._policy.parallel > 1:
            parameters[libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = self._policy.parallel
        return parameters

    def _moved(self, flags: int) -> str:
        """Return the machine's document as the destination shall have it: one epoch on."""
        domain = parse(self._dom.XMLDesc(flags))
        metadata.put(domain, metadata.read(metadata.find(domain)).moved())
        return dump(domain)

    def _transfer(self) -> Transfer:
        facts = self._facts
        dirty = facts.get(libvirt.VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE)
        page = facts.get(libvirt.VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 4096)
        return Transfer(
            setup_s=_seconds(facts.get(libvirt.VIR_DOMAIN_JOB_SETUP_TIME)),
            elapsed_s=_seconds(facts.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED)),
            downtime_s=self._downtime_s(),
            transferred=Bytes(facts.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0)),
            iterations=max(self._iterations, facts.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION, 0)),
            dirty_rate=None if dirty is None else Bytes(dirty * page),
        )

    def _downtime_s(self) -> float | None:
        if self._place.strict and self._halted is not None:
            # QEMU's own measure ends when the other side could go on; here it waits until it may.
            return time.monotonic() - self._halted
        return _seconds(self._facts.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME))


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
