"""The tests that every backend passes. What it doesn't declare must refuse, before any effect.

The ids (``LIFE-001`` …) stay as they are once given; a report and a discussion can name them. The suite only touches
machines that it made, and removes them whatever happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from vhal.driver.capability import (
    CONSOLE,
    CREATE,
    EXEC,
    FILES,
    METRICS,
    MIGRATION,
    PAUSE,
    READINESS,
    RESIZE,
    SAVE,
    SNAPSHOTS,
    Capability,
)
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy
from vhal.errors import AlreadyExists, Busy, InvalidState, MigrationRefused, NotFound, Unsupported, VhalError
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.testing.changes import ChangesSuite
from vhal.testing.guests import GuestsSuite
from vhal.testing.harness import Harness
from vhal.testing.needs import needs


class BackendSuite(ChangesSuite, GuestsSuite):
    """Subclass it, set ``harness``, and let pytest collect it."""

    harness: ClassVar[Harness]

    @pytest.fixture
    def host(self) -> Iterator[Host]:
        """A host of the backend."""
        with connect(self.harness.open()) as host:
            yield host
            _reap(host, self.harness.prefix)

    @pytest.fixture
    def peer(self) -> Iterator[Host]:
        """Another host, that machines can move to."""
        if self.harness.peer is None:
            pytest.skip("the harness has no peer")
        with connect(self.harness.peer()) as peer:
            yield peer
            _reap(peer, self.harness.prefix)

    @pytest.fixture
    def vm(self, host: Host) -> Machine:
        """A machine, stopped."""
        return host.create(self.harness.spec(self.harness.name()))

    @pytest.fixture
    def running(self, vm: Machine) -> Machine:
        """A machine, running."""
        vm.start()
        return vm

    # LIFE: the life of a machine

    def test_life_001_a_new_machine_is_stopped_and_is_what_was_asked_for(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name())
        info = host.create(spec).info()
        assert (info.state, info.name, info.kind) == (MachineState.STOPPED, spec.name, spec.kind)
        assert (info.cpus, info.memory) == (spec.cpus.count, spec.memory.size)
        assert info.managed

    def test_life_002_the_spec_comes_back_as_it_went_in(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name()).replace(labels={"team": "blue <&> 'red'", "n": "1"})
        info = host.create(spec).info()
        assert info.spec == spec
        assert info.labels == spec.labels

    def test_life_003_start_and_forced_stop(self, vm: Machine) -> None:
        vm.start()
        assert vm.state() is MachineState.RUNNING
        vm.stop(force=True)
        assert vm.state() is MachineState.STOPPED

    def test_life_004_a_guest_that_listens_stops_when_asked(self, running: Machine) -> None:
        if not self.harness.listens:
            pytest.skip("the harness's guest doesn't listen")
        if self.harness.has_agent:
            running.wait("ready", timeout_s=self.harness.patience_s)
        running.stop(timeout_s=self.harness.patience_s)
        assert running.state() is MachineState.STOPPED

    def test_life_005_it_is_found_by_name_and_id_and_in_the_list(self, host: Host, vm: Machine) -> None:
        assert host.machine(vm.name).id == host.machine(vm.id).id == vm.id
        listed = {machine.id: machine for machine in host.machines()}
        assert listed[vm.id].name == vm.name
        assert listed[vm.id].seen.state is MachineState.STOPPED

    def test_life_006_a_deleted_machine_is_gone(self, host: Host, vm: Machine) -> None:
        vm.delete()
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

    def test_life_008_a_name_is_free_again_after_delete(self, host: Host, vm: Machine) -> None:
        vm.delete()
        again = host.create(self.harness.spec(vm.name))
        assert again.id != vm.id

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
        with pytest.raises(InvalidState):
            running.pause()
        running.resume()
        assert running.state() is MachineState.RUNNING

    def test_save_001_save_and_restore(self, host: Host, running: Machine) -> None:
        needs(host, SAVE)
        running.save()
        assert running.state() is MachineState.SAVED
        with pytest.raises(InvalidState):
            running.start()
        running.restore()
        assert running.state() is MachineState.RUNNING

    def test_save_002_a_forced_stop_discards_what_was_saved(self, host: Host, running: Machine) -> None:
        needs(host, SAVE)
        running.save()
        running.stop(force=True)
        assert running.state() is MachineState.STOPPED
        running.start()
        assert running.state() is MachineState.RUNNING

    # LACK: what isn't declared

    def test_lack_001_what_is_not_declared_refuses_before_any_effect(self, host: Host, running: Machine) -> None:
        calls: dict[Capability[Any], Callable[[], object]] = {
            PAUSE: running.pause,
            SAVE: running.save,
            CONSOLE: running.console,
            READINESS: running.wait,
            RESIZE: lambda: running.resize(cpus=2),
            EXEC: lambda: running.exec(["true"]),
            FILES: lambda: running.read_file("/etc/passwd"),
            SNAPSHOTS: lambda: running.snapshot("one"),
            METRICS: running.usage,
        }
        for key, call in calls.items():
            answer = host.can(key)
            if not answer:
                with pytest.raises(Unsupported) as caught:
                    call()
                assert caught.value.blockers == answer.blockers
                assert all(blocker.remedy for blocker in answer.blockers)
                assert running.state() is MachineState.RUNNING

    # EVNT: events

    def test_evnt_001_a_machine_tells_of_its_life_in_order(self, host: Host) -> None:
        with host.events() as events:
            vm = host.create(self.harness.spec(self.harness.name()))
            vm.start()
            vm.stop(force=True)
            vm.delete()
            seen: list[str] = []
            wanted = [EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]

            def complete() -> bool:
                while (event := events.next(timeout_s=0.01)) is not None:
                    if event.machine_id == vm.id and event.kind in wanted:
                        seen.append(event.kind)
                return len(seen) >= len(wanted)

            self.harness.settle(complete, "the last event")
        assert seen == wanted

    # RACE: several callers

    def test_race_001_of_many_starts_one_wins(self, host: Host, vm: Machine) -> None:
        outcomes = _at_once([host.machine(vm.id).start for _ in range(6)])
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {InvalidState, Busy}
        assert vm.state() is MachineState.RUNNING

    def test_race_002_of_many_creations_of_one_name_one_wins(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name())
        outcomes = _at_once([lambda: host.create(spec) for _ in range(6)])
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {AlreadyExists, Busy}

    # MIGR: migration

    @pytest.mark.parametrize("state", [MachineState.RUNNING, MachineState.PAUSED, MachineState.STOPPED])
    def test_migr_001_it_is_on_exactly_one_host_in_its_state(
        self, host: Host, peer: Host, vm: Machine, state: MachineState
    ) -> None:
        needs(host, MIGRATION)
        if state is not MachineState.STOPPED:
            vm.start()
        if state is MachineState.PAUSED:
            vm.pause()
        before = vm.info()
        result = vm.migrate(peer, self._policy())
        after = peer.machine(before.name).info()
        assert (after.state, after.id, after.spec, after.labels) == (state, before.id, before.spec, before.labels)
        assert after.epoch == before.epoch + 1
        with pytest.raises(NotFound):
            host.machine(before.id)
        assert vm.host is peer
        assert result.live is (state is MachineState.RUNNING)
        assert min(result.setup_s, result.transfer_s, result.downtime_s, result.cleanup_s) >= 0

    def test_migr_002_there_and_back(self, host: Host, peer: Host, running: Machine) -> None:
        needs(host, MIGRATION)
        running.migrate(peer, self._policy())
        running.migrate(host, self._policy())
        assert host.machine(running.name).state() is MachineState.RUNNING
        with pytest.raises(NotFound):
            peer.machine(running.id)

    def test_migr_003_to_its_own_host_is_refused(self, host: Host, running: Machine) -> None:
        needs(host, MIGRATION)
        with pytest.raises(MigrationRefused) as caught:
            running.migrate(host)
        assert [blocker.code for blocker in caught.value.blockers] == ["same-host"]
        assert running.state() is MachineState.RUNNING

    def test_migr_004_a_taken_name_leaves_both_alone(self, host: Host, peer: Host, running: Machine) -> None:
        needs(host, MIGRATION)
        other = peer.create(self.harness.spec(running.name))
        before = other.info()
        assert not running.preflight(peer, self._policy())
        with pytest.raises(MigrationRefused):
            running.migrate(peer, self._policy())
        assert other.info() == before
        assert running.state() is MachineState.RUNNING

    def _policy(self) -> MigrationPolicy:
        return MigrationPolicy(**self.harness.policy())  # type: ignore[arg-type]


def _at_once(calls: Sequence[Callable[[], object]]) -> list[VhalError | None]:
    """Make all calls at the same moment; return each one's error, or None."""
    gate = threading.Barrier(len(calls))
    outcomes: list[VhalError | None] = [None] * len(calls)

    def make(place: int) -> None:
        gate.wait()
        try:
            calls[place]()
        except VhalError as error:
            outcomes[place] = error

    threads = [threading.Thread(target=make, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _reap(host: Host, prefix: str) -> None:
    for machine in host.machines():
        if machine.name.startswith(prefix):
            machine.delete(force=True)
