"""The machines of a host, listed fast: one bulk call for the states, one for who is saved.

The bulk call tells no more than states, on purpose: asking for memory or processors there asks each machine's QEMU,
and one that hangs would hang the list. The rest (name, size, labels) hardly changes and is asked for once per machine;
libvirt's events say when it must be asked for again. So this is a cache of what the engine says, never a truth of its
own: a machine that the engine doesn't list isn't listed.

There is one thing that libvirt tells nobody: that a machine was given another size, be it stopped or running. The list
shows that when the machine starts or stops the next time. Whoever decides by the size asks for a fresh list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import libvirt

from vhal.errors import NotFound
from vhal.spec import Bytes, MachineInfo, MachineKind, MachineState
from vhal_libvirt import metadata
from vhal_libvirt.accelerator import PROBE_PREFIX
from vhal_libvirt.connection import Notice
from vhal_libvirt.document import parse
from vhal_libvirt.metadata import Record
from vhal_libvirt.state import machine_state

_STATE = "state.state"
_REASON = "state.reason"


@dataclass(slots=True)
class _Known:
    """What doesn't change from one listing to the next."""

    name: str
    cpus: int
    memory: Bytes
    record: Record
    hidden: bool = False
    infos: dict[MachineState, MachineInfo] = field(default_factory=dict)


class Inventory:
    """Lists and looks up machines. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, _Known] = {}
        self._changes = 0

    def machines(self, conn: libvirt.virConnect, *, fresh: bool = False) -> list[MachineInfo]:
        """Return every machine of the host, without specs; ``fresh`` with all as it is now, one call for each."""
        stats = conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        saved = {dom.UUID() for dom in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)}
        infos: list[MachineInfo] = []
        known = self._known
        for dom, facts in stats:
            key = dom.UUID()
            entry = None if fresh else known.get(key)
            if entry is None:
                entry = self._learn(dom)
                if entry is None:
                    continue
            if entry.hidden:
                continue
            state = machine_state(facts[_STATE], facts[_REASON], key in saved)
            infos.append(entry.infos.get(state) or self._info(entry, dom, state))
        if len(known) > len(stats):
            self._keep(dom.UUID() for dom, _ in stats)
        return infos

    def inspect(self, dom: libvirt.virDomain) -> MachineInfo:
        """Return one machine as it is now, with its spec if vhal made it."""
        state, reason = dom.state()
        saved = state == libvirt.VIR_DOMAIN_SHUTOFF and bool(dom.hasManagedSaveImage())
        self.forget(dom.UUIDString())
        entry = self._learn(dom)
        if entry is None:
            raise NotFound(
                f"there is no machine {dom.name()!r} any more", hint="machines() lists what is there", backend="libvirt"
            )
        info = self._info(entry, dom, machine_state(state, reason, saved))
        spec = metadata.spec_of(entry.record)
        return info if spec is None else info.model_copy(update={"spec": spec})

    def forget(self, id: str) -> None:
        """Ask for a machine's properties again next time."""
        with self._lock:
            self._changes += 1
            self._known.pop(bytes.fromhex(id.replace("-", "")), None)

    def notice(self, notice: Notice) -> None:
        """Take note of what libvirt told."""
        if notice.topic == "closed":
            with self._lock:
                self._changes += 1
                self._known.clear()
        elif notice.topic == "metadata" or (notice.topic == "lifecycle" and notice.event in _REDEFINING):
            self.forget(notice.id)

    def _learn(self, dom: libvirt.virDomain) -> _Known | None:
        changes = self._changes
        try:
            _, most, held, cpus, _ = dom.info()
            # What its balloon leaves it; a machine made for an old QEMU has a little more than its most.
            memory = min(most, held) or most
            entry = _Known(dom.name(), cpus, Bytes(memory << 10), read_record(dom))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None  # it went away after it was listed
            raise
        entry.hidden = entry.name.startswith(PROBE_PREFIX)
        with self._lock:
            # What was read before a change is told may be what was before the change.
            if changes == self._changes:
                self._known[dom.UUID()] = entry
        return entry

    def _info(self, entry: _Known, dom: libvirt.virDomain, state: MachineState) -> MachineInfo:
        info = entry.infos[state] = MachineInfo(
            id=dom.UUIDString(),
            name=entry.name,
            kind=MachineKind.VM,
            state=state,
            cpus=entry.cpus,
            memory=entry.memory,
            labels=entry.record.labels,
            managed=entry.record.managed,
            epoch=entry.record.epoch,
        )
        return info

    def _keep(self, ids: Iterable[bytes]) -> None:
        present = set(ids)
        with self._lock:
            for gone in self._known.keys() - present:
                del self._known[gone]


_REDEFINING = frozenset(
    {
        libvirt.VIR_DOMAIN_EVENT_DEFINED,
        libvirt.VIR_DOMAIN_EVENT_UNDEFINED,
        libvirt.VIR_DOMAIN_EVENT_STARTED,
        libvirt.VIR_DOMAIN_EVENT_STOPPED,
    }
)
"""Events after which a machine may be another: what is changed while it runs ends with its run."""


def read_record(dom: libvirt.virDomain) -> Record:
    """Return what vhal remembers about a machine; an empty record for one that it never touched, less for a clone."""
    try:
        text = dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, metadata.NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return Record()
        raise
    return metadata.read(parse(text)).read_from(dom.UUIDString())
