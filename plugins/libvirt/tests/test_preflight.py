"""What stands against a move that isn't live, found out without a host that could take it."""

from __future__ import annotations

from typing import Any

import pytest
from vhal_libvirt.document import parse
from vhal_libvirt.migration import preflight
from vhal_libvirt.migration.cargo import Cargo, DiskCargo, _firmware, memory_moves

from vhal.driver import MigrationPolicy, Offer
from vhal.spec import Bytes, MachineInfo, MachineKind, MachineState

LIVE, COLD = MigrationPolicy(), MigrationPolicy(live=False)


def offered(state: MachineState) -> Offer:
    machine = MachineInfo(
        id="00000000-0000-4000-8000-000000000000",
        name="m",
        kind=MachineKind.VM,
        state=state,
        cpus=1,
        memory=Bytes(1 << 27),
    )
    return Offer(backend="libvirt", host_uuid="a", machine=machine, state=state)


@pytest.mark.parametrize(
    ("state", "policy", "moves"),
    [
        (MachineState.RUNNING, LIVE, True),
        (MachineState.RUNNING, COLD, False),
        (MachineState.PAUSED, LIVE, True),
        (MachineState.PAUSED, COLD, True),  # the core moves it as it is, whatever the policy says
        (MachineState.STOPPED, LIVE, False),
        (MachineState.STOPPED, COLD, False),
    ],
)
def test_whether_memory_moves(state: MachineState, policy: MigrationPolicy, moves: bool) -> None:
    assert memory_moves(offered(state), policy) is moves


def disks(policy: MigrationPolicy = LIVE, *, live: bool, **fields: Any) -> list[str]:
    disk = DiskCargo(**{"path": "/d", "cache": "none", "read_only": False, "shared": True, **fields})
    cargo = Cargo.model_construct(disks=(disk,))
    return [blocker.code for blocker in preflight._disks(cargo, policy, live=live)]


def test_disks_of_a_stopped_machine() -> None:
    assert disks(live=False, cache="writeback") == []
    assert disks(live=True, cache="writeback") == ["unsafe-cache"]
    assert disks(live=False, shared=False) == ["disk-not-shared"]


def test_disks_of_somebody_else() -> None:
    assert disks(live=False, shared=None) == ["disk-not-shared"]
    assert disks(live=False, shared=None, read_only=True) == []
    assert disks(MigrationPolicy(allow_unsafe=True), live=False, shared=None) == []
    assert disks(live=True, shared=None) == []  # libvirt looks itself


@pytest.mark.parametrize(
    ("inner", "kept"),
    [
        ("<os/>", []),
        ("<os/><devices><tpm model='tpm-crb'/></devices>", ["a TPM"]),
        ("<os><loader type='pflash'/><nvram>/v.fd</nvram></os>", ["UEFI variables"]),
        ("<os firmware='efi'/>", ["UEFI variables"]),
        ("<os firmware='efi'><loader stateless='yes'/></os>", []),
    ],
)
def test_firmware_that_is_kept_on_the_host(inner: str, kept: list[str]) -> None:
    assert list(_firmware(parse(f"<domain>{inner}</domain>"))) == kept
