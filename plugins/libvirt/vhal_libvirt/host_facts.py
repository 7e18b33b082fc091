"""What a host's engine says it can do: its capabilities, read once for a connection.

Facts, not decisions: whether a spec fits them is :mod:`vhal_libvirt.requirements`, and whether KVM keeps what it
promises is :mod:`vhal_libvirt.accelerator`.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

import libvirt
from lxml import etree

from vhal.spec import Bytes, HostCpus, NumaNode
from vhal_libvirt.document import attribute, number, parse, words

_UNITS = {"b": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """What one kind of domain (architecture, machine type, accelerator) can have on a host."""

    known: bool = False
    """False where the driver has no such report; then only the processors are known, and nothing to be missing."""
    firmwares: frozenset[str] = frozenset()
    secure_boot: bool = False
    emulated_tpm: bool = False
    cpu_modes: frozenset[str] = frozenset()
    cpu_models: dict[str, bool] = field(default_factory=dict)
    """Model → whether the host can run it."""
    disk_buses: frozenset[str] = frozenset()
    most_cpus: int = 0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host's own description."""

    uuid: str
    arch: str
    cpus: HostCpus
    memory: Bytes
    numa: tuple[NumaNode, ...]
    pages: frozenset[int]
    """Sizes of memory pages, in bytes."""
    domain_types: frozenset[str]
    """``kvm``, ``qemu``, ``test``: what its virtual machines can be."""
    machines: dict[str, str]
    """Machine type → the versioned one that it stands for."""

    @property
    def simulated(self) -> bool:
        """Whether this is libvirt's own test driver, in which nothing truly runs."""
        return "test" in self.domain_types


class Facts:
    """The facts of one connection, each asked for once. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._host: HostFacts | None = None
        self._domains: dict[tuple[str, str | None], DomainFacts] = {}

    def host(self, conn: libvirt.virConnect) -> HostFacts:
        """Return the host's facts."""
        with self._lock:
            if self._host is None:
                self._host = read_host(conn)
            return self._host

    def domain(self, conn: libvirt.virConnect, domain_type: str, machine: str | None) -> DomainFacts:
        """Return what a domain of this type on this machine type can have."""
        arch = self.host(conn).arch
        with self._lock:
            key = (domain_type, machine)
            if key not in self._domains:
                self._domains[key] = read_domain(conn, arch, domain_type, machine)
            return self._domains[key]

    def forget(self) -> None:
        """Ask again: the daemon may be another one, on another version."""
        with self._lock:
            self._host = None
            self._domains = {}


def read_host(conn: libvirt.virConnect) -> HostFacts:
    """Return what the daemon says about its host."""
    root = parse(conn.getCapabilities())
    arch = (root.findtext("host/cpu/arch") or "x86_64").strip()
    guests = [guest for guest in root.iterfind("guest") if (guest.findtext("os_type") or "").strip() == "hvm"]
    # A 64-bit host also offers 32-bit guests; the host's own architecture is the one meant.
    guests.sort(key=lambda guest: attribute(guest, "arch", "name") != arch)
    arch = (attribute(guests[0], "arch", "name") if guests else None) or arch
    types = {domain.get("type", "") for domain in guests[0].iterfind("arch/domain")} if guests else set()
    machines = {}
    for machine in guests[0].iterfind("arch/machine") if guests else ():
        name = (machine.text or "").strip()
        machines[name] = machine.get("canonical", name)
    model, mebibytes, count, _, _, sockets, cores, threads = conn.getInfo()
    numa = tuple(_node(cell) for cell in root.iterfind("host/topology/cells/cell"))
    return HostFacts(
        uuid=root.findtext("host/uuid") or str(uuid.uuid5(uuid.NAMESPACE_URL, conn.getURI())),
        arch=arch,
        cpus=HostCpus(
            count=count,
            sockets=number(root, "host/cpu/topology", "sockets", sockets),
            cores=number(root, "host/cpu/topology", "cores", cores),
            threads=number(root, "host/cpu/topology", "threads", threads),
            arch=arch,
            model=root.findtext("host/cpu/model") or model,
            features=frozenset(feature.get("name", "") for feature in root.iterfind("host/cpu/feature")),
        ),
        memory=_all_memory(conn) or Bytes(sum(node.memory for node in numa) or mebibytes << 20),
        numa=numa,
        pages=frozenset(_bytes(page.get("size"), page.get("unit")) for page in root.iterfind("host/cpu/pages")),
        domain_types=frozenset(types),
        machines=machines,
    )


def read_domain(conn: libvirt.virConnect, arch: str, domain_type: str, machine: str | None) -> DomainFacts:
    """Return what a domain can have; little from a driver that doesn't tell."""
    try:
        root = parse(conn.getDomainCapabilities(None, arch, machine, domain_type))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return DomainFacts(most_cpus=conn.getMaxVcpus(domain_type))
    modes = {mode.get("name", ""): mode for mode in root.iterfind("cpu/mode") if mode.get("supported") == "yes"}
    custom = modes.get("custom")
    return DomainFacts(
        known=True,
        firmwares=_enum(root, "os/enum[@name='firmware']"),
        secure_boot="yes" in _enum(root, "os/loader/enum[@name='secure']"),
        emulated_tpm="emulator" in _enum(root, "devices/tpm/enum[@name='backendModel']"),
        cpu_modes=frozenset(modes),
        cpu_models={
            (model.text or "").strip(): model.get("usable") != "no"
            for model in (custom.iterfind("model") if custom is not None else ())
        },
        disk_buses=_enum(root, "devices/disk/enum[@name='bus']"),
        most_cpus=number(root, "vcpu", "max"),
    )


def _all_memory(conn: libvirt.virConnect) -> Bytes | None:
    """Return the host's memory as its kernel counts it, or None if the driver doesn't tell.

    libvirt's other two figures are those of the start: memory that was added to a virtual machine since isn't in them.
    """
    try:
        stats = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return None
    return Bytes(stats[libvirt.VIR_NODE_MEMORY_STATS_TOTAL] << 10)


def _node(cell: etree._Element) -> NumaNode:
    memory = cell.find("memory")
    size = _bytes(memory.text, memory.get("unit")) if memory is not None else 0
    cpus = tuple(int(cpu.get("id", "0")) for cpu in cell.iterfind("cpus/cpu"))
    return NumaNode(id=int(cell.get("id", "0")), cpus=cpus, memory=Bytes(size))


def _bytes(size: str | None, unit: str | None) -> int:
    return int(size or 0) * _UNITS.get(unit or "KiB", 1 << 10)


def _enum(root: etree._Element, path: str) -> frozenset[str]:
    return frozenset(words(root, f"{path}/value"))
