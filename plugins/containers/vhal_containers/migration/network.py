"""Holding the traffic of a machine that is about to arrive.

When an engine brings a container back, its network is there some tenths of a second before its sockets are. What comes
for them in between, the kernel answers with a reset, and the connection is gone. So what comes is dropped until they
are there: a client takes that for a bad network, and sends it again.

How traffic is held depends on the network, so it can be replaced: :func:`use` takes any :class:`TrafficHold`. It is
code that whoever runs vhal brings along; no URL, spec or policy names it.

The default, :class:`NftHold`, drops it with nftables where it enters the destination's host, by rules that lapse by
themselves: a process that dies in the middle cuts nobody off for longer than :data:`LAPSE_S`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from vhal.spec import Model
from vhal_containers.address import Address
from vhal_containers.api.types import Network
from vhal_containers.reach import Reach, ReachError, reach

log = logging.getLogger("vhal.containers.migration")

LAPSE_S = 30
"""How long a hold lasts that nobody renews."""
TABLE = "vhal_hold_"
"""What the names of our tables begin with."""
_RENEW_S = LAPSE_S / 3
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


class HeldAddress(Model):
    """An address that moves, and the network that it is in."""

    ip: str
    network: str
    driver: str
    """``bridge``, ``macvlan``, ``ipvlan``."""
    interface: str
    """At the destination: the bridge, or the interface below; ``""`` for that of the default route."""


class HoldError(Exception):
    """Traffic can't be held."""


class TrafficHold(Protocol):
    """What holds traffic at a destination. Safe to use from several threads."""

    def problem(self, where: Address) -> str | None:
        """Return why it can't be done where this engine is, or None. Changes nothing; never raises."""

    def hold(self, where: Address, addresses: Sequence[HeldAddress]) -> contextlib.AbstractContextManager[None]:
        """Keep what is sent to ``addresses`` from reaching the engine's host, while the context lasts.

        On entering, what its host believes about the addresses' neighbours is forgotten. On leaving, everything is as
        before, whatever happened; and if this process dies in between, it will be soon.

        Raises:
            HoldError: It can't be done. On leaving, nothing is raised.
        """


class NftHold:
    """Holds traffic with nftables at the interfaces through which it comes to the engine's host."""

    def problem(self, where: Address) -> str | None:
        try:
            way = reach(where)
        except ReachError as error:
            return str(error)
        try:
            way.run(["nft", "-j", "list", "tables", "netdev"])
        except ReachError as error:
            return f"nft can't be used there: {error}"
        finally:
            way.close()
        return None

    @contextlib.contextmanager
    def hold(self, where: Address, addresses: Sequence[HeldAddress]) -> Iterator[None]:
        try:
            way = reach(where)
        except ReachError as error:
            raise HoldError(str(error)) from error
        with contextlib.closing(way):
            try:
                _sweep(way)
                devices = sorted({device for held in addresses for device in _devices(way, held)})
                if not devices:
                    yield
                    return
                table = f"{TABLE}{secrets.token_hex(6)}"
                way.run(["nft", "-f", "-"], input=_rules(table, devices, addresses))
            except ReachError as error:
                raise HoldError(str(error)) from error
            released = threading.Event()
            renewal = threading.Thread(
                target=_renew, args=(way, table, addresses, released), name="vhal-containers-hold", daemon=True
            )
            renewal.start()
            try:
                _forget_neighbours(way, addresses)
                yield
            finally:
                released.set()
                # Held traffic costs downtime, so the rules go first.
                _remove(way, table)
                renewal.join()
                _remove_again(way, table)


_hold: TrafficHold = NftHold()


def use(hold: TrafficHold) -> TrafficHold:
    """Hold traffic with this from now on, in this process; return what was used before."""
    global _hold
    before, _hold = _hold, hold
    return before


def traffic_hold() -> TrafficHold:
    """Return what holds traffic."""
    return _hold


def held_addresses(places: Sequence[tuple[str, str]], networks: Sequence[Network]) -> tuple[HeldAddress, ...]:
    """Return what is to be held for places (network, address) in an engine's networks."""
    by_name = {network.name: network for network in networks}
    return tuple(
        HeldAddress(ip=ip, network=name, driver=by_name[name].driver, interface=by_name[name].interface)
        for name, ip in places
        if name in by_name and ip
    )


