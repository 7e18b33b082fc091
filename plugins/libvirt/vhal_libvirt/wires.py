"""The networks and bridges of a host that a card can hang on."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from vhal.driver import Blocker, Level
from vhal.errors import NotFound


def missing_network(conn: libvirt.virConnect, name: str) -> Iterator[Blocker]:
    """Yield why a card can't hang on the network: it isn't there, or it isn't started."""
    try:
        network = conn.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_NETWORK:
            raise
        yield Blocker(
            "network-missing",
            f"the host has no network {name!r}",
            "define it (virsh net-define), or use a bridge or user-mode networking",
            Level.HOST,
            NotFound,
        )
        return
    if not network.isActive():
        yield Blocker("network-inactive", f"the network {name!r} isn't started", f"virsh net-start {name}", Level.HOST)


def missing_bridge(conn: libvirt.virConnect, name: str) -> Iterator[Blocker]:
    """Yield why a card can't hang on the bridge: it isn't there. Nothing, where libvirt can't see interfaces."""
    try:
        names = {interface.name() for interface in conn.listAllInterfaces(0)}
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return
    if name not in names:
        yield Blocker(
            "bridge-missing",
            f"the host has no bridge {name!r}",
            "make it, or use another bridge or a network",
            Level.HOST,
            NotFound,
        )
