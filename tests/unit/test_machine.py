"""Machines as users hold them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from vhal_mock.world import World

import vhal
from tests.unit.fakes import EventfulDriver, FakeDriver, PlainDriver
from tests.unit.test_handshake import Pair
from vhal.errors import (
    Busy,
    InvalidSpec,
    InvalidState,
    MigrationRefused,
    NotFound,
    OperationAborted,
    OperationTimeout,
    Unsupported,
)
from vhal.host import Host
from vhal.spec import MachineKind, MachineState

S = MachineState


@pytest.fixture
def hosts() -> Iterator[tuple[vhal.Host, vhal.Host]]:
    with vhal.connect("mock:///a") as a, vhal.connect("mock:///b") as b:
        yield a, b


@pytest.fixture
def vm(hosts: tuple[vhal.Host, vhal.Host]) -> vhal.Machine:
    return hosts[0].create(vhal.MachineSpec(name="web"))


def test_a_life(vm: vhal.Machine) -> None:
    assert vm.kind is MachineKind.VM
    assert vm.host.name == "mock:///a"
    assert repr(vm) == "<Machine 'web' on mock:///a>"
    states = [vm.state()]
    for call in (vm.start, vm.pause, vm.resume, vm.save, vm.restore, vm.reboot, vm.stop):
        call()
        states.append(vm.state())
    assert [state.value for state in states] == [
        "stopped", "running", "paused", "running", "saved", "running", "running", "stopped",
    ]  # fmt: skip
    vm.delete()
    with pytest.raises(NotFound):
        vm.info()


def test_seen_costs_nothing(vm: vhal.Machine) -> None:
    vm.start()
    old = vm.seen
    assert old.state is S.STOPPED
    assert vm.info() == vm.seen
    assert vm.seen.state.value == "running"


class TestStopAndDelete:
    def test_force_discards_saved_memory(self, vm: vhal.Machine) -> None:
        vm.start()
        vm.save()
        with pytest.raises(InvalidState, match="no guest runs"):
            vm.stop()
        vm.stop(force=True)
        assert vm.state() is S.STOPPED

    def test_a_guest_that_doesnt_listen(self, hosts: tuple[vhal.Host, vhal.Host]) -> None:
        vm = hosts[0].create(vhal.MachineSpec(name="deaf", options={"mock": {"stop_s": None}}))
        vm.start()
        with pytest.raises(OperationTimeout) as caught:
            vm.stop(timeout_s=5)
        assert caught.value.hint
        assert vm.state() is S.RUNNING
        vm.stop(force=True)
        assert vm.state() is S.STOPPED

    @pytest.mark.parametrize("bring", ["start", "pause", "save"])
    def test_delete_by_force(self, vm: vhal.Machine, bring: str) -> None:
        vm.start()
        if bring != "start":
            getattr(vm, bring)()
        if bring != "save":
            with pytest.raises(InvalidState, match="delete"):
                vm.delete()
        vm.delete(force=True)
        assert vm.host.machines() == []

    @pytest.mark.parametrize("keep", [True, False])
    def test_delete_says_whether_disks_stay(self, keep: bool) -> None:
        driver = FakeDriver("x", S.RUNNING)
        with vhal.connect(driver) as host:
            host.machine("1").delete(force=True, keep_disks=keep)
        assert driver.kept_disks is keep
        assert driver.calls == ["x.stop", "x.delete", "x.close"]


class TestWait:
    def test_ready(self, vm: vhal.Machine) -> None:
        vm.start()
        assert vm.wait().state is S.RUNNING

    @pytest.mark.parametrize("state", [S.RUNNING, "running"])
    def test_for_a_state(self, vm: vhal.Machine, state: MachineState | str) -> None:
        vm.start()
        assert vm.wait(state).state is S.RUNNING

    def test_in_vain(self, vm: vhal.Machine) -> None:
        with pytest.raises(OperationTimeout, match=r"'web' wasn't paused within 0.01 s; it is stopped") as caught:
            vm.wait("paused", timeout_s=0.01)
        assert caught.value.hint
        with pytest.raises(OperationTimeout, match="wasn't ready") as caught:
            vm.wait(timeout_s=0.01)
        assert "agent" in (caught.value.hint or "")

    def test_for_nonsense(self, vm: vhal.Machine) -> None:
        with pytest.raises(InvalidSpec, match="can't wait for 'up'") as caught:
            vm.wait("up")
        assert "'ready'" in (caught.value.hint or "")

    def test_ready_of_a_backend_that_cant_know(self) -> None:
        with vhal.connect(PlainDriver("x", S.RUNNING)) as host, pytest.raises(Unsupported):
            host.machine("1").wait()

    def test_can_be_aborted(self, vm: vhal.Machine) -> None:
        op = vhal.begin(vm.wait, "running")
        next(op.updates(), None)
        op.abort()
        with pytest.raises(OperationAborted):
            op.result()


class TestConsole:
    def test_needs_a_guest(self, vm: vhal.Machine) -> None:
        with pytest.raises(InvalidState, match="can't console machine 'web': it is stopped") as caught:
            vm.console()
        assert caught.value.hint
        vm.start()
        with vm.console() as console:
            assert console.expect("web ready").group() == b"web ready"

    def test_needs_a_backend_that_has_one(self) -> None:
        with vhal.connect(FakeDriver("x", S.RUNNING)) as host, pytest.raises(Unsupported):
            host.machine("1").console()


class TestMigrate:
    def test_is_the_machine_on_the_other_host_afterwards(
        self, hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine
    ) -> None:
        a, b = hosts
        vm.start()
        known = vm.id
        assert vm.preflight(b)
        result = vm.migrate(b)
        assert (result.source, result.destination) == (a.name, b.name)
        assert vm.host is b
        assert vm.id == known
        assert vm.seen.epoch == 2
        assert [m.name for m in a.machines()] == []
        vm.stop()
        vm.migrate(a)
        assert vm.state() is S.STOPPED
        assert vm.host is a

    def test_cold(self, hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine) -> None:
        vm.start()
        result = vm.migrate(hosts[1], vhal.MigrationPolicy(live=False))
        assert not result.live
        assert result.setup_s >= 2.0
        assert vm.state() is S.RUNNING

    def test_stopped_is_the_same_cold_and_live(self, hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine) -> None:
        vm.migrate(hosts[1], vhal.MigrationPolicy(live=False))
        assert (vm.state(), vm.host) == (S.STOPPED, hosts[1])

    def test_to_itself(self, hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine) -> None:
        answer = vm.preflight(hosts[0])
        assert answer.blockers[0].code == "same-host"
        with pytest.raises(MigrationRefused) as caught:
            vm.migrate(hosts[0])
        assert caught.value.blockers == answer.blockers
        assert vm.host is hosts[0]

    def test_to_a_closed_host(self, hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine) -> None:
        hosts[1].close()
        with pytest.raises(InvalidState, match="is closed"):
            vm.migrate(hosts[1])

    def test_to_another_world(self, vm: vhal.Machine) -> None:
        world = World.from_spec({"hosts": [{"name": "c"}]})
        with vhal.connect(world.url("c")) as c:
            assert [blocker.code for blocker in vm.preflight(c).blockers] == ["other-world"]

    def test_two_at_once(self) -> None:
        """One wins; the other is told that it is busy, and nothing is moved twice."""
        pair = Pair()
        a, b = Host(pair.source, "a"), Host(pair.destination, "b")
        first, second = a.machine("1"), a.machine("1")
        outcome: list[type[BaseException]] = []

        def other() -> None:
            with ThreadPoolExecutor(1) as pool:
                error = pool.submit(second.migrate, b).exception(60)
                assert error is not None
                outcome.append(type(error))

        pair.a.on["transfer"] = other
        first.migrate(b)
        assert outcome == [Busy]
        assert pair.log.count("a.transfer") == 1
        assert second.host is a

    def test_progress_and_abort(self) -> None:
        pair = Pair()
        a, b = Host(pair.source, "a"), Host(pair.destination, "b")
        vm, sending, go_on = a.machine("1"), threading.Event(), threading.Event()

        def wait() -> None:
            sending.set()
            assert go_on.wait(60)
            raise OperationAborted("stopped")

        pair.a.on["transfer"] = wait
        op = vhal.begin(vm.migrate, b)
        assert sending.wait(60)
        assert op.progress is not None
        assert op.progress.phase == "transfer"
        op.abort()
        go_on.set()
        with pytest.raises(OperationAborted):
            op.result()
        assert vm.host is a
        assert vm.state() is S.RUNNING


def test_concurrent_starts(hosts: tuple[vhal.Host, vhal.Host], vm: vhal.Machine) -> None:
    barrier = threading.Barrier(8)

    def start(_: int) -> str:
        machine = hosts[0].machine("web")
        barrier.wait(60)
        try:
            machine.start()
        except InvalidState as error:
            return error.hint or ""
        return "won"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(start, range(8))) == ["it runs already"] * 7 + ["won"]


def test_events_of_an_engine_with_its_own() -> None:
    driver = EventfulDriver("x", S.STOPPED)
    with vhal.connect(driver) as host, host.events() as events:
        host.machine("1").start()
        assert events.next(0) is None
        driver.listeners[0](vhal.Event(vhal.EventKind.STARTED, "1", "web", "x"))
        event = events.next(0)
        assert event is not None
        assert event.kind == "started"
    assert driver.listeners == []
