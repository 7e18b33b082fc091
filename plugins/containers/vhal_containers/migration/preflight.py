"""What stands against a migration, as the destination sees it. Nothing is touched to find it out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from vhal.driver import Blocker, Level, MigrationPolicy, Offer
from vhal.errors import AlreadyExists, InsufficientResources, NotFound
from vhal.spec import MachineInfo
from vhal_containers import criu, limits
from vhal_containers.api.document import document, documents, text
from vhal_containers.api.path import path
from vhal_containers.api.types import Network
from vhal_containers.engine import Engine, version_numbers
from vhal_containers.engine_process import EngineProcess
from vhal_containers.identity import ID
from vhal_containers.migration import host_facts, pre_dump
from vhal_containers.migration.cargo import Cargo, memory_moves, published
from vhal_containers.migration.network import traffic_hold
from vhal_containers.migration.options import ContainersMigrationOptions

_SPARE = 64 << 20
_PRIVATE_NETWORKS = ("none", "bridge", "private", "")


def blockers(engine: Engine, offer: Offer, policy: MigrationPolicy) -> Iterator[Blocker]:
    """Yield what stands against taking the machine.

    Raises:
        vhal.errors.InvalidSpec: ``options["containers"]`` doesn't fit.
    """
    options = policy.options_for("containers", ContainersMigrationOptions)
    if offer.host_uuid == engine.host_id:
        yield Blocker("same-host", "source and destination are one engine", "choose another destination", Level.HOST)
        return
    cargo = Cargo.of(offer)
    live = memory_moves(offer, policy)
    yield from _ways(policy)
    yield from taken(engine, offer.machine, cargo)
    yield from _machine(offer, cargo)
    yield from _host(engine, offer, cargo, live=live)
    yield from _mounts(engine, cargo, policy, live=live)
    yield from _networks(engine, cargo, live=live)
    if live:
        yield from _frozen(engine, offer, cargo, policy)
        yield from _hold(engine, cargo, options)
        if options.pre_dump:
            yield from pre_dump.on_destination()
    elif not cargo.managed:
        yield _machine_is(
            "foreign-cold",
            f"{offer.machine.name!r} wasn't made by vhal: made anew over there, podman gives it another id",
            "move it while it runs (live), or make it with vhal",
        )


def taken(engine: Engine, machine: MachineInfo, cargo: Cargo) -> Iterator[Blocker]:
    """Yield what the destination has of that id or name already."""
    for other in engine.api.containers.list():
        if other.id == cargo.podman_id or (cargo.managed and other.labels.get(ID) == machine.id):
            yield Blocker(
                "id-taken",
                f"the destination has the machine {machine.name!r} already, as {other.name!r} ({other.state})",
                "look at both; delete the older copy, the one with the lower epoch",
                Level.MACHINE,
                AlreadyExists,
            )
        elif other.name == machine.name:
            yield Blocker(
                "name-taken",
                f"the destination has another machine {machine.name!r}",
                "rename or delete one of the two",
                Level.MACHINE,
                AlreadyExists,
            )


def _ways(policy: MigrationPolicy) -> Iterator[Blocker]:
    if policy.route == "peer-to-peer":
        yield _never(
            "route", "podman's engines don't talk to each other: this process carries what moves", "use route 'auto'"
        )
    if policy.max_downtime_s is not None:
        yield _never(
            "max-downtime",
            "a container stands still while its memory is sent, and nobody can promise for how long",
            "leave max_downtime_s out; bandwidth and memory decide",
        )
    if policy.parallel > 1:
        yield _never("parallel", "podman gives and takes a checkpoint in one stream", "leave parallel out")
    if policy.post_copy:
        yield _never("post-copy", "podman can't fetch a container's memory on demand", "leave post_copy out")


def _machine(offer: Offer, cargo: Cargo) -> Iterator[Blocker]:
    name = offer.machine.name
    if cargo.own_root:
        yield _machine_is(
            "own-rootfs",
            f"{name!r} has no image: its root file system is a folder of its host",
            "make it from an image (podman import makes one of a folder)",
        )
    if cargo.pod:
        yield _machine_is("pod", f"{name!r} shares a pod with others", "move it out of the pod: make it by itself")
    if cargo.shares:
        yield _machine_is(
            "shared-namespace",
            f"{name!r} shares {', '.join(cargo.shares)} with its host or another container",
            "make it with namespaces of its own",
        )
    if cargo.auto_remove:
        yield _machine_is(
            "auto-remove",
            f"{name!r} is deleted as soon as it stops, so there would be no way back",
            "make it without --rm",
        )
    if cargo.snapshots:
        yield _machine_is(
            "snapshots", f"{name!r} has {cargo.snapshots} snapshots, which don't move with it", "delete them first"
        )


def _host(engine: Engine, offer: Offer, cargo: Cargo, *, live: bool) -> Iterator[Blocker]:
    facts = engine.facts()
    info = facts.info
    if facts.architecture != cargo.architecture:
        yield _host_is(
            "architecture",
            f"the source has {cargo.architecture}, the destination {facts.architecture}",
            "choose a destination with the source's architecture",
        )
    if info.memory and cargo.memory_limit > info.memory:
        yield _room(f"the machine may use {cargo.memory_limit >> 20} MiB of memory, the host has {info.memory >> 20}")
    if cargo.cpuset and info.cpus and max(limits.numbers(cargo.cpuset)) >= info.cpus:
        yield _host_is(
            "pinning",
            f"the machine is bound to the processors {cargo.cpuset}, the destination has {info.cpus}",
            "choose a destination with as many processors",
        )
    if cargo.gpus or cargo.devices:
        what = "GPUs" if cargo.gpus else f"devices of its host ({', '.join(cargo.devices)})"
        yield _machine_is(
            "devices",
            f"{offer.machine.name!r} uses {what}, whose state nobody can take along",
            "make it without them",
        )
    free = info.storage_size - info.storage_used
    # The engine keeps a file of what comes before it unpacks it.
    needed = cargo.image_size + (2 * cargo.memory_used if live else 0) + _SPARE
    if info.storage_size and free < needed:
        yield _room(f"the move needs up to {needed >> 20} MiB of the engine's disk, {max(0, free) >> 20} MiB are free")


def _room(message: str) -> Blocker:
    return Blocker("no-room", message, "make room there, or choose another host", Level.HOST, InsufficientResources)


def _frozen(engine: Engine, offer: Offer, cargo: Cargo, policy: MigrationPolicy) -> Iterator[Blocker]:
    """Yield what a machine that comes frozen would miss here."""
    facts = engine.facts()
    for code, message, remedy in cargo.against:
        yield _host_is(code, f"on the source, {message}", remedy)
    yield from criu.blockers(engine, cargo.runtime)
    here, there = host_facts.look(engine), cargo.host
    if here.criu is not None and here.criu.complaint:
        yield _host_is(
            "criu-broken",
            f"CRIU doesn't work there: {here.criu.complaint}",
            "run 'criu check' on the destination; another version of CRIU or of the kernel may be needed",
        )
    if cargo.network_mode == "host":
        yield _machine_is(
            "host-network",
            f"{offer.machine.name!r} uses its host's network, and couldn't keep its sockets elsewhere",
            "move it with live=False, or give it a network of its own",
        )
    elif cargo.network_mode not in _PRIVATE_NETWORKS:
        yield _machine_is(
            "network-mode",
            f"{offer.machine.name!r} has the network of another container or of a user ({cargo.network_mode})",
            "give it a network of its own",
        )
    if policy.allow_unsafe:
        return
    version = facts.versions.get(cargo.runtime, "")
    if cargo.runtime_version and version and version != cargo.runtime_version:
        yield _differs("runtime", cargo.runtime, cargo.runtime_version, version)
    if not version and cargo.runtime != facts.info.runtime:
        yield _host_is(
            "runtime",
            f"the machine runs with {cargo.runtime}, and the destination's engine with {facts.info.runtime}",
            f"have the destination's engine use {cargo.runtime} (containers.conf), or allow_unsafe",
        )
    kernel = facts.versions.get("kernel", "")
    if version_numbers(kernel) < version_numbers(cargo.kernel):
        yield _differs("kernel-older", "the kernel", cargo.kernel, kernel)
    ours, theirs = (one.criu.version if one.criu is not None else None for one in (here, there))
    if ours is not None and theirs is not None and ours < theirs:
        yield _differs("criu-older", "CRIU", *(".".join(map(str, version)) for version in (theirs, ours)))
    if here.flags is not None and there.flags is not None:
        missing = sorted(set(there.flags) - set(here.flags))
        if missing:
            yield _host_is(
                "cpu-mismatch",
                f"the destination's processor lacks {', '.join(missing[:8])}: what uses that would crash",
                "choose a destination with the same processor or a newer one, live=False, or allow_unsafe",
            )


def _mounts(engine: Engine, cargo: Cargo, policy: MigrationPolicy, *, live: bool) -> Iterator[Blocker]:
    process = EngineProcess.behind(engine.address)
    for mount in cargo.mounts:
        if mount.type == "volume":
            there = engine.api.volumes.exists(mount.name)
            if mount.shared and not there:
                yield _host_is(
                    "volume-missing",
                    f"the volume {mount.name} is said to be shared, but the destination has none of that name",
                    "make it there, with the same content behind it (podman volume create)",
                    NotFound,
                )
            elif not mount.shared and live and not (policy.allow_unsafe and there):
                yield _machine_is(
                    "volume-not-shared",
                    f"the volume {mount.name} is on the source only, and changes while the machine runs",
                    "put it on storage that both hosts reach and say shared=True, or move with live=False",
                )
            elif not mount.shared and not live and cargo.unreadable:
                yield _host_is(
                    "volume-unreadable",
                    f"the content of the volume {mount.name} can't be read with its owners: {cargo.unreadable}",
                    "run vhal as root where the source's engine is, or let it in there by ssh; or share the volume",
                )
            elif not mount.shared and not live and there:
                yield Blocker(
                    "volume-taken",
                    f"the destination has a volume {mount.name} already, which may hold something else",
                    "say shared=True if it is the same, or rename or remove one of the two",
                    Level.HOST,
                    AlreadyExists,
                )
            continue
        if not mount.shared and not policy.allow_unsafe:
            yield _machine_is(
                "folder-not-shared",
                f"the folder {mount.source} belongs to the source's host",
                "say shared=True if the destination has the same there, use a volume, which can move, or allow_unsafe",
            )
        elif not _path_is_there(process, mount.source):
            yield _host_is(
                "folder-missing", f"the destination has no {mount.source}", "mount or make it there", NotFound
            )


def _path_is_there(process: EngineProcess | None, source: str) -> bool:
    if process is None:
        return True  # it isn't for us to see; the engine will say so
    try:
        return process.look(source) is not None
    except (ValueError, OSError):
        return True


def _networks(engine: Engine, cargo: Cargo, *, live: bool) -> Iterator[Blocker]:
    networks = {network.name: network for network in engine.api.networks.list()}
    for place in cargo.networks:
        network = networks.get(place.network)
        if network is None:
            yield _host_is(
                "network-missing",
                f"the destination has no network {place.network}",
                "make it there, as on the source (podman network create)",
                NotFound,
            )
            continue
        if not place.ip or not (live or place.fixed):
            continue
        if not _within(place.ip, network):
            yield _host_is(
                "address-outside",
                f"{place.ip} isn't in the destination's network {place.network} ({', '.join(network.subnets)})",
                "give the network the same subnet on both hosts",
            )
        owner = _owner(engine, network, place.ip, cargo.podman_id)
        if owner is not None:
            yield Blocker(
                "address-taken",
                f"{place.ip} in the network {place.network} is the address of {owner} there",
                f"give one of the two another address, or move {owner} away",
                Level.HOST,
                AlreadyExists,
            )
    yield from _ports(engine, cargo)


def _within(ip: str, network: Network) -> bool:
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(subnet, strict=False) for subnet in network.subnets)


def _owner(engine: Engine, network: Network, ip: str, podman_id: str) -> str | None:
    if ip in network.gateways:
        return "the gateway"
    for other in engine.api.containers.list(filters={"network": [network.name]}):
        if other.id == podman_id:
            continue
        if any(ip in (place.address, place.address6) for place in engine.api.containers.inspect(other.id).networks):
            return repr(other.name)
    return None


def _ports(engine: Engine, cargo: Cargo) -> Iterator[Blocker]:
    if not cargo.ports:
        return
    listed = documents(engine.api.connection.get(path("containers", "json"), {"all": False}, timeout_s=60.0))
    for container in listed:
        used = {(port.number, port.protocol) for port in published(document(container))}
        for port in cargo.ports:
            if (port.number, port.protocol) in used and text(container, "Id") != cargo.podman_id:
                yield Blocker(
                    "port-taken",
                    f"the destination's port {port.number}/{port.protocol} leads to another machine",
                    "give one of the two another port",
                    Level.HOST,
                    AlreadyExists,
                )


def _hold(engine: Engine, cargo: Cargo, options: ContainersMigrationOptions) -> Iterator[Blocker]:
    if options.hold != "required" or not any(place.ip for place in cargo.networks):
        return
    problem = traffic_hold().problem(engine.address)
    if problem is not None:
        yield _host_is(
            "no-hold",
            f"traffic can't be held at the destination: {problem}",
            "run vhal as root where the engine is, or let it in there by ssh as root; "
            "or hold 'auto', at the risk of open connections",
        )


def _differs(code: str, what: str, source: str, destination: str) -> Blocker:
    return _host_is(
        code,
        f"{what} is {source} on the source, and {destination} on the destination",
        "bring the destination to the source's version, move with live=False, or allow_unsafe",
    )


def _never(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.BACKEND)


def _machine_is(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.MACHINE)


def _host_is(code: str, message: str, remedy: str, raises: type[NotFound] | None = None) -> Blocker:
    blocker = Blocker(code, message, remedy, Level.HOST)
    return blocker if raises is None else Blocker(code, message, remedy, Level.HOST, raises)
