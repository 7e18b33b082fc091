"""What docker answers, said as podman says it, so that :mod:`~vhal_containers.api.types` reads both."""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime
from typing import Any

from vhal_containers.api.document import Document, document, documents, flag, number, part, text, texts, words

PERIOD_US = 100_000
"""Over which docker counts processor time where it is asked for processors."""
NS = 1_000_000_000

_DEFAULT_STOP_S = 10
_TERM = 15
_FOLDER_BIT = 1 << 31
_LINK_BIT = 1 << 27
_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?")
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64
_NO_NAME = "<none>:<none>"
_ACTIONS = {"die": "died", "destroy": "remove", "restart": "restarted"}
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "cpu", "CPUSet": "cpuset", "PidsLimit": "pids"}


def plain_id(id: str) -> str:
    """Return an image's id without the name of its digest."""
    return id.removeprefix("sha256:")


def as_version(whole: Document) -> Document:
    """Return ``/version``."""
    parts = [item for item in documents(whole.get("Components")) if text(item, "Name") != "Engine"]
    engine = {"Name": "Engine", "Version": text(whole, "Version"), "Details": {"APIVersion": text(whole, "ApiVersion")}}
    return {"Version": text(whole, "Version"), "Components": [engine, *parts]}


def as_info(whole: Document) -> Document:
    """Return ``/info``."""
    plugins, store = part(whole, "Plugins"), text(whole, "DockerRootDir")
    group = text(whole, "CgroupVersion") or "1"
    return {
        "host": {
            "hostname": text(whole, "Name"),
            "arch": text(whole, "Architecture"),
            "kernel": text(whole, "KernelVersion"),
            "cpus": number(whole, "NCPU"),
            "memTotal": number(whole, "MemTotal"),
            "ociRuntime": {"name": text(whole, "DefaultRuntime")},
            "cgroupVersion": f"v{group}",
            "cgroupControllers": [name for key, name in _LIMITS.items() if flag(whole, key)],
            "security": {"rootless": any("rootless" in option for option in words(whole, "SecurityOptions"))},
        },
        "plugins": {"network": list(words(plugins, "Network")), "volume": list(words(plugins, "Volume"))},
        "store": {
            "graphDriverName": text(whole, "Driver"),
            "graphRoot": store,
            "volumePath": f"{store}/volumes" if store else "",
            "containerStore": {
                "running": number(whole, "ContainersRunning"),
                "paused": number(whole, "ContainersPaused"),
                "stopped": number(whole, "ContainersStopped"),
            },
        },
    }


def as_listed(whole: Document) -> Document:
    """Return a container of a list."""
    # Links of other containers are among the names, as /other/alias.
    names = [name.lstrip("/") for name in words(whole, "Names") if name.count("/") == 1]
    created = number(whole, "Created")
    return {
        **whole,
        "Names": names,
        "ImageID": plain_id(text(whole, "ImageID")),
        "Created": datetime.fromtimestamp(created, UTC).isoformat() if 0 < created < 1 << 37 else "",
    }


def as_container(whole: Document) -> Document:
    """Return a container, inspected."""
    config, host = part(whole, "Config"), part(whole, "HostConfig")
    check = words(part(config, "Healthcheck"), "Test")
    mode = text(host, "NetworkMode")
    return {
        **whole,
        "Name": text(whole, "Name").lstrip("/"),
        "Image": plain_id(text(whole, "Image")),
        "ImageName": text(config, "Image"),
        "OCIRuntime": text(host, "Runtime"),
        "Config": {
            **config,
            "StopSignal": _signal(text(config, "StopSignal")),
            "StopTimeout": number(config, "StopTimeout") if config.get("StopTimeout") is not None else _DEFAULT_STOP_S,
            "Healthcheck": {} if check[:1] == ("NONE",) else config.get("Healthcheck"),
        },
        "HostConfig": {**host, "NetworkMode": "bridge" if mode == "default" else mode, **_processors(host)},
    }


