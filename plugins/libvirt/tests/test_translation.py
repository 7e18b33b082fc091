"""Which error of libvirt's becomes which of ours."""

from __future__ import annotations

import libvirt
import pytest
from vhal_libvirt.translation import _BY_CODE, _RULES, translate

from vhal import errors

QEMU, RPC, STORAGE = libvirt.VIR_FROM_QEMU, libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_STORAGE

TABLE = [
    (libvirt.VIR_ERR_NO_DOMAIN, QEMU, "Domain not found", errors.NotFound),
    (libvirt.VIR_ERR_NO_STORAGE_POOL, STORAGE, "Storage pool not found", errors.NotFound),
    (libvirt.VIR_ERR_NO_STORAGE_VOL, STORAGE, "Storage volume not found", errors.NotFound),
    (libvirt.VIR_ERR_NO_NETWORK, QEMU, "Network not found", errors.NotFound),
    (libvirt.VIR_ERR_DOM_EXIST, QEMU, "domain exists", errors.AlreadyExists),
    (libvirt.VIR_ERR_OPERATION_FAILED, QEMU, "domain 'a' already exists with uuid x", errors.AlreadyExists),
    (libvirt.VIR_ERR_STORAGE_VOL_EXIST, STORAGE, "storage volume exists", errors.AlreadyExists),
    (libvirt.VIR_ERR_AUTH_FAILED, RPC, "authentication failed", errors.AccessDenied),
    (libvirt.VIR_ERR_AUTH_UNAVAILABLE, libvirt.VIR_FROM_POLKIT, "no polkit agent", errors.AccessDenied),
    (libvirt.VIR_ERR_ACCESS_DENIED, QEMU, "access denied", errors.AccessDenied),
    (libvirt.VIR_ERR_SYSTEM_ERROR, RPC, "Failed to connect socket to '/x': Permission denied", errors.AccessDenied),
    (libvirt.VIR_ERR_SYSTEM_ERROR, RPC, "Failed to connect socket to '/x': No such file", errors.HostUnreachable),
    (libvirt.VIR_ERR_SYSTEM_ERROR, RPC, "unable to connect to server at 'h:1': Refused", errors.HostUnreachable),
    (libvirt.VIR_ERR_INTERNAL_ERROR, RPC, "client socket is closed", errors.HostUnreachable),
    (libvirt.VIR_ERR_INTERNAL_ERROR, QEMU, "End of file while reading data: Input/output", errors.HostUnreachable),
    (libvirt.VIR_ERR_RPC, RPC, "malformed", errors.HostUnreachable),
    (libvirt.VIR_ERR_OPERATION_ABORTED, QEMU, "migration job: canceled by client", errors.OperationAborted),
    (libvirt.VIR_ERR_OPERATION_TIMEOUT, QEMU, "cannot acquire state change lock", errors.Busy),
    (libvirt.VIR_ERR_RESOURCE_BUSY, QEMU, "busy", errors.Busy),
    (libvirt.VIR_ERR_OPERATION_FAILED, QEMU, "Active console session exists for this domain", errors.Busy),
    (libvirt.VIR_ERR_INTERNAL_ERROR, QEMU, 'qemu: Failed to get "write" lock', errors.Busy),
    (libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "domain is not running", errors.InvalidState),
    (libvirt.VIR_ERR_NO_SUPPORT, QEMU, "not supported", errors.Unsupported),
    (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, QEMU, "unsupported configuration", errors.Unsupported),
    (libvirt.VIR_ERR_MIGRATE_UNSAFE, QEMU, "Unsafe migration", errors.Unsupported),
    (libvirt.VIR_ERR_INTERNAL_ERROR, QEMU, "Unable to access credentials /etc/pki/qemu", errors.Unsupported),
    (libvirt.VIR_ERR_NO_MEMORY, QEMU, "out of memory", errors.InsufficientResources),
    (libvirt.VIR_ERR_INTERNAL_ERROR, QEMU, "cannot set up guest memory: Cannot allocate memory",
     errors.InsufficientResources),
    (libvirt.VIR_ERR_SYSTEM_ERROR, STORAGE, "No space left on device", errors.InsufficientResources),
    (libvirt.VIR_ERR_SYSTEM_ERROR, QEMU, "Cannot access storage file '/x': No such file or directory", errors.NotFound),
    (libvirt.VIR_ERR_SYSTEM_ERROR, QEMU, "cannot open '/x': Permission denied", errors.AccessDenied),
    (libvirt.VIR_ERR_INTERNAL_ERROR, QEMU, "something else", errors.EngineError),
    (libvirt.VIR_ERR_XML_ERROR, QEMU, "XML error", errors.EngineError),
]  # fmt: skip


def libvirt_error(code: int, domain: int, message: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(message)
    error.err = (code, domain, message, 2, message, None, None, -1, -1)
    return error


@pytest.mark.parametrize(("code", "domain", "message", "becomes"), TABLE)
def test_translation(code: int, domain: int, message: str, becomes: type[errors.VhalError]) -> None:
    native = libvirt_error(code, domain, message)
    ours = translate(native)
    assert type(ours) is becomes
    assert ours is not None
    assert ours.native is native
    assert message in ours.message
    assert ours.backend == "libvirt"
    assert ours.hint


def test_what_is_not_libvirts_is_left_alone() -> None:
    assert translate(ValueError("x")) is None


def test_every_rule_has_a_hint() -> None:
    assert all(hint for _, hint in _BY_CODE.values())
    assert all(rule.hint for rule in _RULES)


def test_a_firewall_has_no_say_in_a_socket_of_this_machine() -> None:
    hints = {}
    for where in (
        "Failed to connect socket to '/run/x': No such file",
        "unable to connect to server at 'h:1': Refused",
    ):
        ours = translate(libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, RPC, where))
        assert ours is not None
        assert ours.hint is not None
        hints[where[:6]] = "firewall" in ours.hint
    assert hints == {"Failed": False, "unable": True}
