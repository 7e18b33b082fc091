"""The networks of a machine: which of the engine's it hangs on, and with which addresses.

A container hangs on networks that the engine has, at most once on each. A bridge of the host is one of them if the
engine has a network on it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Sequence
from typing import Any

from vhal.driver import Blocker, Level
from vhal.errors import AlreadyExists, InvalidSpec, NotFound
from vhal.spec import MachineSpec, Nic
from vhal_containers.api.types import ListedContainer, Network
from vhal_containers.identity import ID, SPEC

DEFAULT_NETWORK = "podman"
"""The network that every podman has; docker's is called otherwise."""
_DRIVERS = ("bridge", "macvlan", "ipvlan")


def network_of(nic: Nic, networks: Sequence[Network]) -> Network | None:
    """Return the engine's network that a card hangs on, or None if there is none."""
    if nic.bridge is not None:
        return next((net for net in networks if net.driver == "bridge" and net.interface == nic.bridge), None)
    wanted = nic.network or default_name(networks)
    return next((net for net in networks if net.name == wanted), None)


def default_name(networks: Sequence[Network]) -> str:
    """Return the name of the network that a card hangs on which names none."""
    return next((net.name for net in networks if net.default), DEFAULT_NETWORK)


def document(spec: MachineSpec, networks: Sequence[Network], *, host: bool) -> dict[str, Any]:
    """Return what the engine's document says of a machine's network.

    Precondition: :func:`blockers` had none.
    """
    if host:
        return {"netns": {"nsmode": "host"}}
    if not spec.nics:
        return {"netns": {"nsmode": "none"}}
    places: dict[str, dict[str, Any]] = {}
    for number, nic in enumerate(spec.nics):
        network = network_of(nic, networks)
        place: dict[str, Any] = {"interface_name": f"eth{number}"}
        if nic.ip is not None:
            place["static_ips"] = [str(ipaddress.ip_interface(nic.ip).ip)]
        if nic.mac is not None:
            place["static_mac"] = nic.mac
        places[network.name if network is not None else nic.network or default_name(networks)] = place
    return {"netns": {"nsmode": "bridge"}, "networks": places}


def blockers(
    spec: MachineSpec, networks: Sequence[Network], others: Sequence[ListedContainer], *, rootless: bool
) -> Iterator[Blocker]:
    """Yield what stands against hanging the machine's cards where it wants them.

    Args:
        spec: The machine's.
        networks: Those of the engine.
        others: The containers that are there.
        rootless: Whether the engine is a user's own.
    """
    used: set[str] = set()
    for nic in spec.nics:
        if nic.user:
            yield _never("user-network", "a container has no user-mode network", "leave user out, or name a network")
            continue
        if nic.model != "virtio":
            yield _never("nic-model", f"a container's card is no {nic.model}", "leave the card's model out")
        network = network_of(nic, networks)
        if network is None:
            yield _missing(nic, default_name(networks))
            continue
        if network.name in used:
            yield _never(
                "network-twice",
                f"a container can't hang on the network {network.name} twice",
                "give each card a network of its own",
            )
        used.add(network.name)
        if network.driver not in _DRIVERS:
            yield _host("network-driver", f"networks of kind {network.driver!r} aren't known", "choose another network")
        if network.driver != "bridge" and rootless:
            yield _host("network-rootless", f"a user's own engine has no {network.driver} networks", "use a bridge")
        if nic.ip is not None:
            yield from _address(nic.ip, network, others, default_name(networks))


def _missing(nic: Nic, default: str) -> Blocker:
    if nic.bridge is not None:
        message = f"the engine has no network on the bridge {nic.bridge}"
        remedy = f"make one (podman network create --interface-name {nic.bridge} NAME), or name a network"
    else:
        message = f"the engine has no network {nic.network or default}"
        remedy = "make it (podman network create), or choose one of 'podman network ls'"
    return Blocker("network-missing", message, remedy, Level.HOST, NotFound)


def _address(text: str, network: Network, others: Sequence[ListedContainer], default: str) -> Iterator[Blocker]:
    wanted = ipaddress.ip_interface(text)
    subnets = [ipaddress.ip_network(subnet, strict=False) for subnet in network.subnets]
    fitting = [subnet for subnet in subnets if wanted.ip in subnet]
    if not fitting:
        listed = ", ".join(network.subnets) or "none"
        yield Blocker(
            "address-outside",
            f"{wanted.ip} isn't in the network {network.name}, whose subnets are: {listed}",
            "choose an address of it, or another network",
            Level.HOST,
            InvalidSpec,
        )
        return
    if "/" in text and wanted.network.prefixlen != fitting[0].prefixlen:
        yield Blocker(
            "address-prefix",
            f"the network {network.name} has /{fitting[0].prefixlen}, not /{wanted.network.prefixlen}",
            "write the address without its prefix length, or with that one",
            Level.HOST,
            InvalidSpec,
        )
    if wanted.ip in (fitting[0].network_address, fitting[0].broadcast_address) and fitting[0].num_addresses > 2:
        yield Blocker(
            "address-reserved",
            f"{wanted.ip} is no machine's address in {fitting[0]}",
            "choose another address",
            Level.HOST,
            InvalidSpec,
        )
    if str(wanted.ip) in network.gateways:
        yield _taken(f"{wanted.ip} is the gateway of the network {network.name}")
    for other in others:
        if (network.name, str(wanted.ip)) in _places(other, default):
            yield _taken(f"{wanted.ip} in the network {network.name} is the address of {other.name!r}")


def _taken(message: str) -> Blocker:
    return Blocker("address-taken", message, "choose another address", Level.HOST, AlreadyExists)


def _places(other: ListedContainer, default: str) -> set[tuple[str, str]]:
    """Return the networks and addresses that another machine asked for; containers of others don't tell in a list."""
    if ID not in other.labels:
        return set()
    try:
        nics = json.loads(other.labels.get(SPEC, "")).get("nics", [])
        return {
            (nic.get("network") or default, str(ipaddress.ip_interface(nic["ip"]).ip)) for nic in nics if nic.get("ip")
        }
    except (ValueError, TypeError, AttributeError):
        return set()


def _never(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.BACKEND)


def _host(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.HOST)
