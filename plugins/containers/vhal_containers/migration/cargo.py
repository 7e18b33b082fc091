"""What an offer and a ticket carry that only this backend understands. Plain data, for journals.

The container's environment, which may hold passwords, isn't among it: the source reads it when it sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vhal.driver import MigrationPolicy, Offer, Ticket
from vhal.errors import InvalidState
from vhal.spec import MachineState, Model
from vhal_containers.api import ApiError
from vhal_containers.api.document import Document, document, documents, number, part, text
from vhal_containers.api.path import path
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.inventory import Found
from vhal_containers.migration.host_facts import HostFacts, look
from vhal_containers.reach import ReachError, reach
from vhal_containers.volumes import OWNER

MOVABLE = (MachineState.RUNNING, MachineState.PAUSED, MachineState.STOPPED)


def memory_moves(offer: Offer, policy: MigrationPolicy) -> bool:
    """Return whether the machine's memory is to go over, or it is made anew from its files.

    A running machine whose policy isn't live is stopped before it is sent, but examined before it is stopped.
    """
    return offer.state is MachineState.PAUSED or (offer.state is MachineState.RUNNING and policy.live)


class PlaceInNetwork(Model):
    """One of the machine's cards."""

    network: str
    ip: str
    """``""`` if it has none now, and gets any when it starts."""
    fixed: bool
    """Whether it asked for this address."""


class Port(Model):
    """A port of the host that leads to the machine."""

    host: str
    number: int
    protocol: str


class MountCargo(Model):
    """Something mounted in the machine."""

    type: str
    """``volume`` or ``bind``; file systems in memory move with the memory, or are empty."""
    name: str
    """The volume's, or ``""``."""
    source: str
    target: str
    writable: bool
    shared: bool
    """Whether its spec says that the destination has the same."""
    made_for_it: bool = False
    """Whether the volume was made with the machine."""

    @property
    def what(self) -> str:
        """What to call it in messages."""
        return f"volume {self.name}" if self.type == "volume" else f"folder {self.source}"


class Cargo(Model):
    """What moves."""

    podman_id: str
    epoch: int
    managed: bool
    image: str
    image_name: str
    """The name by which it was made; empty if by an id."""
    image_size: int
    architecture: str
    runtime: str
    runtime_version: str
    """Of the source's runtime of that name; ``""`` if it isn't the engine's default one."""
    kernel: str
    podman: str
    host: HostFacts
    networks: tuple[PlaceInNetwork, ...]
    network_mode: str
    ports: tuple[Port, ...]
    mounts: tuple[MountCargo, ...]
    devices: tuple[str, ...]
    gpus: bool
    terminal: bool
    own_root: bool
    """Whether its root file system is a folder of its host and no image's."""
    pod: bool
    auto_remove: bool
    shares: tuple[str, ...]
    """Namespaces that it shares: ``pid``, ``ipc``, ``uts``, ``user``."""
    snapshots: int
    cpus: int | None
    """Processors, where it was resized."""
    memory: int | None
    """Bytes, the same."""
    cpuset: str
    memory_limit: int
    memory_used: int
    """Bytes that are to be sent, about."""
    unreadable: str = ""
    """Why the content of its volumes can't be read with its owners, if it can't."""
    against: tuple[tuple[str, str, str], ...] = ()
    """Why the source can't freeze it: code, message, remedy each."""

    @classmethod
    def of(cls, offer: Offer) -> Cargo:
        """Return an offer's cargo."""
        return cls(**offer.payload)


class Place(Model):
    """Where it moves to, and what the destination didn't have before."""

    url: str
    """The destination's URL, as this process reaches it."""
    podman_id: str
    """That of the source's container; one that moves with its memory keeps it."""
    name: str
    epoch: int
    """The epoch that the machine shall have there."""
    image: str
    image_absent: bool
    """Whether the destination hasn't got the image: one that appears came with this migration."""
    absent_volumes: tuple[str, ...]
    """Volumes that shall go over, of which the destination has none of that name."""
    cpus: int | None
    memory: int | None

    @classmethod
    def of(cls, ticket: Ticket) -> Place:
        """Return a ticket's place."""
        return cls(**ticket.payload)