def _elements(addresses: Sequence[HeldAddress], version: int) -> str:
    found = sorted({str(ip) for held in addresses if (ip := ipaddress.ip_address(held.ip)).version == version})
    return ", ".join(f"{ip} timeout {LAPSE_S}s" for ip in found)


def _fill(table: str, addresses: Sequence[HeldAddress]) -> str:
    """Return the lines that have a set hold the addresses from now on."""
    lines = []
    for version in (4, 6):
        lines.append(f"flush set netdev {table} held{version}")
        elements = _elements(addresses, version)
        if elements:
            lines.append(f"add element netdev {table} held{version} {{ {elements} }}")
    return "\n".join(lines) + "\n"


def _rules(table: str, devices: Sequence[str], addresses: Sequence[HeldAddress]) -> str:
    chains = "".join(
        f'chain at{number} {{ type filter hook ingress device "{device}" priority -500; '
        "ip daddr @held4 drop; ip6 daddr @held6 drop; }\n"
        for number, device in enumerate(devices)
    )
    return (
        f"table netdev {table} {{\n"
        "set held4 { type ipv4_addr; flags timeout; }\n"
        "set held6 { type ipv6_addr; flags timeout; }\n"
        f"{chains}}}\n" + _fill(table, addresses)
    )


def _renew(way: Reach, table: str, addresses: Sequence[HeldAddress], released: threading.Event) -> None:
    while not released.wait(_RENEW_S):
        try:
            way.run(["nft", "-f", "-"], input=_fill(table, addresses))
        except ReachError as error:
            if not released.is_set():
                log.warning("the traffic of a machine that moves may not be held any more: %s", error)


def _remove(way: Reach, table: str) -> None:
    try:
        way.run(["nft", "-f", "-"], input=f"delete table netdev {table}\n")
    except ReachError as error:
        log.warning("traffic that was held is let through again in %d s only: %s", LAPSE_S, error)


def _remove_again(way: Reach, table: str) -> None:
    # Only if the first time failed: what is added and deleted in one go is gone either way.
    with contextlib.suppress(ReachError):
        if table in _tables(way):
            way.run(["nft", "-f", "-"], input=f"delete table netdev {table}\n")


def _tables(way: Reach) -> dict[str, bool]:
    """Return our tables, each with whether it still holds something."""
    told: Any = json.loads(way.run(["nft", "-j", "list", "ruleset", "netdev"]) or "{}")
    found: dict[str, bool] = {}
    for item in told.get("nftables", []):
        name = item.get("table", {}).get("name", "")
        if name.startswith(TABLE):
            found.setdefault(name, False)
        held = item.get("set", {})
        if held.get("elem") and held.get("table", "").startswith(TABLE):
            found[held["table"]] = True
    return found


def _sweep(way: Reach) -> None:
    """Remove what processes that died have left, once it has lapsed."""
    try:
        for table, holds in _tables(way).items():
            if not holds:
                way.run(["nft", "-f", "-"], input=f"delete table netdev {table}\n")
    except (ReachError, ValueError, AttributeError) as error:
        log.debug("rules of former moves can't be swept: %s", error)


def _devices(way: Reach, held: HeldAddress) -> list[str]:
    """Return the interfaces through which what is for an address comes to the host."""
    if held.driver == "bridge":
        # Containers' own cards lead to other namespaces; what is left leads away from the host.
        ports = json.loads(way.run(["ip", "-j", "link", "show"]) or "[]")
        names = [
            port["ifname"] for port in ports if port.get("master") == held.interface and "link_netnsid" not in port
        ]
    elif held.interface:
        names = [held.interface]
    else:
        routes = json.loads(way.run(["ip", "-j", "route", "show", "default"]) or "[]")
        names = [route["dev"] for route in routes[:1] if "dev" in route]
    return [name for name in names if _DEVICE.fullmatch(name)]


def _forget_neighbours(way: Reach, addresses: Sequence[HeldAddress]) -> None:
    lines = "".join(f"neigh flush to {ipaddress.ip_address(held.ip)}\n" for held in addresses)
    with contextlib.suppress(ReachError):
        way.run(["ip", "-force", "-batch", "-"], input=lines)
