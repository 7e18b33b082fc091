"""What the engine answers, as far as it is used.

Sizes are bytes, times have their zone. What it doesn't say is ``""``, 0, False or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from vhal_containers.api.document import (
    Document,
    document,
    documents,
    flag,
    fraction,
    moment,
    number,
    part,
    text,
    texts,
    words,
)


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """Which engine it is: ``"4.3.1"``, and of docker the versions of its parts by their names."""

    version: str
    api: str
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        parts = {text(item, "Name"): text(item, "Version") for item in documents(whole.get("Components"))}
        engine = next(iter(documents(whole.get("Components"))), {})
        return cls(text(whole, "Version"), text(part(engine, "Details"), "APIVersion"), parts)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself and of its host."""

    hostname: str
    architecture: str
    kernel: str
    cpus: int
    memory: int
    memory_free: int
    runtime: str
    runtime_version: str
    conmon_version: str
    cgroup_version: str
    cgroup_controllers: tuple[str, ...]
    rootless: bool
    network_backend: str
    network_drivers: tuple[str, ...]
    volume_drivers: tuple[str, ...]
    storage_driver: str
    storage_root: str
    storage_size: int
    storage_used: int
    volume_root: str
    running: int
    paused: int
    stopped: int

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        host, store = part(whole, "host"), part(whole, "store")
        runtime, containers, plugins = part(host, "ociRuntime"), part(store, "containerStore"), part(whole, "plugins")
        return cls(
            hostname=text(host, "hostname"),
            architecture=text(host, "arch"),
            kernel=text(host, "kernel"),
            cpus=number(host, "cpus"),
            memory=number(host, "memTotal"),
            memory_free=number(host, "memFree"),
            runtime=text(runtime, "name"),
            runtime_version=text(runtime, "version"),
            conmon_version=text(part(host, "conmon"), "version"),
            cgroup_version=text(host, "cgroupVersion"),
            cgroup_controllers=words(host, "cgroupControllers"),
            rootless=flag(part(host, "security"), "rootless"),
            network_backend=text(host, "networkBackend"),
            network_drivers=words(plugins, "network"),
            volume_drivers=words(plugins, "volume"),
            storage_driver=text(store, "graphDriverName"),
            storage_root=text(store, "graphRoot"),
            storage_size=number(store, "graphRootAllocated"),
            storage_used=number(store, "graphRootUsed"),
            volume_root=text(store, "volumePath"),
            running=number(containers, "running"),
            paused=number(containers, "paused"),
            stopped=number(containers, "stopped"),
        )


@dataclass(frozen=True, slots=True)
class ListedContainer:
    """A container in a list."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    labels: Mapping[str, str]
    exit_code: int
    pid: int
    created: datetime | None
    started_at: int = 0
    """In seconds of Unix time; 0 if it wasn't, or the engine doesn't say."""
    infra: bool = False
    """Whether it only holds a pod's namespaces together."""

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            id=text(whole, "Id"),
            name=next(iter(words(whole, "Names")), ""),
            image=text(whole, "Image"),
            image_id=text(whole, "ImageID"),
            state=text(whole, "State"),
            labels=texts(whole, "Labels"),
            exit_code=number(whole, "ExitCode"),
            pid=number(whole, "Pid"),
            created=moment(whole, "Created"),
            started_at=number(whole, "StartedAt"),
            infra=flag(whole, "IsInfra"),
        )


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How a container is: ``status`` is created, initialized, running, paused, stopping, exited, removing, …."""

    status: str
    running: bool
    paused: bool
    pid: int
    exit_code: int
    out_of_memory: bool
    error: str
    health: str
    checkpointed: bool
    restored: bool
    started_at: datetime | None
    finished_at: datetime | None
    cgroup: str

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            status=text(whole, "Status"),
            running=flag(whole, "Running"),
            paused=flag(whole, "Paused"),
            pid=number(whole, "Pid"),
            exit_code=number(whole, "ExitCode"),
            out_of_memory=flag(whole, "OOMKilled"),
            error=text(whole, "Error"),
            # Version 4 says Health, 5 says Healthcheck too.
            health=text(part(whole, "Health"), "Status") or text(part(whole, "Healthcheck"), "Status"),
            checkpointed=flag(whole, "Checkpointed"),
            restored=flag(whole, "Restored"),
            started_at=moment(whole, "StartedAt"),
            finished_at=moment(whole, "FinishedAt"),
            cgroup=text(whole, "CgroupPath"),
        )


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted in a container. ``type`` is bind, volume or tmpfs; ``name`` is a volume's."""

    type: str
    name: str
    source: str
    target: str
    writable: bool

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            text(whole, "Type"),
            text(whole, "Name"),
            text(whole, "Source"),
            text(whole, "Destination"),
            flag(whole, "RW"),
        )


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place in a network. The addresses are there while it runs."""

    network: str
    address: str
    prefix: int
    address6: str
    mac: str
    gateway: str

    @classmethod
    def read(cls, network: str, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            network,
            text(whole, "IPAddress"),
            number(whole, "IPPrefixLen"),
            text(whole, "GlobalIPv6Address"),
            text(whole, "MacAddress"),
            text(whole, "Gateway"),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container was made with; an update isn't shown here by engines before 5. 0 is no limit."""

    memory: int
    memory_swap: int
    memory_reservation: int
    cpu_quota: int
    cpu_period: int
    cpu_shares: int
    cpuset: str
    pids: int

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            memory=number(whole, "Memory"),
            memory_swap=number(whole, "MemorySwap"),
            memory_reservation=number(whole, "MemoryReservation"),
            cpu_quota=number(whole, "CpuQuota"),
            cpu_period=number(whole, "CpuPeriod"),
            cpu_shares=number(whole, "CpuShares"),
            cpuset=text(whole, "CpusetCpus"),
            pids=number(whole, "PidsLimit"),
        )


