"""Answers of a real engine get lost while a machine moves. It runs on one host, and the error says the truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

import vhal
from tests.testbed import CounterGuest, Lab, kernel_cmdline
from vhal.driver import Fault, FaultPlan
from vhal.errors import MigrationFailed, MigrationInDoubt, OperationAborted
from vhal.testing import Chaos, one_copy

COUNT = r"count (\d+)\r?\n"


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[vhal.Host, vhal.Host]]:
    with Lab(hosts=2) as lab, vhal.connect(lab.hosts[0].url) as a, vhal.connect(lab.hosts[1].url) as b:
        yield a, b


@pytest.fixture
def vm(hosts: tuple[vhal.Host, vhal.Host]) -> Iterator[vhal.Machine]:
    guest = CounterGuest.build()
    boot = vhal.BootKernel(kernel=str(guest.kernel), initrd=str(guest.initrd), cmdline=kernel_cmdline())
    vm = hosts[0].create(
        vhal.MachineSpec(name="moving", memory="128MiB", boot=boot, options={"libvirt": {"accelerator": "tcg"}})
    )
    try:
        vm.start()
        vm.wait("ready")
        yield vm
    finally:
        for host in hosts:
            for machine in host.machines():
                machine.delete(force=True)


def count(vm: vhal.Machine) -> int:
    with vm.console() as console:
        return int(console.expect(COUNT)[1])


def move(vm: vhal.Machine, to: vhal.Host, plan: FaultPlan) -> vhal.MigrationResult:
    """Move it over connections on which ``plan``'s faults strike."""
    layers = [partial(Chaos, plan=plan, patience_s=0.1)]
    with (
        vhal.connect(vm.host.url, layers=layers) as source,
        vhal.connect(to.url, layers=layers) as destination,
        one_copy(vm.name, vm.host, to),
    ):
        return source.machine(vm.name).migrate(destination)


def test_lost_replies_and_aborts_leave_one_copy(vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host]) -> None:
    a, b = hosts
    before = count(vm)
    for fault, error in (
        (Fault(at="migration.prepare.end", kind="lost-reply"), MigrationFailed),
        (Fault(at="migration.transfer.begin", kind="error"), MigrationFailed),
        (Fault(at="migration.transfer.begin", kind="abort"), OperationAborted),
    ):
        plan = FaultPlan([fault])
        with pytest.raises(error):
            move(vm, b, plan)
        assert plan.faults == [], "it struck"
        now = count(vm)
        assert now > before, "it goes on where it was, and has lost nothing"
        before = now
    # The machine has arrived when this reply is lost: a look says so, and the move succeeds.
    plan = FaultPlan([Fault(at="migration.transfer.end", kind="lost-reply")])
    assert move(vm, b, plan).live
    assert plan.faults == []
    moved = b.machine(vm.name)
    now = count(moved)
    assert now > before
    # What the source still has of it stays, and the error says so; it doesn't run.
    plan = FaultPlan([Fault(at="migration.release.begin")])
    with pytest.raises(MigrationInDoubt, match="could not be tidied"):
        move(moved, a, plan)
    assert count(a.machine(vm.name)) > now
