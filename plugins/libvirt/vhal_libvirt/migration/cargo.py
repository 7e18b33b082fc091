"""What an offer and a ticket carry that only libvirt understands. Plain data, without secrets: journals keep it.

The machine's document isn't among it, since it may hold a console's password; the source reads it when it sends.
"""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
from lxml import etree

from vhal.driver import MigrationPolicy, Offer, Ticket
from vhal.errors import InvalidState
from vhal.spec import Disk, MachineInfo, MachineState, Model
from vhal_libvirt import emulation, metadata
from vhal_libvirt.document import attribute, dump, parse

MOVABLE = (MachineState.RUNNING, MachineState.PAUSED, MachineState.STOPPED)
SAFE_CACHES = ("none", "directsync")
"""Cache modes that leave no bytes of a disk in the source's memory."""

_HELD_DEVICES = {"hostdev": "devices", "interface[@type='hostdev']": "devices", "filesystem": "directories"}


def memory_moves(offer: Offer, policy: MigrationPolicy) -> bool:
    """Return whether the machine's memory is to go over, or it moves stopped and nothing but its definition does.

    A running machine whose policy isn't live is stopped before it is sent, but examined before it is stopped. One that
    is paused stays so: its memory goes over whatever the policy says.
    """
    return offer.state is MachineState.PAUSED or (offer.state is MachineState.RUNNING and policy.live)


class DiskCargo(Model):
    """One disk of the machine."""

    path: str
    cache: str
    read_only: bool
    shared: bool | None
    """What its spec says; None if no spec tells."""

    @property
    def safe(self) -> bool:
        """Whether it is declared reachable from both hosts and has all its bytes there."""
        return self.read_only or (self.shared is True and self.cache in SAFE_CACHES)


class Cargo(Model):
    """What moves."""

    domain_type: str
    arch: str
    machine: str
    cpu: str | None
    """The processor that the destination must offer, as libvirt writes it."""
    hypervisor: int
    """Version of the source's QEMU, as libvirt counts it."""
    loses_writes: bool = False
    """Whether the source's QEMU doesn't keep track of what the machine writes while it is sent."""
    disks: tuple[DiskCargo, ...]
    boot_files: tuple[str, ...]
    networks: tuple[str, ...]
    bridges: tuple[str, ...]
    local: bool
    """Whether the source is reached over a socket of this machine."""
    persistent: bool
    epoch: int
    held: str | None = None
    """What of its host the machine uses: devices, directories."""
    firmware: tuple[str, ...] = ()
    """What of the machine's firmware is kept in files of its host."""
    nvram: str | None = None
    """The file of the firmware's variables."""

    @classmethod
    def of(cls, offer: Offer) -> Cargo:
        """Return an offer's cargo."""
        return cls(**offer.payload)

    @property
    def safe(self) -> bool:
        """Whether every disk may be opened by the destination while the source still has it open."""
        return all(disk.safe for disk in self.disks)


class Place(Model):
    """Where it moves to."""

    url: str
    """The destination's URL, as this process reaches it."""
    host: str
    """The destination's own name."""
    socket: str | None
    """Path of the socket for the memory, if it doesn't go over a network."""
    epoch: int
    strict: bool
    nvram: str | None = None
    """The file of the firmware's variables, if it isn't there yet: one that appears came with this migration."""

    @classmethod
    def of(cls, ticket: Ticket) -> Place:
        """Return a ticket's place."""
        return cls(**ticket.payload)


def load(conn: libvirt.virConnect, dom: libvirt.virDomain, machine: MachineInfo, *, local: bool) -> Cargo:
    """Return what moves with a machine.

    Raises:
        vhal.errors.InvalidState: It is in a state that can't move.
    """
    if machine.state not in MOVABLE:
        raise InvalidState(
            f"{machine.name!r} is {machine.state} and can't be moved",
            hint="restore or start it first",
            backend="libvirt",
            machine=machine.name,
        )
    domain = parse(dom.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE))
    record = metadata.read(metadata.find(domain))
    domain_type, hypervisor = domain.get("type", ""), conn.getVersion()
    places = dict(_declared(machine, record.volumes))
    return Cargo(
        domain_type=domain_type,
        arch=attribute(domain, "os/type", "arch") or "",
        machine=attribute(domain, "os/type", "machine") or "",
        cpu=_cpu(conn, domain),
        hypervisor=hypervisor,
        loses_writes=emulation.loses_writes(domain_type, hypervisor) and not emulation.made_for_it(domain),
        disks=tuple(_disks(domain, places)),
        boot_files=tuple(
            element.text
            for name in ("kernel", "initrd")
            if (element := domain.find(f"os/{name}")) is not None and element.text
        ),
        networks=_sources(domain, "network"),
        bridges=_sources(domain, "bridge"),
        local=local,
        persistent=bool(dom.isPersistent()),
        epoch=record.epoch,
        held=next((what for kind, what in _HELD_DEVICES.items() if domain.find(f"devices/{kind}") is not None), None),
        firmware=tuple(_firmware(domain)),
        nvram=domain.findtext("os/nvram") or attribute(domain, "os/nvram/source", "file"),
    )


def _firmware(domain: etree._Element) -> Iterator[str]:
    """Yield what the firmware keeps beside the disks; libvirt sends it with the memory, and only then."""
    if domain.find("devices/tpm") is not None:
        yield "a TPM"
    # Where libvirt chooses the firmware, the definition needn't name the file.
    chosen = domain.find("os[@firmware='efi']") is not None and attribute(domain, "os/loader", "stateless") != "yes"
    if chosen or domain.find("os/nvram") is not None:
        yield "UEFI variables"


def _declared(machine: MachineInfo, volumes: tuple[str, ...]) -> list[tuple[str, Disk]]:
    """Return the path of each disk in the machine's spec; those that were made for it were made in their order."""
    made = iter(volumes)
    disks = machine.spec.disks if machine.spec is not None else ()
    return [(path, disk) for disk in disks if (path := disk.path or next(made, None)) is not None]


def _disks(domain: etree._Element, declared: dict[str, Disk]) -> list[DiskCargo]:
    found = []
    for disk in domain.iterfind("devices/disk"):
        source = disk.find("source")
        path = source.get("file") or source.get("dev") if source is not None else None
        if path is None:
            continue  # an empty drive, or storage that is reached over the network from anywhere
        spec = declared.get(path)
        found.append(
            DiskCargo(
                path=path,
                cache=attribute(disk, "driver", "cache") or "default",
                read_only=disk.find("readonly") is not None,
                shared=None if spec is None else spec.shared,
            )
        )
    return found


def _cpu(conn: libvirt.virConnect, domain: etree._Element) -> str | None:
    cpu = domain.find("cpu")
    if cpu is None or domain.get("type") not in ("kvm", "qemu"):
        return None
    if cpu.get("mode") in ("host-passthrough", "maximum"):
        # Such a machine has whatever its host has.
        host = parse(conn.getCapabilities()).find("host/cpu")
        return None if host is None else dump(host)
    return dump(cpu) if cpu.find("model") is not None else None


def _sources(domain: etree._Element, kind: str) -> tuple[str, ...]:
    names = (source.get(kind) for source in domain.iterfind(f"devices/interface[@type='{kind}']/source"))
    return tuple(sorted({name for name in names if name}))
