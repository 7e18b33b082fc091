"""What stands against making a machine from a spec on this host, found out before anything is done.

The answer to "can it be created?", with a remedy for each reason. Nothing that a spec asks for is dropped in silence:
what can't be given is a blocker here. Making it is :mod:`vhal_libvirt.creation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import libvirt

from vhal.driver import Blocker, Level
from vhal.errors import AlreadyExists, ImageRejected, InsufficientResources, NotFound
from vhal.spec import BootImage, BootKernel, Disk, MachineKind, MachineSpec
from vhal_libvirt import accelerator, host_paths, image_header, storage
from vhal_libvirt.device_xml import DEFAULT_NETWORK, DiskSource
from vhal_libvirt.host_facts import DomainFacts, Facts, HostFacts
from vhal_libvirt.host_files import HostFile, HostFiles
from vhal_libvirt.options import LibvirtOptions
from vhal_libvirt.wires import missing_bridge, missing_network


@dataclass(slots=True)
class Findings:
    """What was found out about a spec on a host."""

    domain_type: str = ""
    arch: str = ""
    machine: str | None = None
    files: dict[int, DiskSource] = field(default_factory=dict)
    """Place of a disk → where it lies already."""
    blockers: list[Blocker] = field(default_factory=list)


def examine(conn: libvirt.virConnect, facts: Facts, spec: MachineSpec) -> Findings:
    """Return what a machine from ``spec`` would be, and what stands against it.

    Raises:
        vhal.errors.InvalidSpec: ``options["libvirt"]`` doesn't fit.
    """
    options = spec.options_for("libvirt", LibvirtOptions)
    found = Findings()
    found.blockers += _unsupported(spec)
    found.blockers += host_paths.refused(conn, spec)
    if found.blockers:
        return found
    host = facts.host(conn)
    found.arch = host.arch
    found.domain_type, kvm = accelerator.domain_type(conn, host, options.accelerator)
    found.machine = options.machine or _machine(spec, host)
    if kvm is not None:
        found.blockers.append(kvm)
    if options.machine is not None and host.machines and options.machine not in host.machines:
        found.blockers.append(
            Blocker(
                "machine-type-unknown",
                f"the host's QEMU doesn't know the machine type {options.machine!r}",
                "leave options.libvirt.machine out, or choose one of `virsh capabilities`",
                Level.HOST,
            )
        )
    elif kvm is None:
        domain = facts.domain(conn, found.domain_type, found.machine)
        found.blockers += _hardware(spec, host, domain)
    found.blockers += _name(conn, spec)
    found.blockers += _room(spec, host)
    found.blockers += _wires(conn, spec)
    found.blockers += _new_disks(conn, spec, simulated=host.simulated)
    if not host.simulated:
        found.blockers += _existing_files(conn, spec, found)
    else:
        found.files = {place: DiskSource(disk.path) for place, disk in enumerate(spec.disks) if disk.path is not None}
    return found


def _unsupported(spec: MachineSpec) -> Iterator[Blocker]:
    if spec.kind is MachineKind.CONTAINER:
        yield _never("kind-unsupported", "libvirt runs virtual machines here, no containers", "use a container backend")
    if isinstance(spec.boot, BootImage):
        yield _never("boot-image", "libvirt keeps no images to boot from", "boot a disk that has the image's content")
    if any(disk.image is not None for disk in spec.disks):
        yield _never(
            "disk-image", "copying an image to a new disk isn't supported yet", "copy it, and give the copy's path"
        )
    if spec.init is not None:
        yield _never("init-unsupported", "first-boot data isn't supported yet", "use an image that needs none")
    if spec.gpus:
        yield _never("gpu-unsupported", "handing out GPUs isn't supported yet", "leave gpus out")
    for device in spec.devices:
        yield _never("device-unknown", f"devices of kind {device.kind!r} aren't known", "leave the device out")
    if any(nic.ip is not None for nic in spec.nics):
        yield _never(
            "static-address",
            "giving the guest a static address needs first-boot data, which isn't supported yet",
            "leave ip out, and let the network or the guest choose the address",
        )


def _never(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.BACKEND)


def _machine(spec: MachineSpec, host: HostFacts) -> str | None:
    # Only the older chipset has IDE. On other architectures libvirt knows better.
    wanted = "pc" if any(disk.bus == "ide" for disk in spec.disks) else "q35"
    return wanted if wanted in host.machines else None


def _hardware(spec: MachineSpec, host: HostFacts, domain: DomainFacts) -> Iterator[Blocker]:
    if spec.cpus.count > domain.most_cpus > 0:
        yield Blocker(
            "too-many-cpus",
            f"a machine of this kind has at most {domain.most_cpus} processors",
            "use fewer processors",
            Level.HOST,
            InsufficientResources,
        )
    if not domain.known:
        return
    if spec.firmware.type == "uefi" and "efi" not in domain.firmwares:
        yield _host("no-uefi", "the host has no UEFI firmware for guests", "install OVMF (Debian: ovmf), or use bios")
    elif spec.firmware.secure_boot and not domain.secure_boot:
        yield _host("no-secure-boot", "the host's firmware has no secure boot", "install a firmware that has it")
    if spec.firmware.tpm and not domain.emulated_tpm:
        yield _host("no-tpm", "the host can't emulate a TPM", "install swtpm and swtpm-tools")
    yield from _cpu_model(spec.cpus.model, domain)
    for bus in sorted({disk.bus for disk in spec.disks} - domain.disk_buses):
        yield _host("disk-bus", f"this machine type has no {bus} disks", "use bus virtio")
    size = spec.memory.hugepages
    if size is not None and host.pages and size not in host.pages:
        known = ", ".join(f"{page >> 10} KiB" for page in sorted(host.pages))
        yield _host("hugepages", f"the host has no pages of {size}", f"use one of {known}")
    top = max(
        (int(part) for text in spec.cpus.pinning.values() for part in text.replace("-", ",").split(",")), default=0
    )
    if top >= host.cpus.count:
        yield _host("pinning", f"the host has no processor {top}", f"pin to 0-{host.cpus.count - 1}")


def _cpu_model(model: str | None, domain: DomainFacts) -> Iterator[Blocker]:
    if model is None:
        return
    if model in ("host-passthrough", "host-model"):
        if model not in domain.cpu_modes:
            yield _host("cpu-mode", f"{model} isn't possible without KVM", "leave the model out, or use a named one")
    elif domain.cpu_models.get(model) is None:
        yield _host("cpu-unknown", f"the engine knows no processor {model!r}", "choose one of `virsh cpu-models`")
    elif not domain.cpu_models[model]:
        yield _host("cpu-unusable", f"this host can't run the processor {model!r}", "choose an older model")


def _host(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.HOST)


def _name(conn: libvirt.virConnect, spec: MachineSpec) -> Iterator[Blocker]:
    try:
        conn.lookupByName(spec.name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
    else:
        yield Blocker(
            "name-taken",
            f"there is a machine {spec.name!r} already",
            "choose another name, or delete that machine",
            Level.HOST,
            AlreadyExists,
        )


def _room(spec: MachineSpec, host: HostFacts) -> Iterator[Blocker]:
    if spec.memory.size > host.memory:
        yield Blocker(
            "memory",
            f"the machine wants {spec.memory.size} of memory, the host has {host.memory}",
            "give it less memory, or choose a larger host",
            Level.HOST,
            InsufficientResources,
        )


def _wires(conn: libvirt.virConnect, spec: MachineSpec) -> Iterator[Blocker]:
    for network in sorted({nic.network or DEFAULT_NETWORK for nic in spec.nics if nic.bridge is None and not nic.user}):
        yield from missing_network(conn, network)
    for bridge in sorted({nic.bridge for nic in spec.nics if nic.bridge is not None}):
        yield from missing_bridge(conn, bridge)


def _new_disks(conn: libvirt.virConnect, spec: MachineSpec, *, simulated: bool) -> Iterator[Blocker]:
    for volume in storage.volumes_of(spec).values():
        pool = storage.pool_named(conn, volume.pool)
        if pool is None:
            if volume.pool != storage.DEFAULT_POOL:
                yield Blocker(
                    "pool-missing",
                    f"there is no storage pool {volume.pool!r}",
                    "make it (virsh pool-define-as), or leave pool out",
                    Level.HOST,
                    NotFound,
                )
            continue
        if not storage.holds_disks(kind := storage.pool_type(pool)):
            yield _host(
                "pool-type",
                f"pool {volume.pool!r} of type {kind!r} has neither files nor block devices",
                "choose a pool of another type",
            )
        elif storage.blocks(kind):
            yield _host(
                "pool-not-blank",
                f"a new disk in pool {volume.pool!r} of type {kind!r} would show the guest what was there before",
                "use a pool of files, or make the volume, wipe it (virsh vol-wipe), and give its path",
            )
        elif storage.volume_named(pool, volume.name) is not None:
            yield Blocker(
                "volume-exists",
                f"pool {volume.pool!r} has a volume {volume.name!r} already",
                "name the disk differently, use the volume by its path, or remove it",
                Level.HOST,
                AlreadyExists,
            )


def _existing_files(conn: libvirt.virConnect, spec: MachineSpec, found: Findings) -> Iterator[Blocker]:
    disks = {place: disk for place, disk in enumerate(spec.disks) if disk.path is not None}
    boot = [spec.boot.kernel, spec.boot.initrd] if isinstance(spec.boot, BootKernel) else []
    images = [disk.path for disk in disks.values() if disk.path is not None]
    wanted = [path for path in boot if path is not None] + images
    if not wanted:
        return
    files = HostFiles(conn).look(wanted, headers=images)
    for path in dict.fromkeys(wanted):
        if path not in files:
            yield missing_file(path)
    for place, disk in disks.items():
        file = files.get(disk.path or "")
        if file is not None:
            found.files[place] = DiskSource(file.path, file.block)
            yield from _image(disk, file)


def missing_file(path: str) -> Blocker:
    """Return the blocker for a file that isn't on the host."""
    return Blocker(
        "file-missing", f"the host has no file {path}", "copy it there, or correct the path", Level.HOST, NotFound
    )


def _image(disk: Disk, file: HostFile) -> Iterator[Blocker]:
    if file.header is None:
        yield Blocker(
            "image-rejected",
            f"{file.path} isn't used: its first bytes can't be read, so nobody knows what QEMU would make of them",
            "put it into a folder or a pool of files, which libvirt can read",
            Level.MACHINE,
            ImageRejected,
        )
        return
    problem = image_header.inspect(file.header, disk.format)
    if problem is not None:
        yield Blocker(
            "image-rejected",
            f"{file.path} isn't used: {problem.reason}",
            problem.hint,
            Level.MACHINE,
            ImageRejected,
        )
