"""Which way a migration goes: who talks to the destination's daemon, and what carries the memory.

Two lines are needed. On the control line the source's daemon, or this process, talks to the destination's daemon; on
the data line QEMU talks to QEMU. All addresses are built from checked URLs; none comes from an offer or a ticket
without being checked again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from vhal.driver import HostUrl
from vhal_libvirt.address import LONGEST_SOCKET, checked, libvirt_uri
from vhal_libvirt.migration.cargo import Cargo, Place
from vhal_libvirt.options import LibvirtMigrationOptions

_SYSTEM_FOLDER = Path("/run/libvirt")


def is_local(url: HostUrl) -> bool:
    """Return whether a host is reached over a socket of this machine."""
    return url.transport in (None, "unix")


def data_socket(url: HostUrl, cargo: Cargo, options: LibvirtMigrationOptions, machine_id: str) -> str | None:
    """Return the socket for the memory beside the destination's own, or None if it goes over TCP."""
    if options.data == "tcp" or not (is_local(url) and cargo.local):
        return None
    path = str(_socket(url, machine_id))
    return path if len(path.encode()) <= LONGEST_SOCKET else None


def remove_socket(url: HostUrl, machine_id: str) -> None:
    """Remove the socket that a destination's QEMU leaves behind when it is killed, if it can be seen from here."""
    if is_local(url):
        path = _socket(url, machine_id)
        with contextlib.suppress(OSError):
            if path.is_socket():
                path.unlink()


def _socket(url: HostUrl, machine_id: str) -> Path:
    control = url.parameters.get("socket")
    folder = Path(control).parent if control else _SYSTEM_FOLDER
    return folder / f"vhal-{machine_id[:8]}.sock"


def data_uri(place: Place, options: LibvirtMigrationOptions) -> str | None:
    """Return where the memory goes, or None to let the destination's own configuration say it."""
    if place.socket is not None:
        return f"unix://{place.socket}"
    if options.data_host is None:
        return None
    host = f"[{options.data_host}]" if ":" in options.data_host else options.data_host
    return f"tcp://{host}:{options.data_port}" if options.data_port else f"tcp://{host}"


def peer_uri(cargo: Cargo, place: Place, options: LibvirtMigrationOptions) -> str:
    """Return libvirt's address at which the source's daemon reaches the destination's."""
    if options.peer is not None:
        return libvirt_uri(checked(options.peer))
    url = checked(place.url)
    if is_local(url) and not cargo.local:
        # It is this machine that the source is to reach, so it must do it by name, and by the line that is safe.
        url = HostUrl(backend="libvirt", transport="tls", host=place.host, path="/system")
    return libvirt_uri(url)


def peer_is_ssh(place: Place, options: LibvirtMigrationOptions) -> bool:
    """Return whether the source's daemon would need a key of its own to log in to the destination."""
    return checked(options.peer or place.url).transport == "ssh"
