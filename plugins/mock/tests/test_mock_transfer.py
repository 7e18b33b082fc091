"""Migrations obey their links and guests: shared, slow, cut, aborted; and nothing is left of what failed."""

from __future__ import annotations

import pytest
from vhal_mock.world import World

import vhal
from vhal.driver import Context, MigrationPolicy, MigrationResult
from vhal.driver.fault import Fault
from vhal.errors import HostUnreachable, MigrationFailed, MigrationInDoubt, OperationAborted, VhalError
from vhal.migration.handshake import migrate
from vhal.spec.state import MachineState as S

pytestmark = pytest.mark.timeout(60)

GIB = 1 << 30


class Lab:
    """Three hosts with links of 1 GB/s."""

    def __init__(self) -> None:
        hosts = [{"name": name, "memory": "128GiB", "bandwidth": "1GB", "disk": "1TiB"} for name in "abc"]
        self.world = World.from_spec({"hosts": hosts})
        self.a, self.b, self.c = (vhal.connect(self.world.url(name)) for name in "abc")

    def vm(self, name: str, memory: str = "8GiB", host: vhal.Host | None = None, **fields: object) -> vhal.Machine:
        mock = {"dirty_rate": 0, **fields.pop("mock", {})}  # type: ignore[dict-item]
        spec = vhal.MachineSpec(**{"name": name, "memory": memory, "options": {"mock": mock}, **fields})  # type: ignore[arg-type]
        vm = (host or self.a).create(spec)
        vm.start()
        return vm

    def together(self, *moves: tuple[vhal.Machine, vhal.Host]) -> list[MigrationResult]:
        return self.world.clock.together(*[lambda vm=vm, to=to: vm.migrate(to) for vm, to in moves])

    def clean(self, name: str = "web") -> None:
        """Check that it runs on ``a`` as if nothing had been."""
        assert self.a.machine(name).state() is S.RUNNING
        for host in (self.world.host("b"), self.world.host("c")):
            assert (host.machines, host.used_cpus, host.used_memory, host.volumes) == ({}, 0, 0, {})
        assert not self.world.network.flows


class TestLinks:
    def test_two_that_share_a_link_take_twice_as_long(self) -> None:
        alone = Lab()
        one = alone.vm("one").migrate(alone.b).transfer_s
        lab = Lab()
        both = lab.together((lab.vm("one"), lab.b), (lab.vm("two"), lab.c))
        for each in both:
            assert each.transfer_s == pytest.approx(2 * one, rel=0.05)

    def test_two_that_go_different_ways_dont_hinder_each_other(self) -> None:
        alone = Lab()
        one = alone.vm("one").migrate(alone.b).transfer_s
        lab = Lab()
        both = lab.together((lab.vm("one"), lab.b), (lab.vm("two", host=lab.b), lab.a))
        for each in both:
            assert each.transfer_s == pytest.approx(one, rel=0.01)

    def test_memory_takes_at_least_its_bytes(self) -> None:
        lab = Lab()
        result = lab.vm("web").migrate(lab.b)
        assert result.transfer_s >= 8 * GIB / 1e9
        assert result.transfer_s == pytest.approx(8 * GIB / 1e9, rel=0.05)
        assert result.transferred >= 8 * GIB

    def test_a_link_that_gets_slow_in_the_middle(self) -> None:
        lab = Lab()
        vm = lab.vm("web")
        lab.world.clock.at(4, lambda: lab.world.host("b").trouble.slow_down(0.1))
        # Until then at full speed, the rest at a tenth.
        setup_s = 0.5
        assert vm.migrate(lab.b).total_s == pytest.approx(4 + 10 * (8 * GIB / 1e9 - (4 - setup_s)), rel=0.05)


class TestGuests:
    def test_disks_are_copied_and_take_their_time(self) -> None:
        lab = Lab()
        vm = lab.vm("web", disks=[vhal.Disk(size="16GiB")])
        result = vm.migrate(lab.b)
        assert result.transferred >= 24 * GIB
        assert result.total_s == pytest.approx(24 * GIB / 1e9, rel=0.05)
        assert (lab.world.host("a").used_disk, lab.world.host("b").used_disk) == (0, 16 * GIB)

    def test_a_shared_disk_stays_where_it_is(self) -> None:
        lab = Lab()
        vm = lab.vm("web", disks=[vhal.Disk(path="/d", shared=True)])
        assert vm.migrate(lab.b).transferred < 9 * GIB

    def test_a_container_stands_still_for_all_of_it(self) -> None:
        lab = Lab()
        vm = lab.vm("web", kind="container", boot={"source": "image", "image": "alpine"}, mock={"used": 1.0})
        result = vm.migrate(lab.b)
        assert 8 * GIB / 1e9 < result.downtime_s <= result.total_s
        assert result.downtime_s == pytest.approx(result.total_s, rel=0.01)

    def test_a_busy_one_takes_longer_than_an_idle_one(self) -> None:
        def seconds(level: float) -> float:
            lab = Lab()
            workload = {"profile": "constant", "level": level}
            vm = lab.vm("web", mock={"dirty_rate": "600MB", "working_set": 0.5, "workload": workload})
            return vm.migrate(lab.b).transfer_s

        assert seconds(0.05) < seconds(0.5) < seconds(0.9)

    def test_one_that_writes_too_fast_needs_help(self) -> None:
        mock = {"dirty_rate": "3GB", "working_set": 0.9}
        lab = Lab()
        with pytest.raises(MigrationFailed, match="writes faster"):
            lab.vm("web", mock=mock).migrate(lab.b)
        lab.clean()
        assert lab.a.machine("web").migrate(lab.b, MigrationPolicy(auto_converge=True)).iterations > 3
        quick = lab.b.machine("web").migrate(lab.c, MigrationPolicy(post_copy=True))
        assert quick.downtime_s < 1