def as_image(whole: Document) -> Document:
    """Return an image, of a list or inspected."""
    labels = texts(whole, "Labels") or texts(part(whole, "Config"), "Labels")
    names = [name for name in words(whole, "RepoTags") if name != _NO_NAME]
    return {**whole, "Id": plain_id(text(whole, "Id")), "RepoTags": names, "Labels": labels}


def as_network(whole: Document) -> Document:
    """Return a network."""
    name, own_id, driver = text(whole, "Name"), text(whole, "Id"), text(whole, "Driver")
    options = texts(whole, "Options")
    bridge = options.get("com.docker.network.bridge.name") or f"br-{own_id[:12]}"
    pools = documents(part(whole, "IPAM").get("Config"))
    return {
        "name": name,
        "id": own_id,
        "driver": driver,
        "network_interface": bridge if driver == "bridge" else options.get("parent", ""),
        "subnets": [{"subnet": text(pool, "Subnet"), "gateway": text(pool, "Gateway")} for pool in pools],
        "internal": flag(whole, "Internal"),
        "labels": texts(whole, "Labels"),
        "options": options,
        "default": name == "bridge",
    }


def as_stats(whole: Document) -> Document:
    """Return what a container uses."""
    memory = part(whole, "memory_stats")
    networks = [document(place) for place in part(whole, "networks").values()]
    blocks = documents(part(whole, "blkio_stats").get("io_service_bytes_recursive"))
    return {
        "ContainerID": text(whole, "id"),
        "Name": text(whole, "name").lstrip("/"),
        "CPUNano": number(part(part(whole, "cpu_stats"), "cpu_usage"), "total_usage"),
        "MemUsage": number(memory, "usage"),
        "MemLimit": number(memory, "limit"),
        "NetInput": sum(number(place, "rx_bytes") for place in networks),
        "NetOutput": sum(number(place, "tx_bytes") for place in networks),
        "BlockInput": sum(number(block, "value") for block in blocks if text(block, "op").lower() == "read"),
        "BlockOutput": sum(number(block, "value") for block in blocks if text(block, "op").lower() == "write"),
        "PIDs": number(part(whole, "pids_stats"), "current"),
    }


def as_event(whole: Document) -> Document:
    """Return an event. A restart is told when it is over, and not before as podman does: ``restarted``."""
    actor = part(whole, "Actor")
    attributes = texts(actor, "Attributes")
    if code := attributes.get("exitCode"):
        attributes = {**attributes, "containerExitCode": code}
    action = text(whole, "Action")
    return {
        **whole,
        "Action": _ACTIONS.get(action, action) if text(whole, "Type") == "container" else action,
        "Actor": {**actor, "Attributes": attributes},
    }


def as_exec(whole: Document) -> Document:
    """Return a program beside a container's own: one that was never run, or runs, has no exit code yet."""
    code = whole.get("ExitCode")
    return {**whole, "ExitCode": code if isinstance(code, int) else -1}


def as_file_facts(whole: Document) -> Document:
    """Return what is at a path."""
    return {**whole, "isDir": bool(number(whole, "mode") & _FOLDER_BIT)}


def is_link(whole: Document) -> bool:
    """Return whether what is at a path is a link, which docker, unlike podman, doesn't follow."""
    return bool(number(whole, "mode") & _LINK_BIT) and bool(text(whole, "linkTarget"))


def _processors(host: Document) -> dict[str, Any]:
    nano = number(host, "NanoCpus")
    return {"CpuQuota": nano * PERIOD_US // NS, "CpuPeriod": PERIOD_US} if nano else {}


def _signal(name: str) -> int:
    if name.isdecimal():
        return int(name)
    found = _REAL_TIME.fullmatch(name.removeprefix("SIG"))
    if found is not None:
        base, offset = (_FIRST_REAL_TIME if found[1] == "MIN" else _LAST_REAL_TIME), int(found[3] or 0)
        return base - offset if found[2] == "-" else base + offset
    try:
        return int(signal.Signals[f"SIG{name.removeprefix('SIG')}"])
    except KeyError:
        return _TERM
