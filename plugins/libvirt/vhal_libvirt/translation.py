"""libvirt's errors as ours.

A code says it where codes are specific; where libvirt uses one code for everything (internal error, operation failed,
system error), its domain or its words decide. libvirt's words come through unchanged in ``native``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import libvirt

from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    EngineError,
    HostUnreachable,
    InsufficientResources,
    InvalidState,
    NotFound,
    OperationAborted,
    Unsupported,
    VhalError,
)

_HOST_HINT = "is libvirtd running there, and does a firewall let the connection through?"
_SOCKET_HINT = "start libvirtd on this machine (systemctl start libvirtd), or correct the socket's path in the URL"
_ACCESS_HINT = "run as root or as a member of the group 'libvirt', or use credentials that the host accepts"
_TLS_HINT = (
    "put certificates into /etc/pki/qemu on both hosts, or allow plaintext if the network between them is trusted"
)
_MEMORY_HINT = "stop other machines, or give this one less"
_BUSY_HINT = "another operation holds it; try again later"
_REFUSED = "the engine refuses it; its words say why"
_GONE_HINT = "look at what is there (virsh list --all); it may have been removed or moved away meanwhile"
_FILE_HINT = "put the file or device that the engine names on that host, or correct its path"
_MISSING_HINT = "make what the engine names on that host, or correct its name"
_LOG_HINT = "the engine's words and libvirtd's log on that host (journalctl -u libvirtd) say more"

_BY_CODE: dict[int, tuple[type[VhalError], str]] = {
    libvirt.VIR_ERR_NO_DOMAIN: (NotFound, _GONE_HINT),
    libvirt.VIR_ERR_NO_NETWORK: (NotFound, "make the network, or choose another one"),
    libvirt.VIR_ERR_NO_STORAGE_POOL: (NotFound, "make the pool, or choose another one"),
    libvirt.VIR_ERR_NO_STORAGE_VOL: (NotFound, "make the volume, or choose another one (virsh vol-list POOL)"),
    libvirt.VIR_ERR_NO_INTERFACE: (NotFound, "make the interface, or choose another one (virsh iface-list)"),
    libvirt.VIR_ERR_NO_NODE_DEVICE: (NotFound, "choose another device (virsh nodedev-list)"),
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT: (NotFound, "choose another snapshot (virsh snapshot-list MACHINE)"),
    libvirt.VIR_ERR_DOM_EXIST: (AlreadyExists, "choose another name"),
    libvirt.VIR_ERR_NETWORK_EXIST: (AlreadyExists, "choose another name, or use the network that is there"),
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: (AlreadyExists, "choose another name for the disk, or remove the volume"),
    libvirt.VIR_ERR_AUTH_FAILED: (AccessDenied, _ACCESS_HINT),
    libvirt.VIR_ERR_AUTH_CANCELLED: (AccessDenied, _ACCESS_HINT),
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: (AccessDenied, _ACCESS_HINT),
    libvirt.VIR_ERR_ACCESS_DENIED: (AccessDenied, _ACCESS_HINT),
    libvirt.VIR_ERR_OPERATION_DENIED: (AccessDenied, _ACCESS_HINT),
    libvirt.VIR_ERR_NO_CONNECT: (HostUnreachable, _HOST_HINT),
    libvirt.VIR_ERR_INVALID_CONN: (HostUnreachable, _HOST_HINT),
    libvirt.VIR_ERR_RPC: (HostUnreachable, _HOST_HINT),
    libvirt.VIR_ERR_GNUTLS_ERROR: (HostUnreachable, "check both sides' certificates"),
    libvirt.VIR_ERR_OPERATION_ABORTED: (
        OperationAborted,
        "somebody ended it, here or with another tool; try again if it wasn't meant",
    ),
    libvirt.VIR_ERR_OPERATION_TIMEOUT: (Busy, _BUSY_HINT),
    libvirt.VIR_ERR_RESOURCE_BUSY: (Busy, _BUSY_HINT),
    libvirt.VIR_ERR_OPERATION_INVALID: (
        InvalidState,
        "look at the machine's state; it may have changed meanwhile, so start, stop or resume it first",
    ),
    libvirt.VIR_ERR_NO_SUPPORT: (Unsupported, "this driver or version of libvirt can't do it"),
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: (Unsupported, _REFUSED),
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: (Unsupported, _REFUSED),
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: (Unsupported, _REFUSED),
    libvirt.VIR_ERR_CPU_INCOMPATIBLE: (Unsupported, "choose a processor model that both hosts have"),
    libvirt.VIR_ERR_MIGRATE_UNSAFE: (
        Unsupported,
        "put the disks on shared storage with cache 'none', or allow an unsafe migration if you know better",
    ),
    libvirt.VIR_ERR_NO_MEMORY: (InsufficientResources, _MEMORY_HINT),
}


@dataclass(frozen=True, slots=True)
class _Rule:
    words: re.Pattern[str]
    becomes: type[VhalError]
    hint: str
    codes: frozenset[int] = frozenset(
        {
            libvirt.VIR_ERR_INTERNAL_ERROR,
            libvirt.VIR_ERR_OPERATION_FAILED,
            libvirt.VIR_ERR_SYSTEM_ERROR,
            libvirt.VIR_ERR_INTERNAL_ERROR,
        }
    )


_RULES = (
    _Rule(re.compile(r"already exists|already defined"), AlreadyExists, "choose another name"),
    _Rule(re.compile(r"Active console session"), Busy, "somebody else has the console open"),
    _Rule(re.compile(r"Failed to get .* lock"), Busy, "another machine, maybe on another host, uses the disk"),
    _Rule(re.compile(r"Unable to access credentials|credentials .* not found"), Unsupported, _TLS_HINT),
    _Rule(re.compile(r"Cannot allocate memory|unable to map backing store"), InsufficientResources, _MEMORY_HINT),
    _Rule(re.compile(r"No space left on device"), InsufficientResources, "make room on the host's storage"),
    _Rule(re.compile(r"Permission denied|Operation not permitted"), AccessDenied, _ACCESS_HINT),
    _Rule(
        re.compile(r"No such file or directory|No such device|does not exist|cannot open directory"),
        NotFound,
        _FILE_HINT,
    ),
    _Rule(re.compile(r"migrate guest to the same host"), Unsupported, "choose another host"),
    _Rule(re.compile(r"could not be found|not found"), NotFound, _MISSING_HINT),
    _Rule(re.compile(r"[Cc]onnection refused|No route to host|Network is unreachable"), HostUnreachable, _HOST_HINT),
)
_CLOSED = re.compile(r"client socket is closed|connection closed|keepalive timeout|End of file while reading data")


def translate(error: Exception) -> VhalError | None:
    """Return libvirt's ``error`` as one of ours, with itself as ``native``; None if it isn't libvirt's."""
    if not isinstance(error, libvirt.libvirtError):
        return None
    kind, hint = _kind(error)
    message = error.get_error_message() or str(error)
    return kind(f"libvirt: {message}", hint=hint, backend="libvirt", native=error)


def unreachable(error: libvirt.libvirtError) -> bool:
    """Return whether the error means that a host doesn't answer or a connection died."""
    return issubclass(_kind(error)[0], HostUnreachable)


def _kind(error: libvirt.libvirtError) -> tuple[type[VhalError], str]:
    code, message = error.get_error_code(), error.get_error_message() or ""
    # What the layer below every call says is about the line to the host, whatever its code. Its words for a missing
    # socket and for a refused one are those of a missing file.
    if error.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE) and code not in _BY_CODE:
        if re.search(r"Permission denied", message):
            return AccessDenied, _ACCESS_HINT
        # Only a socket of this machine has a path; a firewall has no say in it.
        return HostUnreachable, _SOCKET_HINT if re.search(r"connect socket to '/", message) else _HOST_HINT
    if _CLOSED.search(message):
        return HostUnreachable, _HOST_HINT
    for rule in _RULES:
        if code in rule.codes and rule.words.search(message):
            return rule.becomes, rule.hint
    return _BY_CODE.get(code, (EngineError, _LOG_HINT))
