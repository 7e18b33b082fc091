"""The layer *migration*, as users move machines: a machine that moves has exactly one owner, and keeps what it has.

The steps of a move, one by one and failing, are in :mod:`vhal.testing.conformance.handshake`.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from vhal.driver.capability import FILES, MIGRATION, PAUSE, RESIZE, SNAPSHOTS
from vhal.driver.context import Context, Progress
from vhal.errors import MigrationRefused, NotFound, OperationAborted, OperationTimeout
from vhal.host import Host
from vhal.machine import Machine
from vhal.migration.handshake import migrate
from vhal.spec.state import MachineState
from vhal.testing.conformance.change import Portrait, bring, portrait
from vhal.testing.conformance.needs import needs
from vhal.testing.conformance.owners import watched
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness

SLOWLY = "8MiB"
"""Bytes a second of a move that is to be ended before it is over."""


class MigrationSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # MIGR: migration

    @pytest.mark.parametrize("state", [MachineState.RUNNING, MachineState.PAUSED, MachineState.STOPPED])
    def test_migr_001_it_is_on_exactly_one_host_in_its_state(
        self, host: Host, peer: Host, vm: Machine, state: MachineState
    ) -> None:
        needs(host, MIGRATION)
        if state is MachineState.PAUSED:
            needs(host, PAUSE)
        if host.can(RESIZE, vm.info()):
            vm.resize(cpus=vm.seen.cpus + 1)  # what it has, not what it was made with
        bring(vm, state)
        before = vm.info()
        result = vm.migrate(peer, self.harness.move_policy())
        after = peer.machine(before.name).info()
        assert (after.state, after.id, after.spec, after.labels) == (state, before.id, before.spec, before.labels)
        assert (after.cpus, after.memory, after.epoch) == (before.cpus, before.memory, before.epoch + 1)
        with pytest.raises(NotFound):
            host.machine(before.id)
        assert vm.host is peer
        witnessed(self.harness, before.name, after)
        assert result.live is (state is MachineState.RUNNING)
        assert min(result.setup_s, result.transfer_s, result.downtime_s, result.cleanup_s) >= 0

    def test_migr_002_there_and_back(self, host: Host, peer: Host, running: Machine) -> None:
        needs(host, MIGRATION)
        running.migrate(peer, self.harness.move_policy())
        running.migrate(host, self.harness.move_policy())
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
        assert not running.preflight(peer, self.harness.move_policy())
        with pytest.raises(MigrationRefused):
            running.migrate(peer, self.harness.move_policy())
        assert other.info() == before
        assert running.state() is MachineState.RUNNING

    def test_migr_005_at_every_tick_it_has_one_owner(self, host: Host, peer: Host, running: Machine) -> None:
        needs(host, MIGRATION)
        with watched(self.harness, host, peer, running.id) as owners:

            def tick(progress: Progress) -> None:
                owners.look()

            migrate(host.guard, peer.guard, running.info(), self.harness.move_policy(), Context(on_progress=tick))
        assert owners.looked
        witnessed(self.harness, running.name, peer.machine(running.name).info())

    def test_migr_006_a_look_whether_it_can_move_touches_nothing(
        self, host: Host, peer: Host, running: Machine
    ) -> None:
        needs(host, MIGRATION)
        before = portrait(host, running.name)
        for _ in range(2):
            assert running.preflight(peer, self.harness.move_policy())
            assert portrait(host, running.name) == before
            assert portrait(peer, running.name) == Portrait(None)

    def test_migr_007_labels_and_files_go_along(self, host: Host, peer: Host) -> None:
        needs(host, MIGRATION)
        spec = self.harness.spec(self.harness.name()).replace(labels={"team": "blue <&> 'red'", "n": "1"})
        vm = host.create(spec)
        vm.start()
        data = bytes(range(256)) * 64
        if host.can(FILES):
            vm.write_file("/tmp/kit.bin", data)  # noqa: S108
        vm.migrate(peer, self.harness.move_policy())
        assert vm.info().spec == spec
        assert [machine.id for machine in peer.machines(spec.labels)] == [vm.id]
        if host.can(FILES):
            assert vm.read_file("/tmp/kit.bin") == data  # noqa: S108

    def test_migr_008_snapshots_go_along_or_hold_it_back(self, host: Host, peer: Host, vm: Machine) -> None:
        needs(host, MIGRATION)
        needs(host, SNAPSHOTS)
        vm.snapshot("kept")
        before = portrait(host, vm.name)
        assert before.info is not None
        if vm.preflight(peer, self.harness.move_policy()):
            vm.migrate(peer, self.harness.move_policy())
            assert portrait(peer, vm.name) == before.but(epoch=before.info.epoch + 1)
            return
        with pytest.raises(MigrationRefused):
            vm.migrate(peer, self.harness.move_policy())
        assert portrait(host, vm.name) == before
        assert portrait(peer, vm.name) == Portrait(None)

    @pytest.mark.parametrize("end", ["abort", "deadline"])
    def test_migr_009_one_that_is_ended_on_its_way_goes_on_where_it_was(
        self, host: Host, peer: Host, running: Machine, end: str
    ) -> None:
        needs(host, MIGRATION)
        before = portrait(host, running.name)
        struck: list[Progress] = []

        def strike(progress: Progress) -> None:
            if progress.phase == "transfer" and progress.done is not None and not struck:
                struck.append(progress)
                ctx.abort() if end == "abort" else ctx.advance(3600)

        ctx = Context(3600, on_progress=strike)
        slowly = self.harness.move_policy().replace(bandwidth=SLOWLY)
        with pytest.raises(OperationAborted if end == "abort" else OperationTimeout):
            migrate(host.guard, peer.guard, running.info(), slowly, ctx)
        assert struck, "it tells nothing while bytes move"
        assert portrait(host, running.name) == before
        assert portrait(peer, running.name) == Portrait(None)
        witnessed(self.harness, running.name, before.info)
        running.migrate(peer, self.harness.move_policy())
        assert running.state() is MachineState.RUNNING
