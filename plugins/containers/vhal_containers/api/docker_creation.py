"""What is asked of podman when a container is made (SpecGenerator), said as docker wants it.

Only what this package asks for is known here; anything else is an error, and isn't left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vhal_containers.api.docker_documents import PERIOD_US
from vhal_containers.api.document import document, documents, number, part, text, texts, words
from vhal_containers.api.errors import ApiError

_KNOWN = frozenset(
    {
        "name", "hostname", "labels", "stop_timeout", "resource_limits", "r_limits", "log_configuration", "mounts",
        "volumes", "devices", "netns", "networks", "image", "entrypoint", "command", "user", "work_dir",
        "stop_signal", "healthconfig", "env", "read_only_filesystem", "cap_add", "cap_drop", "terminal", "stdin",
    }
)  # fmt: skip
_CONFIG = {
    "image": "Image",
    "hostname": "Hostname",
    "labels": "Labels",
    "user": "User",
    "work_dir": "WorkingDir",
    "entrypoint": "Entrypoint",
    "command": "Cmd",
    "healthconfig": "Healthcheck",
    "stop_timeout": "StopTimeout",
    "terminal": "Tty",
    "stdin": "OpenStdin",
}


def creation(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return docker's document of a container.

    Raises:
        ApiError: It asks for something that docker has no word for. Nothing was asked.
    """
    unknown = sorted(key for key in asked.keys() - _KNOWN if asked[key])
    if unknown:
        raise ApiError(400, f"docker has nothing like {', '.join(unknown)}", "", "POST", "/containers/create")
    said: dict[str, Any] = {key: asked[ours] for ours, key in _CONFIG.items() if asked.get(ours) is not None}
    if asked.get("stop_signal") is not None:
        said["StopSignal"] = str(asked["stop_signal"])
    if asked.get("env"):
        said["Env"] = [f"{name}={value}" for name, value in asked["env"].items()]
    host: dict[str, Any] = {
        **resources(part(asked, "resource_limits")),
        "Ulimits": [
            {"Name": text(limit, "type"), "Soft": limit["soft"], "Hard": limit["hard"]}
            for limit in documents(asked.get("r_limits"))
        ],
        "Mounts": [_mount(mount) for mount in documents(asked.get("mounts")) if text(mount, "type") != "tmpfs"]
        + [_volume(volume) for volume in documents(asked.get("volumes"))],
        "Tmpfs": {
            text(mount, "destination"): ",".join((*_tmpfs_options(words(mount, "options")), "exec"))
            for mount in documents(asked.get("mounts"))
            if text(mount, "type") == "tmpfs"
        },
        "ReadonlyRootfs": bool(asked.get("read_only_filesystem")),
        "CapAdd": list(asked.get("cap_add") or ()),
        "CapDrop": list(asked.get("cap_drop") or ()),
    }
    names = [text(device, "path") for device in documents(asked.get("devices"))]
    if names:
        host["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": names}]
    if most := number(part(asked, "log_configuration"), "size"):
        host["LogConfig"] = {"Type": "json-file", "Config": {"max-size": str(most)}}
    return {**said, "HostConfig": {**host}, **_network(asked, host)}


def resources(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return docker's words for OCI's LinuxResources. What has no limit there can only be said of swap and time."""
    memory, cpu = part(asked, "memory"), part(asked, "cpu")
    found = {
        "Memory": max(0, number(memory, "limit")),
        "MemorySwap": number(memory, "swap"),
        "CpuQuota": number(cpu, "quota"),
        "CpuPeriod": number(cpu, "period"),
    }
    if cpus := text(cpu, "cpus"):
        return {**{key: value for key, value in found.items() if value}, "CpusetCpus": cpus}
    return {key: value for key, value in found.items() if value}


def in_nanos(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same for a container whose processors were given as such: docker doesn't take both."""
    rest = {key: value for key, value in resources.items() if key not in ("CpuQuota", "CpuPeriod")}
    quota, period = number(resources, "CpuQuota"), number(resources, "CpuPeriod") or PERIOD_US
    return {**rest, "NanoCpus": quota * 1_000_000_000 // period} if quota > 0 else rest


def _network(asked: Mapping[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the network beside ``HostConfig``, to which the rest is added."""
    mode = text(part(asked, "netns"), "nsmode")
    networks = part(asked, "networks")
    if mode in ("host", "none"):
        host["NetworkMode"] = mode
        return {"HostConfig": host}
    if len(networks) > 1:
        raise ApiError(400, "docker doesn't say which network is which card", "", "POST", "/containers/create")
    for name, place in networks.items():
        host["NetworkMode"] = name
        given = document(place)
        ip = next(iter(words(given, "static_ips")), "")
        family = "IPv6Address" if ":" in ip else "IPv4Address"
        mac = text(given, "static_mac")
        endpoint: dict[str, Any] = {"IPAMConfig": {family: ip}} if ip else {}
        said: dict[str, Any] = {"HostConfig": host}
        if mac:
            # Of the container up to version 1.43 of the API, of its place in the network from then on.
            said["MacAddress"] = endpoint["MacAddress"] = mac
        return {**said, "NetworkingConfig": {"EndpointsConfig": {name: endpoint}}}
    return {"HostConfig": host}


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    # Docker has no words for nosuid and nodev here.
    return {
        "Type": text(mount, "type"),
        "Source": text(mount, "source"),
        "Target": text(mount, "destination"),
        "ReadOnly": "ro" in words(mount, "options"),
        "BindOptions": {"Propagation": "rprivate"},
    }


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": text(volume, "Name"),
        "Target": text(volume, "Dest"),
        "ReadOnly": "ro" in words(volume, "Options"),
    }


def _tmpfs_options(options: tuple[str, ...]) -> tuple[str, ...]:
    # Docker never begins with a copy of what the image has there.
    return tuple(option for option in options if option != "notmpcopyup")


def network(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return docker's document of a network that is asked for in podman's words."""
    options, interface, driver = texts(asked, "options"), text(asked, "network_interface"), text(asked, "driver")
    if interface:
        options["com.docker.network.bridge.name" if driver in ("", "bridge") else "parent"] = interface
    pools = [
        {key: value for key, value in (("Subnet", text(one, "subnet")), ("Gateway", text(one, "gateway"))) if value}
        for one in documents(asked.get("subnets"))
    ]
    return {
        "Name": text(asked, "name"),
        "Driver": driver or "bridge",
        # Without this a second network of that name is made.
        "CheckDuplicate": True,
        "Internal": asked.get("internal") is True,
        "Labels": texts(asked, "labels"),
        "Options": options,
        **({"IPAM": {"Driver": "default", "Config": pools}} if pools else {}),
    }
