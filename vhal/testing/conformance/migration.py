"""The layer *migration*: a machine that moves has exactly one owner."""

from __future__ import annotations

from typing import ClassVar

import pytest

from vhal.driver.capability import MIGRATION
from vhal.driver.migration import MigrationPolicy
from vhal.errors import MigrationRefused, NotFound
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.testing.conformance.needs import needs
from vhal.testing.harness import Harness


class MigrationSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

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
