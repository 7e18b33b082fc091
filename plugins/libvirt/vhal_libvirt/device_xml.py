"""The devices of a spec as libvirt writes them.

Every disk has its format written down: an engine that may guess a format can be made to open other files by what a
guest writes. The frame around the devices is :mod:`vhal_libvirt.domain_xml`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from vhal.spec import Disk, MachineSpec, Nic, Serial
from vhal_libvirt.document import child

AGENT = "org.qemu.guest_agent.0"
"""The channel whose other end says that the guest is up."""

DEFAULT_NETWORK = "default"
"""libvirt's own name for the network that a card without any wish hangs on."""

_PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}


@dataclass(frozen=True, slots=True)
class DiskSource:
    """Where a disk lies on the host."""

    path: str
    block: bool = False
    """Whether it is a block device rather than a file."""


def add_devices(devices: etree._Element, spec: MachineSpec, sources: tuple[DiskSource, ...]) -> None:
    """Add all of a spec's devices. ``sources`` are its disks' places, in their order."""
    buses = {disk.bus for disk in spec.disks}
    child(devices, "controller", type="usb", model="qemu-xhci" if "usb" in buses else "none")
    if "scsi" in buses:
        child(devices, "controller", type="scsi", model="virtio-scsi")
    places: dict[str, int] = {}
    for disk, source in zip(spec.disks, sources, strict=True):
        prefix = _PREFIX[disk.bus]
        place = places[prefix] = places.get(prefix, -1) + 1
        _disk(devices, disk, source, prefix + _letters(place))
    for nic in spec.nics:
        _nic(devices, nic)
    for port, serial in enumerate(spec.serials):
        _serial(devices, serial, port)
    channel = child(devices, "channel", type="unix")
    child(channel, "target", type="virtio", name=AGENT)
    if spec.firmware.tpm:
        tpm = child(devices, "tpm", model="tpm-crb")
        child(tpm, "backend", type="emulator", version="2.0")


def cache_of(disk: Disk) -> str | None:
    """Return the cache mode to write down, or None for the engine's default.

    A disk that another host will open must not have bytes in this host's memory.
    """
    if disk.cache != "default":
        return disk.cache
    return "none" if disk.shared and not disk.read_only else None


def _disk(devices: etree._Element, disk: Disk, source: DiskSource, target: str) -> None:
    element = child(devices, "disk", type="block" if source.block else "file", device="disk")
    driver = child(element, "driver", name="qemu", type=disk.format)
    cache = cache_of(disk)
    if cache is not None:
        driver.set("cache", cache)
    child(element, "source", **{"dev" if source.block else "file": source.path})
    child(element, "target", dev=target, bus=disk.bus)
    if disk.read_only:
        child(element, "readonly")


def _nic(devices: etree._Element, nic: Nic) -> None:
    if nic.user:
        element = child(devices, "interface", type="user")
    elif nic.bridge is not None:
        element = child(devices, "interface", type="bridge")
        child(element, "source", bridge=nic.bridge)
    else:
        element = child(devices, "interface", type="network")
        child(element, "source", network=nic.network or DEFAULT_NETWORK)
    if nic.mac is not None:
        child(element, "mac", address=nic.mac)
    child(element, "model", type=nic.model)


def _serial(devices: etree._Element, serial: Serial, port: int) -> None:
    element = child(devices, "serial", type="unix" if serial.socket is not None else "pty")
    if serial.socket is not None:
        child(element, "source", mode="connect", path=serial.socket)
    if serial.log is not None:
        child(element, "log", file=serial.log, append="on")
    child(element, "target", port=str(port))


def _letters(place: int) -> str:
    """Return the place of a disk as the kernel names it: a … z, aa, ab …."""
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
