"""What stands against taking a machine, found out at the destination without any effect.

Every reason here is one that libvirt would find later, with the machine half way, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from vhal.driver import Blocker, HostUrl, Level, MigrationPolicy, Offer
from vhal.errors import AlreadyExists, InsufficientResources
from vhal.spec import MachineInfo, MachineState
from vhal_libvirt import accelerator, host_report
from vhal_libvirt.host_facts import Facts, HostFacts
from vhal_libvirt.host_files import HostFiles
from vhal_libvirt.inventory import Inventory
from vhal_libvirt.migration.cargo import SAFE_CACHES, Cargo, memory_moves
from vhal_libvirt.migration.route import data_socket
from vhal_libvirt.options import LibvirtMigrationOptions
from vhal_libvirt.requirements import missing_file
from vhal_libvirt.wires import missing_bridge, missing_network

POST_COPY_WITH_PARALLEL = 10_001_000
"""Before QEMU 10.1 the two together lose the machine while libvirt reports success."""


def blockers(
    conn: libvirt.virConnect,
    facts: Facts,
    inventory: Inventory,
    url: HostUrl,
    offer: Offer,
    policy: MigrationPolicy,
) -> Iterator[Blocker]:
    """Yield every reason against taking the offered machine on this host."""
    cargo = Cargo.of(offer)
    host = facts.host(conn)
    if host.uuid == offer.host_uuid:
        yield Blocker("same-host", "the machine is on this host already", "choose another host")
        return
    yield from taken(conn, offer.machine)
    live = memory_moves(offer, policy)
    yield from _engine(conn, host, cargo)
    if live:
        yield from _processor(conn, cargo)
        yield from _held(cargo)
        yield from _writes(offer, cargo, policy)
    else:
        yield from _firmware(cargo)
    # Also one that is stopped for the move needs room: it is started again afterwards.
    if offer.state is not MachineState.STOPPED:
        yield from _room(conn, host, inventory, offer.machine)
    yield from _files(conn, cargo)
    yield from _disks(cargo, policy, live=live)
    for network in cargo.networks:
        yield from missing_network(conn, network)
    for bridge in cargo.bridges:
        yield from missing_bridge(conn, bridge)
    yield from _ways(url, cargo, offer, policy, min(cargo.hypervisor, conn.getVersion()))


def taken(conn: libvirt.virConnect, machine: MachineInfo) -> Iterator[Blocker]:
    """Yield what of the machine's identity is in use here."""
    try:
        there = conn.lookupByUUIDString(machine.id)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
    else:
        yield Blocker(
            "already-there",
            f"the destination has a machine with this id, named {there.name()!r}",
            "look whether it is what an earlier migration left; then delete it",
            Level.HOST,
            AlreadyExists,
        )
        return
    try:
        conn.lookupByName(machine.name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return
    yield Blocker(
        "name-taken",
        f"the destination has another machine named {machine.name!r}",
        "rename or delete one of the two",
        Level.HOST,
        AlreadyExists,
    )


def _engine(conn: libvirt.virConnect, host: HostFacts, cargo: Cargo) -> Iterator[Blocker]:
    if cargo.arch != host.arch or cargo.domain_type not in host.domain_types:
        yield Blocker(
            "engine-mismatch",
            f"the destination runs no {cargo.domain_type} machines of {cargo.arch}",
            "choose a host of the same kind",
            Level.HOST,
        )
        return
    if cargo.domain_type == "kvm" and not accelerator.kvm_runs(conn, host):
        yield Blocker(
            "kvm-broken",
            "KVM announces itself on the destination but doesn't run a guest",
            "choose another host",
            Level.HOST,
        )
    if cargo.machine not in host.machines:
        yield Blocker(
            "machine-type-unknown",
            f"the destination's QEMU doesn't know the machine type {cargo.machine!r}",
            "choose a host with a QEMU at least as new as the source's",
            Level.HOST,
        )


def _processor(conn: libvirt.virConnect, cargo: Cargo) -> Iterator[Blocker]:
    if cargo.cpu is None:
        return
    try:
        answer = conn.compareHypervisorCPU(None, cargo.arch, cargo.machine, cargo.domain_type, cargo.cpu, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _CANT_COMPARE:
            raise
        return
    if answer == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
        yield Blocker(
            "cpu-mismatch",
            "the destination's processor lacks something that the machine's has",
            "give the machine a processor model that both hosts have (virsh hypervisor-cpu-baseline)",
            Level.HOST,
        )


_CANT_COMPARE = frozenset(
    {
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        # What an unknown machine type gives; there is a blocker for that already.
        libvirt.VIR_ERR_INVALID_ARG,
    }
)


def _writes(offer: Offer, cargo: Cargo, policy: MigrationPolicy) -> Iterator[Blocker]:
    if cargo.loses_writes and offer.state is MachineState.RUNNING and not policy.allow_unsafe:
        yield Blocker(
            "writes-lost",
            f"QEMU {host_report.version(cargo.hypervisor)} on the source loses writes of an emulated machine while it "
            "is sent, unless vhal made it",
            "pause it for the move, move it with live=False, or have QEMU 9.0; allow_unsafe if yours has that fix",
        )


def _held(cargo: Cargo) -> Iterator[Blocker]:
    if cargo.held is not None:
        yield Blocker(
            "host-devices", f"the machine uses {cargo.held} of its host", "detach them, or move it with live=False"
        )


def _firmware(cargo: Cargo) -> Iterator[Blocker]:
    if cargo.firmware:
        yield Blocker(
            "firmware-state",
            f"the machine has {' and '.join(cargo.firmware)}, kept on its host, and loses them if it moves stopped",
            "move it while it runs, or paused: then they go over with its memory",
        )


def _room(conn: libvirt.virConnect, host: HostFacts, inventory: Inventory, machine: MachineInfo) -> Iterator[Blocker]:
    free = host_report.describe(conn, "", host, inventory.machines(conn, fresh=True)).free.memory
    if machine.memory > free:
        yield Blocker(
            "memory",
            f"the machine has {machine.memory} of memory, the destination has {free} left",
            "free memory there, or choose another host",
            Level.HOST,
            InsufficientResources,
        )


def _files(conn: libvirt.virConnect, cargo: Cargo) -> Iterator[Blocker]:
    wanted = list(dict.fromkeys([*cargo.boot_files, *(disk.path for disk in cargo.disks)]))
    if wanted:
        there = HostFiles(conn).look(wanted)
        for path in wanted:
            if path not in there:
                yield missing_file(path)


def _disks(cargo: Cargo, policy: MigrationPolicy, *, live: bool) -> Iterator[Blocker]:
    if policy.allow_unsafe:
        return
    for disk in cargo.disks:
        if disk.read_only:
            continue
        if disk.shared is False:
            yield Blocker(
                "disk-not-shared",
                f"the disk {disk.path} isn't declared as shared, and copying it along isn't supported yet",
                "put it where both hosts reach it and make the machine with shared=True, or allow_unsafe",
            )
        elif not live and disk.shared is None:
            # Of a running machine libvirt checks it; of a stopped one nothing but the path does.
            yield Blocker(
                "disk-not-shared",
                f"nothing says that {disk.path} on the destination is the same disk",
                "move it while it runs, or allow_unsafe if you know that it is",
            )
        elif live and disk.cache not in SAFE_CACHES:
            yield Blocker(
                "unsafe-cache",
                f"the disk {disk.path} has cache mode {disk.cache!r}: the source's memory may hold bytes of it",
                "use cache 'none' or 'directsync', move it with live=False, or allow_unsafe",
            )


def _ways(url: HostUrl, cargo: Cargo, offer: Offer, policy: MigrationPolicy, hypervisor: int) -> Iterator[Blocker]:
    options = policy.options_for("libvirt", LibvirtMigrationOptions)
    if options.data == "unix" and data_socket(url, cargo, options, offer.machine.id) is None:
        yield Blocker(
            "data-socket",
            "memory can't go over a Unix socket between these two hosts",
            "use data 'tcp' or 'auto'; a socket needs both hosts on this machine and a path of at most 107 bytes",
        )
    if policy.post_copy and policy.parallel > 1 and hypervisor < POST_COPY_WITH_PARALLEL:
        yield Blocker(
            "post-copy-parallel",
            f"QEMU {host_report.version(hypervisor)} loses the machine if post-copy uses several connections",
            "use one of the two; QEMU 10.1 and later can do both",
            Level.HOST,
        )