@dataclass(frozen=True, slots=True)
class Container:
    """A container, inspected."""

    id: str
    name: str
    image: str
    """The image's id."""
    image_name: str
    created: datetime | None
    state: ContainerState
    path: str
    arguments: tuple[str, ...]
    entrypoint: str
    command: tuple[str, ...]
    env: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    hostname: str
    user: str
    cwd: str
    terminal: bool
    stdin: bool
    stop_signal: int
    stop_timeout: int
    has_healthcheck: bool
    runtime: str
    privileged: bool
    network_mode: str
    restart_policy: str
    restart_count: int
    auto_remove: bool
    read_only: bool
    pid_mode: str
    ipc_mode: str
    devices: tuple[str, ...]
    limits: Limits
    mounts: tuple[Mount, ...]
    networks: tuple[Attachment, ...]
    execs: tuple[str, ...]
    pod: str

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        config, host = part(whole, "Config"), part(whole, "HostConfig")
        networks = part(part(whole, "NetworkSettings"), "Networks")
        entrypoint = config.get("Entrypoint")
        return cls(
            id=text(whole, "Id"),
            name=text(whole, "Name"),
            image=text(whole, "Image"),
            image_name=text(whole, "ImageName"),
            created=moment(whole, "Created"),
            state=ContainerState.read(part(whole, "State")),
            path=text(whole, "Path"),
            arguments=words(whole, "Args"),
            # Version 4 says a text, 5 a list.
            entrypoint=" ".join(words(config, "Entrypoint"))
            if isinstance(entrypoint, list)
            else text(config, "Entrypoint"),
            command=words(config, "Cmd"),
            env=words(config, "Env"),
            labels=texts(config, "Labels"),
            annotations=texts(config, "Annotations"),
            hostname=text(config, "Hostname"),
            user=text(config, "User"),
            cwd=text(config, "WorkingDir"),
            terminal=flag(config, "Tty"),
            stdin=flag(config, "OpenStdin"),
            stop_signal=number(config, "StopSignal"),
            stop_timeout=number(config, "StopTimeout"),
            has_healthcheck=bool(words(part(config, "Healthcheck"), "Test")),
            runtime=text(whole, "OCIRuntime"),
            privileged=flag(host, "Privileged"),
            network_mode=text(host, "NetworkMode"),
            restart_policy=text(part(host, "RestartPolicy"), "Name"),
            restart_count=number(whole, "RestartCount"),
            auto_remove=flag(host, "AutoRemove"),
            read_only=flag(host, "ReadonlyRootfs"),
            pid_mode=text(host, "PidMode"),
            ipc_mode=text(host, "IpcMode"),
            devices=tuple(text(device, "PathInContainer") for device in documents(host.get("Devices"))),
            limits=Limits.read(host),
            mounts=tuple(Mount.read(mount) for mount in documents(whole.get("Mounts"))),
            networks=tuple(Attachment.read(name, document(place)) for name, place in networks.items()),
            execs=words(whole, "ExecIDs"),
            pod=text(whole, "Pod"),
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """What a container uses. ``cpu_ns`` is processor time since its start, ``cpu_percent`` of one processor."""

    id: str
    name: str
    cpu_percent: float
    cpu_ns: int
    memory: int
    memory_limit: int
    network_in: int
    network_out: int
    block_in: int
    block_out: int
    pids: int

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        networks = [document(place) for place in part(whole, "Network").values()]
        return cls(
            id=text(whole, "ContainerID"),
            name=text(whole, "Name"),
            cpu_percent=fraction(whole, "CPU"),
            cpu_ns=number(whole, "CPUNano"),
            memory=number(whole, "MemUsage"),
            memory_limit=number(whole, "MemLimit"),
            # Version 4 gives sums, 5 each network.
            network_in=number(whole, "NetInput") or sum(number(place, "RxBytes") for place in networks),
            network_out=number(whole, "NetOutput") or sum(number(place, "TxBytes") for place in networks),
            block_in=number(whole, "BlockInput"),
            block_out=number(whole, "BlockOutput"),
            pids=number(whole, "PIDs"),
        )


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes in a container: the columns' titles, and a row for each."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        rows = whole.get("Processes")
        return cls(
            words(whole, "Titles"),
            tuple(tuple(str(field) for field in row) for row in rows if isinstance(row, list))
            if isinstance(rows, list)
            else (),
        )


@dataclass(frozen=True, slots=True)
class ExecState:
    """A program started beside a container's own. The exit code means nothing while it runs; -1 if it never did."""

    id: str
    running: bool
    exit_code: int
    pid: int

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(text(whole, "ID"), flag(whole, "Running"), number(whole, "ExitCode"), number(whole, "Pid"))


@dataclass(frozen=True, slots=True)
class Health:
    """A health check's outcome: ``status`` is healthy, unhealthy or starting."""

    status: str
    failing: int
    output: str

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        logs = documents(whole.get("Log"))
        return cls(text(whole, "Status"), number(whole, "FailingStreak"), text(logs[-1], "Output") if logs else "")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a path in a container is. ``mode`` is Go's: its low nine bits are the permissions."""

    name: str
    size: int
    mode: int
    is_folder: bool
    link_target: str

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            text(whole, "name"),
            number(whole, "size"),
            number(whole, "mode"),
            flag(whole, "isDir"),
            text(whole, "linkTarget"),
        )


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that happened: ``type`` is container, image, volume, network, …; ``action`` start, died, remove, …."""

    type: str
    action: str
    id: str
    name: str
    attributes: Mapping[str, str]
    time: datetime | None
    time_ns: int

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        actor = part(whole, "Actor")
        attributes = texts(actor, "Attributes")
        seconds = number(whole, "time")
        return cls(
            type=text(whole, "Type"),
            action=text(whole, "Action"),
            id=text(actor, "ID") or text(whole, "id"),
            name=attributes.get("name", ""),
            attributes=attributes,
            time=datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 1 << 37 else None,
            time_ns=number(whole, "timeNano"),
        )


@dataclass(frozen=True, slots=True)
class Image:
    """An image. What it would run is only said when it was inspected."""

    id: str
    digest: str
    names: tuple[str, ...]
    size: int
    architecture: str
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: tuple[str, ...]
    user: str
    cwd: str
    volumes: tuple[str, ...]
    ports: tuple[str, ...]

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        config = part(whole, "Config")
        return cls(
            id=text(whole, "Id"),
            digest=text(whole, "Digest"),
            names=words(whole, "RepoTags"),
            size=number(whole, "Size"),
            architecture=text(whole, "Architecture"),
            labels=texts(whole, "Labels"),
            entrypoint=words(config, "Entrypoint"),
            command=words(config, "Cmd"),
            env=words(config, "Env"),
            user=text(whole, "User") or text(config, "User"),
            cwd=text(config, "WorkingDir"),
            volumes=tuple(part(config, "Volumes")),
            ports=tuple(part(config, "ExposedPorts")),
        )


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: a folder that the engine keeps."""

    name: str
    driver: str
    mountpoint: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    created: datetime | None

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        return cls(
            text(whole, "Name"),
            text(whole, "Driver"),
            text(whole, "Mountpoint"),
            texts(whole, "Labels"),
            texts(whole, "Options"),
            moment(whole, "CreatedAt"),
        )


@dataclass(frozen=True, slots=True)
class Network:
    """A network. ``interface`` is its bridge, or the interface that it lies on; ``subnets`` are as ``10.0.0.0/24``."""

    name: str
    id: str
    driver: str
    interface: str
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]
    internal: bool
    labels: Mapping[str, str]
    options: Mapping[str, str]
    default: bool = False
    """Whether containers for which no network is named are in it."""

    @classmethod
    def read(cls, whole: Document) -> Self:
        """Return what the engine's document says."""
        subnets = documents(whole.get("subnets"))
        return cls(
            name=text(whole, "name"),
            id=text(whole, "id"),
            driver=text(whole, "driver"),
            interface=text(whole, "network_interface"),
            subnets=tuple(text(subnet, "subnet") for subnet in subnets),
            gateways=tuple(text(subnet, "gateway") for subnet in subnets if text(subnet, "gateway")),
            internal=flag(whole, "internal"),
            labels=texts(whole, "labels"),
            options=texts(whole, "options"),
            default=flag(whole, "default") or text(whole, "name") == "podman",
        )
