"""What libvirt tells, as vhal's events.

libvirt tells of each step of an engine; a migration alone is six. Here they become what happened to the machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Iterable

import libvirt

from vhal.driver import Event, EventKind
from vhal_libvirt.accelerator import PROBE_PREFIX
from vhal_libvirt.connection import Notice

_STARTED = {
    libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED: EventKind.RESTORED,
    libvirt.VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT: EventKind.RESTORED,
}
_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: EventKind.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED: EventKind.MIGRATED_OUT,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: EventKind.SAVED,
}
_NOT_A_PAUSE = frozenset(
    {
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED,
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED_RESTORED,
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT,
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY,
    }
)
_DETAILS = {
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR): "input/output error",
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG): "watchdog",
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN): "the guest turned itself off",
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED): "forced",
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED): "the engine failed",
    (libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_DEFINED_RENAMED): "renamed",
}

_ONE_REBOOT_S = 1.0
"""A restart that libvirt does for the guest is told twice: when the guest is off, and when it is reset."""


class EventMapping:
    """Maps one host's notices. It remembers who is arriving, since only the end of an arrival is an event.

    Args:
        host: The host's name, for the events.
        paused: Ids of the machines that are paused now.
        saving: Ids of the machines that are being saved; looked at when something is told of them.
    """

    def __init__(self, host: str, paused: Iterable[str] = (), saving: Container[str] = ()) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._arriving: set[str] = set()
        self._awaited: set[str] = set()
        self._paused = set(paused)
        self._saving = saving
        self._held: dict[str, Event] = {}
        self._rebooted: dict[str, float] = {}

    def events(self, notice: Notice) -> list[Event]:
        """Return what the notice means for its machine: mostly one event, or none."""
        if notice.name.startswith(PROBE_PREFIX):
            return []
        with self._lock:
            if notice.topic == "closed":
                self._arriving.clear()
                self._held.clear()
                return []
            kind = self._kind(notice)
            held = self._held.pop(notice.id, None) if notice.topic == "lifecycle" else None
            found = [held] if held is not None and kind is not EventKind.SAVED else []
            if kind is None:
                return found
            detail = _DETAILS.get((notice.event, notice.detail), "") if notice.topic == "lifecycle" else ""
            event = Event(kind, notice.id, notice.name, self._host, detail=detail)
            if kind is EventKind.PAUSED and notice.id in self._saving:
                # libvirt halts a machine to save it, which is a part of the saving; but it may also have been paused
                # before, and be told late. What comes next decides.
                self._held[notice.id] = event
                return found
            return [*found, event]

    def _kind(self, notice: Notice) -> EventKind | None:
        if notice.topic == "reboot":
            return self._reboot(notice)
        if notice.topic == "metadata":
            return EventKind.CHANGED
        if notice.topic == "awaited":
            (self._awaited.add if notice.event else self._awaited.discard)(notice.id)
            return None
        if notice.topic != "lifecycle":
            return None
        if notice.id in self._arriving:
            return self._arrival(notice)
        return self._lifecycle(notice)

    def _reboot(self, notice: Notice) -> EventKind | None:
        now = time.monotonic()
        before = self._rebooted.get(notice.id)
        self._rebooted[notice.id] = now
        return None if before is not None and now - before < _ONE_REBOOT_S else EventKind.REBOOTED

    def _arrival(self, notice: Notice) -> EventKind | None:
        """A copy that is filled from elsewhere: it is here when it runs, or is paused as it was there."""
        if notice.event in (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED):
            self._arriving.discard(notice.id)
            if notice.event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
                self._paused.add(notice.id)
            return EventKind.MIGRATED_IN
        if notice.event in (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED):
            self._arriving.discard(notice.id)
        return None

    def _lifecycle(self, notice: Notice) -> EventKind | None:
        event, detail = notice.event, notice.detail
        if event == libvirt.VIR_DOMAIN_EVENT_DEFINED:
            if notice.id in self._awaited:
                # One that moves without running is only defined here.
                self._awaited.discard(notice.id)
                return EventKind.MIGRATED_IN
            return EventKind.CREATED if detail == libvirt.VIR_DOMAIN_EVENT_DEFINED_ADDED else EventKind.CHANGED
        if event == libvirt.VIR_DOMAIN_EVENT_UNDEFINED:
            return None if detail == libvirt.VIR_DOMAIN_EVENT_UNDEFINED_RENAMED else EventKind.DELETED
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            if detail == libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED:
                self._arriving.add(notice.id)
                return None
            return _STARTED.get(detail, EventKind.STARTED)
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            self._paused.discard(notice.id)
            self._rebooted.pop(notice.id, None)
            return _STOPPED.get(detail, EventKind.STOPPED)
        if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
            self._paused.add(notice.id)
            return None if detail in _NOT_A_PAUSE else EventKind.PAUSED
        if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
            # Each start has one too, and so has a migration that failed; only what was paused can be resumed.
            paused = notice.id in self._paused
            self._paused.discard(notice.id)
            return EventKind.RESUMED if paused and detail == libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED else None
        return EventKind.CRASHED if event == libvirt.VIR_DOMAIN_EVENT_CRASHED else None