def load(engine: Engine, found: Found) -> Cargo:
    """Return what moves with a machine.

    Raises:
        vhal.errors.InvalidState: It is in a state in which it can't move.
    """
    info, container = found.info, found.container
    if info.state not in MOVABLE:
        raise InvalidState(
            f"{info.name!r} is {info.state} and can't be moved",
            hint="restore or start it first",
            backend="containers",
            machine=info.name,
        )
    raw = document(engine.api.connection.get(path("containers", found.podman_id, "json")))
    host = part(raw, "HostConfig")
    facts = engine.facts()
    image = engine.api.images.inspect(container.image) if container.image else None
    runtime = container.runtime or facts.info.runtime
    return Cargo(
        podman_id=found.podman_id,
        epoch=info.epoch,
        managed=info.managed,
        image=container.image,
        image_name=container.image_name,
        image_size=image.size if image is not None else 0,
        architecture=facts.architecture,
        runtime=runtime,
        runtime_version=facts.versions.get(runtime, ""),
        kernel=facts.versions.get("kernel", ""),
        podman=facts.versions.get("podman", ""),
        host=look(engine) if info.state is not MachineState.STOPPED else HostFacts(),
        networks=tuple(_networks(found)),
        network_mode=container.network_mode,
        ports=tuple(_ports(host)),
        mounts=tuple(_mounts(engine, found)),
        devices=container.devices,
        gpus=bool(found.spec is not None and found.spec.gpus),
        terminal=container.terminal,
        own_root=bool(text(raw, "Rootfs")) or not container.image,
        pod=bool(container.pod),
        auto_remove=container.auto_remove,
        shares=tuple(_shares(host)),
        snapshots=len(found.record.snapshots),
        cpus=found.record.cpus,
        memory=found.record.memory,
        cpuset=container.limits.cpuset,
        memory_limit=info.memory,
        unreadable=_unreadable(engine, found),
        memory_used=_memory_used(engine, found) if info.state is not MachineState.STOPPED else 0,
    )


def published(container: Document) -> Iterator[Port]:
    """Yield the ports of the host that lead to a container of a list."""
    for item in documents(container.get("Ports")):
        first = number(item, "host_port")
        for offset in range(max(1, number(item, "range"))):
            if first:
                yield Port(host=text(item, "host_ip"), number=first + offset, protocol=text(item, "protocol") or "tcp")


def _networks(found: Found) -> Iterator[PlaceInNetwork]:
    wanted: dict[str, str] = {}
    if found.spec is not None:
        wanted = {nic.network or "": (nic.ip or "").partition("/")[0] for nic in found.spec.nics}
    for place in found.container.networks:
        fixed = wanted.get(place.network, "")
        yield PlaceInNetwork(network=place.network, ip=place.address or place.address6 or fixed, fixed=bool(fixed))


def _ports(host: Document) -> Iterator[Port]:
    for name, bindings in part(host, "PortBindings").items():
        for binding in documents(bindings):
            wanted = text(binding, "HostPort")
            if wanted.isdecimal():
                yield Port(host=text(binding, "HostIp"), number=int(wanted), protocol=name.partition("/")[2] or "tcp")


def _mounts(engine: Engine, found: Found) -> Iterator[MountCargo]:
    spec = found.spec
    declared: dict[str, bool] = {}
    if spec is not None:
        declared = {mount.target.rstrip("/"): mount.shared for mount in spec.mounts}
    for mount in found.container.mounts:
        if mount.type == "tmpfs":
            continue
        yield MountCargo(
            type=mount.type,
            name=mount.name,
            source=mount.source,
            target=mount.target,
            writable=mount.writable,
            shared=declared.get(mount.target.rstrip("/"), False),
            made_for_it=mount.type == "volume" and _made_for(engine, mount.name, found.info.id),
        )


def _unreadable(engine: Engine, found: Found) -> str:
    if not any(mount.type == "volume" for mount in found.container.mounts):
        return ""
    try:
        reach(engine.address).close()
    except ReachError as error:
        return str(error)
    return ""


def _made_for(engine: Engine, volume: str, machine: str) -> bool:
    try:
        return engine.api.volumes.inspect(volume).labels.get(OWNER) == machine
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise


def _shares(host: Document) -> Iterator[str]:
    for kind in ("Pid", "Ipc", "UTS", "Userns"):
        mode: Any = host.get(f"{kind}Mode") or ""
        if isinstance(mode, str) and (mode == "host" or mode.startswith(("container:", "ns:"))):
            yield kind.removesuffix("ns").lower()


def _memory_used(engine: Engine, found: Found) -> int:
    try:
        return engine.api.containers.stats_of(found.podman_id).memory
    except ApiError:
        return found.info.memory
