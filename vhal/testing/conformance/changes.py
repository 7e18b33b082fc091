"""The part of the suite that is about a machine's size, its snapshots and what it uses."""

from __future__ import annotations

from typing import ClassVar

import pytest

from vhal.driver.capability import FILES, METRICS, RESIZE, SNAPSHOTS
from vhal.errors import AlreadyExists, InvalidSpec, InvalidState, NotFound, Unsupported
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.spec.usage import rates
from vhal.testing.conformance.facts import limited
from vhal.testing.conformance.needs import needs
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness


class ChangesSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # RESZ: other sizes

    def test_resz_001_a_stopped_machine_has_the_new_size_and_starts_with_it(self, host: Host, vm: Machine) -> None:
        needs(host, RESIZE)
        before = vm.info()
        vm.resize(before.cpus + 1, before.memory * 2)
        wanted = (before.cpus + 1, before.memory * 2)
        assert (vm.info().cpus, vm.info().memory, vm.state()) == (*wanted, MachineState.STOPPED)
        vm.start()
        assert (vm.info().cpus, vm.info().memory, vm.state()) == (*wanted, MachineState.RUNNING)
        witnessed(self.harness, vm.name, vm.info())
        assert vm.info().spec == before.spec

    def test_resz_002_what_is_not_given_stays(self, host: Host, vm: Machine) -> None:
        needs(host, RESIZE)
        before = vm.info()
        vm.resize(cpus=before.cpus + 1)
        assert (vm.info().cpus, vm.info().memory) == (before.cpus + 1, before.memory)
        vm.resize(memory=before.memory * 2)
        assert (vm.info().cpus, vm.info().memory) == (before.cpus + 1, before.memory * 2)

    @pytest.mark.parametrize("what", ["cpus", "memory"])
    def test_resz_003_a_running_machine_is_changed_or_refuses_before_any_effect(
        self, host: Host, running: Machine, what: str
    ) -> None:
        needs(host, RESIZE)
        before = running.info()
        wanted = {"cpus": (before.cpus + 1, before.memory), "memory": (before.cpus, before.memory * 2)}[what]
        hint: str | None = "it was changed"
        try:
            running.resize(*wanted)
        except Unsupported as error:
            hint, wanted = error.hint, (before.cpus, before.memory)
            limited(type(self), RESIZE, f"{what} of a running machine", error)
        assert hint
        after = running.info()
        assert (after.cpus, after.memory, after.state) == (*wanted, MachineState.RUNNING)
        running.stop(force=True)
        assert (running.info().cpus, running.info().memory) == wanted

    def test_resz_004_no_size_is_refused(self, host: Host, vm: Machine) -> None:
        needs(host, RESIZE)
        before = vm.info()
        with pytest.raises(InvalidSpec):
            vm.resize()
        with pytest.raises(InvalidSpec):
            vm.resize(cpus=0)
        assert vm.info() == before

    # SNAP: snapshots

    @pytest.mark.parametrize("state", [MachineState.STOPPED, MachineState.RUNNING])
    def test_snap_001_is_taken_listed_used_and_deleted(self, host: Host, vm: Machine, state: MachineState) -> None:
        needs(host, SNAPSHOTS)
        files = state is MachineState.RUNNING and host.can(FILES)
        if state is MachineState.RUNNING:
            vm.start()
        if files:
            vm.write_file("/tmp/kit.txt", "then")  # noqa: S108
        taken = vm.snapshot("first")
        if files:
            vm.write_file("/tmp/kit.txt", "later")  # noqa: S108
        assert (taken.name, taken.memory, vm.state()) == ("first", False, state)
        vm.snapshot("second")
        assert [kept.name for kept in vm.snapshots()] == ["first", "second"]
        assert vm.snapshots()[0] == taken
        if state is MachineState.RUNNING:
            with pytest.raises(InvalidState):
                vm.revert("first")
            assert vm.state() is MachineState.RUNNING
            vm.stop(force=True)
        vm.revert("first")
        assert vm.state() is MachineState.STOPPED
        vm.start()
        assert vm.state() is MachineState.RUNNING
        if files:
            assert vm.read_file("/tmp/kit.txt") == b"then"  # noqa: S108
        vm.delete_snapshot("first")
        assert [kept.name for kept in vm.snapshots()] == ["second"]
        assert vm.state() is MachineState.RUNNING

    def test_snap_002_with_memory_it_runs_from_there(self, host: Host, running: Machine) -> None:
        needs(host, SNAPSHOTS)
        try:
            taken = running.snapshot("live", memory=True)
        except Unsupported as error:
            limited(type(self), SNAPSHOTS, "with memory", error)
            pytest.skip(str(error))
        assert taken.memory
        assert running.state() is MachineState.RUNNING
        running.stop(force=True)
        running.revert("live")
        assert running.state() is MachineState.RUNNING

    def test_snap_003_names_are_taken_once_and_must_be_there(self, host: Host, vm: Machine) -> None:
        needs(host, SNAPSHOTS)
        vm.snapshot("one")
        with pytest.raises(AlreadyExists):
            vm.snapshot("one")
        for call in (vm.revert, vm.delete_snapshot):
            with pytest.raises(NotFound):
                call("two")
        assert [kept.name for kept in vm.snapshots()] == ["one"]
        assert vm.state() is MachineState.STOPPED

    def test_snap_004_no_memory_without_one(self, host: Host, vm: Machine) -> None:
        needs(host, SNAPSHOTS)
        with pytest.raises((InvalidState, Unsupported)) as caught:
            vm.snapshot("one", memory=True)
        assert caught.value.hint
        assert vm.snapshots() == []

    def test_snap_005_they_go_with_their_machine(self, host: Host, vm: Machine) -> None:
        needs(host, SNAPSHOTS)
        vm.snapshot("one")
        vm.delete()
        again = host.create(self.harness.spec(vm.name))
        assert again.snapshots() == []

    # USAG: what is used

    def test_usag_001_active_machines_are_told_and_no_others(self, host: Host, vm: Machine) -> None:
        needs(host, METRICS)
        assert vm.id not in host.usage()
        with pytest.raises(InvalidState):
            vm.usage()
        vm.start()
        used = host.usage()[vm.id]
        assert used.memory is None or used.memory > 0
        assert used.cpu_s is not None
        assert vm.usage().time_s >= used.time_s
        vm.stop(force=True)
        assert vm.id not in host.usage()

    def test_usag_002_counters_only_grow(self, host: Host, running: Machine) -> None:
        needs(host, METRICS)
        first = running.usage()
        later = running.usage()
        for name in ("time_s", "cpu_s", "read", "written", "received", "sent"):
            before, after = getattr(first, name), getattr(later, name)
            assert (before is None) is (after is None), name
            assert before is None or 0 <= before <= after, name
        assert rates(first, later).seconds >= 0
