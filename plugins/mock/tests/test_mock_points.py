"""The table of fault points against the code, and what each kind of fault does where it strikes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import vhal_mock
from vhal_mock.points import POINTS
from vhal_mock.world import World

import vhal
from vhal.driver import MigrationPolicy
from vhal.driver.fault import Fault, FaultKind
from vhal.errors import (
    AlreadyExists,
    EngineError,
    HostUnreachable,
    InvalidSpec,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.spec.state import MachineState as S

pytestmark = pytest.mark.timeout(60)


class Lab:
    """Two hosts, connected."""

    def __init__(self, *faults: Fault, **spec: object) -> None:
        self.world = World.from_spec({"hosts": [{"name": "a", "cpus": 1, "cpu_overcommit": 2}, {"name": "b"}], **spec})
        self.a, self.b = (vhal.connect(self.world.url(name)) for name in "ab")
        self.world.inject(*faults)

    def vm(self, name: str = "web", **fields: object) -> vhal.Machine:
        """Make one that has two processors: one fills host ``a``."""
        return self.a.create(vhal.MachineSpec(**{"name": name, "cpus": 2, "memory": "1GiB", **fields}))  # type: ignore[arg-type]


def everything() -> set[str]:
    """Do all there is to do, and return the points that were visited."""
    lab = Lab()
    lab.world.faults.watch()
    a, b = lab.a, lab.b
    vm = lab.vm(disks=[vhal.Disk(size="1GiB")])
    vm.start()
    vm.wait("ready")
    a.info()
    a.machines()
    vm.usage()
    vm.console().close()
    vm.exec(["true"])
    vm.write_file("/x", b"1")
    vm.read_file("/x")
    vm.pause()
    vm.resume()
    vm.reboot()
    vm.save()
    vm.restore()
    vm.resize(memory="2GiB")
    vm.stop()
    vm.snapshot("s")
    vm.snapshots()
    vm.revert("s")
    vm.delete_snapshot("s")
    vm.start()
    vm.migrate(b)
    vm.migrate(a)
    busy = lab.vm("busy", options={"mock": {"dirty_rate": "4GiB", "working_set": 1.0}})
    vm.stop(force=True)
    busy.start()
    busy.migrate(b, MigrationPolicy(post_copy=True))
    vm.start()
    lab.world.inject(Fault(at="migration.transfer.switch"))
    with pytest.raises(VhalError):
        vm.migrate(b)
    vm.delete(force=True)
    visits = lab.world.faults.visits
    assert visits is not None
    return {re.sub("=[0-9]+$", "=N", visit.point) for visit in visits}


def test_every_point_is_visited_and_every_visit_is_a_point() -> None:
    assert everything() == set(POINTS)


def test_every_visit_in_the_code_is_in_the_table() -> None:
    """Also those that no test comes by."""
    code = "".join(path.read_text() for path in Path(vhal_mock.__file__).parent.rglob("*.py"))
    inside = set(re.findall(r'visit\(\s*f?"([^"{]+)', code))
    ends = set(re.findall(r'\.(?:begin|end)\(\s*"([a-z_.]+)"', code))
    names = {name.removesuffix("N") for name in POINTS}
    assert inside <= names
    assert {f"{call}.{end}" for call in ends for end in ("begin", "end")} <= names
    assert len(inside) >= 10
    assert len(ends) >= 20


class TestKinds:
    def test_an_error_is_the_engines(self) -> None:
        vm = Lab(Fault(at="start.begin", message="no KVM")).vm()
        with pytest.raises(EngineError, match="no KVM") as caught:
            vm.start()
        assert caught.value.hint
        assert vm.state() is S.STOPPED
        vm.start()

    @pytest.mark.parametrize("at", ["start.begin", "start.after_claim_before_power", "start.end"])
    def test_a_reply_that_is_lost_is_one_to_what_was_done(self, at: str) -> None:
        vm = Lab(Fault(at=at, kind="lost-reply")).vm()
        with pytest.raises(HostUnreachable, match="broke while it answered start"):
            vm.start()
        assert vm.state() is S.RUNNING

    @pytest.mark.parametrize("at", ["migration.offer.begin", "migration.prepare.begin", "reboot.begin"])
    def test_a_lost_reply_is_not_found_again_by_a_call_inside(self, at: str) -> None:
        lab = Lab(Fault(at=at, kind="lost-reply"))
        vm = lab.vm()
        vm.start()
        with pytest.raises(VhalError) as caught:
            vm.reboot() if at.startswith("reboot") else vm.migrate(lab.b)
        assert "broke while it answered" in str(caught.value)

    def test_a_hang_lasts_until_the_deadline_or_the_end(self) -> None:
        lab = Lab(Fault(at="stop.begin", kind="hang", seconds=100))
        vm = lab.vm()
        vm.start()
        with pytest.raises(VhalError):
            vm.stop(timeout_s=20)
        assert lab.world.clock.now_s < 100
        lab.world.clock.advance(100)
        assert vm.state() is S.RUNNING

    def test_a_hang_that_ends_in_time_is_a_delay(self) -> None:
        lab = Lab(Fault(at="start.begin", kind="hang", seconds=12))
        lab.vm().start()
        assert lab.world.clock.now_s == 12

    def test_an_abort(self) -> None:
        lab = Lab(Fault(at="migration.transfer.round=1", kind="abort"))
        vm = lab.vm()
        vm.start()
        with pytest.raises(OperationAborted) as caught:
            vm.migrate(lab.b)
        assert caught.value.hint
        assert (vm.state(), lab.b.machines()) == (S.RUNNING, [])

    def test_nobody_can_call_off_a_post_copy(self) -> None:
        for kind in (FaultKind.ABORT, FaultKind.HANG, FaultKind.DELAY):
            lab = Lab(Fault(at="migration.transfer.post_copy", kind=kind, seconds=5))
            vm = lab.vm(options={"mock": {"dirty_rate": "4GiB", "working_set": 1.0}})
            vm.start()
            vm.migrate(lab.b, MigrationPolicy(post_copy=True), timeout_s=60)
            assert lab.b.machine("web").state() is S.RUNNING

    def test_a_delay(self) -> None:
        lab = Lab(Fault(at="start.begin", kind="delay"), Fault(at="start.begin", kind="delay", seconds=3, skip=1))
        vm = lab.vm()
        vm.start()
        assert lab.world.clock.now_s == 1
        vm.stop(force=True)
        vm.start()
        assert lab.world.clock.now_s in (1, 4)

    def test_a_machine_that_crashes_while_it_is_asked_to_stop_stays_crashed(self) -> None:
        lab = Lab(Fault(at="stop.after_request", kind="machine-crash"))
        vm = lab.vm()
        vm.start()
        with pytest.raises(VhalError):
            vm.stop()
        assert vm.state() is S.CRASHED
        assert lab.a.info().allocated.cpus == 0

    def test_a_host_that_crashes_takes_its_machines_and_no_others(self) -> None:
        lab = Lab(Fault(at="start.begin", kind="host-crash", seconds=30))
        vm = lab.vm()
        with pytest.raises(HostUnreachable, match="is down"):
            vm.start()
        assert lab.b.machines() == []
        lab.world.clock.advance(30)
        assert vm.state() is S.STOPPED

    def test_a_partition_leaves_them_running(self) -> None:
        lab = Lab()
        vm = lab.vm()
        vm.start()
        lab.world.host("a").trouble.partition(60)
        with pytest.raises(HostUnreachable, match="can't be reached"):
            vm.state()
        lab.world.clock.advance(60)
        assert vm.state() is S.RUNNING

    def test_a_slow_link(self) -> None:
        lab = Lab()
        vm = lab.vm(options={"mock": {"dirty_rate": 0}})
        vm.start()
        there = vm.migrate(lab.b)
        lab.world.inject(Fault(at="migration.transfer.begin", kind="slow-link", factor=0.1))
        assert vm.migrate(lab.a).transfer_s == pytest.approx(10 * there.transfer_s, rel=0.2)

    def test_a_full_disk(self) -> None:
        lab = Lab(Fault(at="create.begin", kind="disk-full", seconds=10))
        with pytest.raises(VhalError, match="disk is full"):
            lab.vm(disks=[vhal.Disk(size="1GiB")])
        lab.world.clock.advance(10)
        lab.vm(disks=[vhal.Disk(size="1GiB")])


class TestBetween:
    """What others do while a fault keeps a call waiting in its middle."""

    def test_two_starts_dont_get_the_room_of_one(self) -> None:
        lab = Lab(Fault(at="start.after_claim_before_power", kind="delay", seconds=5))
        one, two = lab.vm("one"), lab.vm("two")
        with pytest.raises(VhalError, match="is full"):
            lab.world.clock.together(one.start, two.start)
        assert lab.world.host("a").used_cpus == 2
        assert sorted((one.state(), two.state())) == [S.RUNNING, S.STOPPED]

    def test_a_start_that_fails_gives_its_room_back(self) -> None:
        lab = Lab(Fault(at="start.after_claim_before_power"))
        vm = lab.vm()
        with pytest.raises(EngineError):
            vm.start()
        assert lab.a.info().allocated.cpus == 0
        assert not vm._guard.inner.ready(vm.id)  # type: ignore[attr-defined]

    def test_two_creates_dont_get_one_name(self) -> None:
        from vhal_mock.driver import MockDriver

        from vhal.driver import Context

        lab = Lab(Fault(at="create.after_disk_before_define", kind="delay", seconds=5))
        driver = MockDriver(lab.world.host("a"))
        first = vhal.MachineSpec(name="web", disks=[vhal.Disk(name="one", size="1GiB")])
        second = vhal.MachineSpec(name="web", disks=[vhal.Disk(name="two", size="1GiB")])
        with pytest.raises(AlreadyExists):
            lab.world.clock.together(lambda: driver.create(first, Context()), lambda: driver.create(second, Context()))
        assert list(lab.world.host("a").volumes) == ["two"]

    def test_a_create_that_fails_leaves_no_disk(self) -> None:
        lab = Lab(Fault(at="create.after_disk_before_define"))
        with pytest.raises(EngineError):
            lab.vm(disks=[vhal.Disk(size="1GiB")])
        assert lab.world.host("a").used_disk == 0
        lab.vm(disks=[vhal.Disk(size="1GiB")])

    def test_a_destination_that_crashes_keeps_no_disks_of_what_never_came(self) -> None:
        lab = Lab(Fault(at="migration.prepare.after_claim", kind="host-crash", seconds=5))
        vm = lab.vm(disks=[vhal.Disk(size="1GiB")])
        with pytest.raises(VhalError):
            vm.migrate(lab.b)
        lab.world.clock.advance(5)
        vm.migrate(lab.b)
        assert lab.b.machine("web").state() is S.STOPPED


@pytest.mark.parametrize(
    ("at", "hint"),
    [
        ("start.begn", "did you mean 'start.begin'?"),
        ("migration.transfer.rond=3", "did you mean 'migration.transfer.round'?"),
        ("start.begin=2", "write 'start.begin'; 'skip' lets the first visits pass"),
    ],
)
def test_a_point_that_isnt_there(at: str, hint: str) -> None:
    with pytest.raises(InvalidSpec, match=r"faults\[0\].at") as caught:
        Lab().world.inject(Fault(at=at))
    assert caught.value.hint == hint


def test_a_deadline_in_a_delay() -> None:
    lab = Lab(Fault(at="start.begin", kind="delay", seconds=50))
    with pytest.raises(OperationTimeout):
        lab.vm().start(timeout_s=10)
    assert lab.world.clock.now_s == 10
