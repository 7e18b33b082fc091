"""The layer *examples*: the life of a machine, and memory that is kept."""

from __future__ import annotations

from typing import ClassVar

import pytest

from vhal.driver.capability import CREATE, PAUSE, READINESS, SAVE
from vhal.errors import AlreadyExists, InvalidState, NotFound, Unsupported
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.devices import Disk
from vhal.spec.state import MachineState
from vhal.testing.conformance.needs import needs
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness


class LifeSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # LIFE: the life of a machine

    def test_life_001_a_new_machine_is_stopped_and_is_what_was_asked_for(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name())
        info = host.create(spec).info()
        assert (info.state, info.name, info.kind) == (MachineState.STOPPED, spec.name, spec.kind)
        assert (info.cpus, info.memory) == (spec.cpus.count, spec.memory.size)
        assert info.managed
        witnessed(self.harness, spec.name, info)

    def test_life_002_the_spec_comes_back_as_it_went_in(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name()).replace(labels={"team": "blue <&> 'red'", "n": "1"})
        info = host.create(spec).info()
        assert info.spec == spec
        assert info.labels == spec.labels

    def test_life_003_start_and_forced_stop(self, vm: Machine) -> None:
        vm.start()
        assert vm.state() is MachineState.RUNNING
        witnessed(self.harness, vm.name, vm.seen)
        vm.stop(force=True)
        assert vm.state() is MachineState.STOPPED
        witnessed(self.harness, vm.name, vm.seen)

    def test_life_004_a_guest_that_listens_stops_when_asked(self, host: Host, running: Machine) -> None:
        if not self.harness.listens:
            pytest.skip("the harness's guest doesn't listen")
        if self.harness.has_agent and host.can(READINESS, running.info()):
            running.wait("ready", timeout_s=self.harness.patience_s)
        running.stop(timeout_s=self.harness.patience_s)
        assert running.state() is MachineState.STOPPED
        witnessed(self.harness, running.name, running.seen)

    def test_life_005_it_is_found_by_name_and_id_and_in_the_list(self, host: Host, vm: Machine) -> None:
        assert host.machine(vm.name).id == host.machine(vm.id).id == vm.id
        # Engines that know short ids, or names in any letters, are asked for more than they are given.
        for another in (vm.name.swapcase(), vm.name[:-1], vm.id[:-1]):
            with pytest.raises(NotFound):
                host.machine(another)
        listed = {machine.id: machine for machine in host.machines()}
        assert listed[vm.id].name == vm.name
        assert listed[vm.id].seen.state is MachineState.STOPPED

    def test_life_006_a_deleted_machine_is_gone(self, host: Host, vm: Machine) -> None:
        vm.delete()
        witnessed(self.harness, vm.name, None)
        with pytest.raises(NotFound):
            host.machine(vm.name)
        with pytest.raises(NotFound):
            vm.start()
        assert vm.id not in {machine.id for machine in host.machines()}

    def test_life_007_a_taken_name_is_refused_and_its_owner_left_alone(self, host: Host, vm: Machine) -> None:
        before = vm.info()
        with pytest.raises(AlreadyExists):
            host.create(self.harness.spec(vm.name))
        assert vm.info() == before
        assert not host.can(CREATE, self.harness.spec(vm.name))

    def test_life_008_a_name_is_free_again_after_delete(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name())
        with_disk = spec.replace(disks=(*spec.disks, Disk(size="1MiB")))
        if host.can(CREATE, with_disk):
            spec = with_disk  # that has to go, too
        vm = host.create(spec)
        vm.delete()
        assert host.create(spec).id != vm.id

    def test_life_009_labels_select(self, host: Host) -> None:
        name = self.harness.name()
        made = host.create(self.harness.spec(name).replace(labels={"kit": name}))
        host.create(self.harness.spec(self.harness.name()).replace(labels={"kit": "other"}))
        assert [machine.id for machine in host.machines({"kit": name})] == [made.id]

    @pytest.mark.parametrize("call", ["stop", "pause", "resume", "save", "restore", "console"])
    def test_life_010_wrong_state_is_refused_and_changes_nothing(self, vm: Machine, call: str) -> None:
        with pytest.raises((InvalidState, Unsupported)) as caught:
            getattr(vm, call)()
        assert caught.value.hint
        assert vm.state() is MachineState.STOPPED

    def test_life_011_a_running_machine_is_not_started_or_deleted(self, running: Machine) -> None:
        for call in (running.start, running.delete):
            with pytest.raises(InvalidState):
                call()
        assert running.state() is MachineState.RUNNING

    # PAUS, SAVE: memory that is kept

    def test_paus_001_pause_and_resume(self, host: Host, running: Machine) -> None:
        needs(host, PAUSE)
        running.pause()
        assert running.state() is MachineState.PAUSED
        witnessed(self.harness, running.name, running.seen)
        with pytest.raises(InvalidState):
            running.pause()
        running.resume()
        assert running.state() is MachineState.RUNNING
        witnessed(self.harness, running.name, running.seen)

    def test_save_001_save_and_restore(self, host: Host, running: Machine) -> None:
        needs(host, SAVE)
        running.save()
        assert running.state() is MachineState.SAVED
        witnessed(self.harness, running.name, running.seen)
        with pytest.raises(InvalidState):
            running.start()
        running.restore()
        assert running.state() is MachineState.RUNNING
        witnessed(self.harness, running.name, running.seen)

    def test_save_002_a_forced_stop_discards_what_was_saved(self, host: Host, running: Machine) -> None:
        needs(host, SAVE)
        running.save()
        running.stop(force=True)
        assert running.state() is MachineState.STOPPED
        running.start()
        assert running.state() is MachineState.RUNNING