class TestFailures:
    @pytest.mark.parametrize("at_s", [0.01, 1, 5, 8.6, 8.7, 9, 10, 11])
    def test_an_abort_at_any_time_leaves_nothing(self, at_s: float) -> None:
        lab = Lab()
        vm = lab.vm("web", mock={"dirty_rate": "300MB"}, disks=[vhal.Disk(size="1GiB")])
        ctx = Context()
        lab.world.clock.at(at_s, ctx.abort)
        with pytest.raises(OperationAborted):
            migrate(lab.a.guard, lab.b.guard, vm.info(), MigrationPolicy(), ctx)
        assert lab.world.clock.now_s == at_s
        lab.clean()

    @pytest.mark.parametrize("round", [1, 2, 3])
    def test_an_abort_in_any_round_leaves_nothing(self, round: int) -> None:
        lab = Lab()
        vm = lab.vm("web", mock={"dirty_rate": "500MB", "working_set": 0.8})
        lab.world.inject(Fault(at=f"migration.transfer.round={round}", kind="abort"))
        with pytest.raises(OperationAborted):
            vm.migrate(lab.b)
        assert sum(entry.kind == "round" for entry in lab.world.log) == round
        lab.clean()
        vm.migrate(lab.b)

    @pytest.mark.parametrize("host", ["a", "b"])
    @pytest.mark.parametrize("trouble", ["crash", "partition"])
    @pytest.mark.parametrize("at_s", [2, 8.7, 9.5])
    def test_a_host_that_goes_away_leaves_one_copy_at_most(self, host: str, trouble: str, at_s: float) -> None:
        lab = Lab()
        vm = lab.vm("web", mock={"dirty_rate": "300MB"})
        lab.world.clock.at(at_s, getattr(lab.world.host(host).trouble, trouble))
        with pytest.raises((MigrationInDoubt, HostUnreachable)) as caught:
            vm.migrate(lab.b)
        assert lab.world.clock.now_s == at_s
        assert caught.value.hint
        lab.world.host(host).trouble.recover()
        lab.world.clock.advance(100)
        states = [machine.state for each in lab.world.hosts.values() for machine in each.machines.values()]
        assert states.count(S.RUNNING) <= 1
        if (host, trouble) != ("a", "crash"):
            assert lab.world.host("a").machines  # its memory is still there

    def test_a_daemon_that_hangs_doesnt_hold_up_what_moves(self) -> None:
        lab = Lab()
        vm = lab.vm("web")
        lab.world.clock.at(3, lambda: lab.world.host("b").trouble.hang(2))
        vm.migrate(lab.b)
        assert vm.state() is S.RUNNING

    @pytest.mark.parametrize("host", ["a", "b"])
    def test_post_copy_is_a_window_of_risk(self, host: str) -> None:
        """Before the switch a crash of the destination loses nothing, after it everything, and it is said so."""
        for point, lost in (("migration.transfer.round=1", False), ("migration.transfer.post_copy", True)):
            lab = Lab()
            vm = lab.vm("web", mock={"dirty_rate": "3GB", "working_set": 0.9})
            lab.world.inject(Fault(at=point, kind="delay", seconds=1))
            lab.world.faults.watch()
            seen: list[float] = []
            add = lab.world.log.add

            def noting(kind: str, *args: str, add=add, lab=lab, seen=seen, **more: str) -> None:  # type: ignore[no-untyped-def]
                add(kind, *args, **more)
                if kind == "fault":
                    seen.append(lab.world.clock.now_s)
                    lab.world.clock.at(lab.world.clock.now_s + 0.5, lab.world.host(host).trouble.crash)

            lab.world.log.add = noting  # type: ignore[method-assign]
            with pytest.raises(VhalError) as caught:
                vm.migrate(lab.b, MigrationPolicy(post_copy=True))
            assert seen
            assert caught.value.hint
            lab.world.host(host).trouble.recover()
            alive = [
                machine
                for each in lab.world.hosts.values()
                for machine in each.machines.values()
                if machine.state in (S.RUNNING, S.PAUSED, S.MIGRATING)
            ]
            if lost:
                assert not [machine for machine in alive if machine.state is S.RUNNING]
            elif host == "b":
                assert alive
