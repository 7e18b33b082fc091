"""A spec as the document that libvirt makes a machine from.

Pure: no connection, no I/O. Everything that must be looked up first (which volume a disk became, which chipset, KVM or
not) is in :class:`Blueprint`. Whether the host can have it is :mod:`vhal_libvirt.requirements`; the devices are in
:mod:`vhal_libvirt.device_xml`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from vhal.spec import BootDisk, BootKernel, Cpus, MachineSpec, Memory
from vhal_libvirt import emulation, metadata
from vhal_libvirt.device_xml import DiskSource, add_devices
from vhal_libvirt.document import child, dump
from vhal_libvirt.metadata import Record


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a spec leaves to whoever makes the machine."""

    id: str
    domain_type: str
    arch: str
    machine: str | None
    disks: tuple[DiskSource, ...]
    """Where each of the spec's disks lies, in their order."""
    loses_writes: bool
    """Whether its QEMU would lose writes of it while it moves; see :mod:`vhal_libvirt.emulation`."""
    record: Record


def domain_xml(spec: MachineSpec, blueprint: Blueprint) -> str:
    """Return the document of a machine.

    Precondition: nothing in :mod:`vhal_libvirt.requirements` stands against the spec.
    """
    root = etree.Element("domain", type=blueprint.domain_type)
    child(root, "name", spec.name)
    child(root, "uuid", blueprint.id)
    child(root, "metadata").append(metadata.element(blueprint.record))
    _memory(root, spec.memory)
    _cpus(root, spec.cpus)
    _system(root, spec, blueprint)
    _features(root, spec, blueprint)
    _cpu_model(root, spec.cpus)
    child(root, "clock", offset="utc")
    child(root, "on_poweroff", "destroy")
    child(root, "on_reboot", "restart")
    child(root, "on_crash", "destroy")
    add_devices(child(root, "devices"), spec, blueprint.disks)
    if blueprint.loses_writes and emulation.can_be_made_for_it(blueprint.arch, spec.memory.hugepages):
        emulation.make_for_it(root, spec.memory.size)
    return dump(root)


def _memory(root: etree._Element, memory: Memory) -> None:
    # Rounded up: libvirt counts in KiB, and less than what was asked for is worse than a little more.
    child(root, "memory", str((memory.size + 1023) >> 10), unit="KiB")
    if memory.hugepages is not None:
        pages = child(child(root, "memoryBacking"), "hugepages")
        child(pages, "page", size=str(memory.hugepages >> 10), unit="KiB")


def _cpus(root: etree._Element, cpus: Cpus) -> None:
    child(root, "vcpu", str(cpus.count), placement="static")
    if cpus.pinning:
        tuning = child(root, "cputune")
        for vcpu, host_cpus in sorted(cpus.pinning.items()):
            child(tuning, "vcpupin", vcpu=str(vcpu), cpuset=host_cpus)


def _cpu_model(root: etree._Element, cpus: Cpus) -> None:
    if cpus.model is None and cpus.topology is None:
        return
    cpu = child(root, "cpu")
    if cpus.model in ("host-passthrough", "host-model"):
        cpu.set("mode", cpus.model)
    elif cpus.model is not None:
        cpu.set("mode", "custom")
        cpu.set("match", "exact")
        child(cpu, "model", cpus.model, fallback="forbid")
    if cpus.topology is not None:
        shape = cpus.topology
        child(cpu, "topology", sockets=str(shape.sockets), dies="1", cores=str(shape.cores), threads=str(shape.threads))


def _system(root: etree._Element, spec: MachineSpec, blueprint: Blueprint) -> None:
    system = child(root, "os")
    if spec.firmware.type == "uefi":
        system.set("firmware", "efi")
    kind = child(system, "type", "hvm", arch=blueprint.arch)
    if blueprint.machine is not None:
        kind.set("machine", blueprint.machine)
    if spec.firmware.secure_boot:
        firmware = child(system, "firmware")
        child(firmware, "feature", enabled="yes", name="secure-boot")
        child(firmware, "feature", enabled="yes", name="enrolled-keys")
        child(system, "loader", secure="yes")
    if isinstance(spec.boot, BootKernel):
        child(system, "kernel", spec.boot.kernel)
        if spec.boot.initrd is not None:
            child(system, "initrd", spec.boot.initrd)
        if spec.boot.cmdline:
            child(system, "cmdline", spec.boot.cmdline)
    elif isinstance(spec.boot, BootDisk):
        child(system, "boot", dev="hd")


def _features(root: etree._Element, spec: MachineSpec, blueprint: Blueprint) -> None:
    if blueprint.arch not in ("x86_64", "i686"):
        return
    features = child(root, "features")
    child(features, "acpi")
    child(features, "apic")
    if spec.firmware.secure_boot:
        child(features, "smm", state="on")
