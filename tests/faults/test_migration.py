"""Something dies while a real machine moves. It runs on exactly one host afterwards, and the error says the truth.

Each fault hits in the middle of the transfer: the move is slowed down, and the first bytes reported are the signal.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

import vhal
from tests.testbed import CounterGuest, Host, Lab, kernel_cmdline, wait_until
from vhal.errors import MigrationFailed, MigrationInDoubt, OperationAborted, OperationTimeout

SLOWLY = vhal.MigrationPolicy(bandwidth="4MiB")
COUNT = r"count (\d+)\r?\n"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(hosts=2) as lab:
        yield lab


@pytest.fixture(scope="module")
def guest() -> CounterGuest:
    return CounterGuest.build()


@pytest.fixture
def places(lab: Lab) -> tuple[Host, Host]:
    a, b = lab.hosts
    return a, b


@pytest.fixture
def hosts(places: tuple[Host, Host]) -> Iterator[tuple[vhal.Host, vhal.Host]]:
    with vhal.connect(places[0].url) as a, vhal.connect(places[1].url) as b:
        yield a, b
        for host, place in ((a, places[0]), (b, places[1])):
            place.wait_daemon()
            for machine in host.machines():
                machine.delete(force=True)


@pytest.fixture
def vm(hosts: tuple[vhal.Host, vhal.Host], guest: CounterGuest) -> vhal.Machine:
    vm = hosts[0].create(
        vhal.MachineSpec(
            name="moving",
            memory="128MiB",
            boot=vhal.BootKernel(
                kernel=str(guest.kernel), initrd=str(guest.initrd), cmdline=kernel_cmdline(dirty_mib=16, dirty_mib_s=1)
            ),
            nics=[vhal.Nic(bridge="br0")],
            options={"libvirt": {"accelerator": "tcg"}},
        )
    )
    vm.start()
    vm.wait("ready")
    return vm


def count(vm: vhal.Machine) -> int:
    with vm.console() as console:
        return int(console.expect(COUNT)[1])


def under_way(
    vm: vhal.Machine,
    to: vhal.Host,
    policy: vhal.MigrationPolicy = SLOWLY,
    strike: Callable[[vhal.Operation[vhal.MigrationResult]], None] | None = None,
) -> vhal.Operation[vhal.MigrationResult]:
    """Begin a move, and strike once its first bytes have gone over."""
    operation = vhal.begin(vm.migrate, to, policy)
    for progress in operation.updates():
        if progress.phase == "transfer" and progress.done:
            if strike is not None:
                strike(operation)
            break
    # What was struck may have ended already, by that: its result tells.
    assert strike is not None or not operation.done, operation.result()
    return operation


def goes_on(vm: vhal.Machine, host: vhal.Host, other: vhal.Host, before: int) -> None:
    """It runs where it was, has lost nothing, and the other host has nothing of it."""
    again = host.machine(vm.name)
    assert again.state() == "running"
    assert count(again) > before
    assert [machine.name for machine in other.machines()] == []


def test_an_aborted_move_is_undone(vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host]) -> None:
    before = count(vm)
    operation = under_way(vm, hosts[1], strike=lambda operation: operation.abort())
    with pytest.raises(OperationAborted):
        operation.result()
    goes_on(vm, *hosts, before)
    # And it can move all the same.
    assert vm.migrate(hosts[1]).live


def test_a_move_that_takes_too_long_is_undone(vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host]) -> None:
    before = count(vm)
    with pytest.raises(OperationTimeout):
        vm.migrate(hosts[1], SLOWLY, timeout_s=4)
    goes_on(vm, *hosts, before)


def test_the_destinations_qemu_dies(
    vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host], places: tuple[Host, Host]
) -> None:
    before = count(vm)
    operation = under_way(vm, hosts[1], strike=lambda _: places[1].signal_qemu(vm.name, signal.SIGKILL))
    with pytest.raises(MigrationFailed) as caught:
        operation.result()
    assert caught.value.hint
    goes_on(vm, *hosts, before)


def test_the_destinations_daemon_dies(
    vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host], places: tuple[Host, Host]
) -> None:
    before = count(vm)
    operation = under_way(vm, hosts[1], strike=lambda _: places[1].signal_daemon(signal.SIGKILL))
    # Nobody can be asked there whether it arrived: that is doubt, not failure.
    with pytest.raises(MigrationInDoubt):
        operation.result()
    assert vm.state() == "running"
    places[1].start_daemon()
    wait_until(lambda: not hosts[1].machines(), deadline=60, what="the destination's clean-up")
    goes_on(vm, *hosts, before)


def test_the_sources_daemon_dies(
    vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host], places: tuple[Host, Host]
) -> None:
    before = count(vm)
    operation = under_way(vm, hosts[1], strike=lambda _: places[0].signal_daemon(signal.SIGKILL))
    with pytest.raises(MigrationInDoubt):
        operation.result()
    places[0].start_daemon()
    wait_until(lambda: not hosts[1].machines(), deadline=60, what="the destination's clean-up")
    goes_on(vm, *hosts, before)


def test_the_network_between_them_is_cut(
    vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host], places: tuple[Host, Host]
) -> None:
    before = count(vm)
    over_tcp = SLOWLY.replace(allow_plaintext=True, options={"libvirt": {"data": "tcp"}})
    try:
        operation = under_way(vm, hosts[1], over_tcp, strike=lambda _: places[1].cut_network())
        operation.abort()
        with pytest.raises((OperationAborted, MigrationFailed)):
            operation.result()
    finally:
        places[1].restore_network()
    goes_on(vm, *hosts, before)


def test_the_machine_itself_dies(
    vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host], places: tuple[Host, Host]
) -> None:
    operation = under_way(vm, hosts[1], strike=lambda _: places[0].signal_qemu(vm.name, signal.SIGKILL))
    with pytest.raises(MigrationFailed) as caught:
        operation.result()
    assert "ended while it was being moved" in caught.value.message
    assert hosts[1].machines() == []
    # The definition is where it was, and starts again.
    again = hosts[0].machine(vm.name)
    again.start()
    assert again.state() == "running"


def test_a_machine_on_its_way_is_not_to_be_touched(vm: vhal.Machine, hosts: tuple[vhal.Host, vhal.Host]) -> None:
    operation = under_way(vm, hosts[1])
    for call in (vm.stop, vm.pause, vm.delete, lambda: vm.migrate(hosts[1])):
        with pytest.raises(vhal.VhalError) as caught:
            call()
        assert caught.value.code == "busy"
    operation.abort()
    with pytest.raises(OperationAborted):
        operation.result()
