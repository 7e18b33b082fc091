"""The layer *round trip*: a spec comes back as it went in, wherever one asks, and what was told stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings

from vhal.driver.capability import METRICS, MIGRATION, SNAPSHOTS
from vhal.driver.driver import Driver
from vhal.driver.migration import MigrationPolicy
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.migration.preflight import giver
from vhal.spec.init import Init
from vhal.spec.machine import MachineInfo, MachineSpec
from vhal.spec.state import MachineState
from vhal.testing.conformance.another import another
from vhal.testing.conformance.needs import needs
from vhal.testing.conformance.specs import LABELS, NAME_ENDS, SPECS, foreign_options, spec_with
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness

SECRET = "kit-p4ssw0rd-that-nobody-shows"  # noqa: S105 - it is looked for


class RoundTripSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # TRIP: what went in comes back

    @pytest.mark.parametrize("what", SPECS)
    def test_trip_001_a_spec_comes_back_wherever_one_asks(self, host: Host, what: str) -> None:
        spec = spec_with(self.harness, host, SPECS[what])
        _comes_back(self.harness.open, host, host.create(spec).info(), spec)

    def test_trip_002_whatever_the_labels_are(self, host: Host) -> None:
        def comes_back(labels: dict[str, str]) -> None:
            spec = self.harness.spec(self.harness.name()).replace(labels=labels)
            made = host.create(spec)
            _comes_back(self.harness.open, host, made.info(), spec)
            assert not labels or [found.id for found in host.machines(labels)].count(made.id) == 1
            made.delete()

        _examples(self.harness, given(LABELS)(comes_back))

    def test_trip_003_whatever_the_name_is(self, host: Host) -> None:
        def comes_back(end: str) -> None:
            spec = self.harness.spec(self.harness.name() + end)
            made = host.create(spec)
            _comes_back(self.harness.open, host, made.info(), spec)
            assert host.machine(spec.name).id == made.id
            witnessed(self.harness, spec.name, made.info())
            made.delete()

        _examples(self.harness, given(NAME_ENDS)(comes_back))

    def test_trip_004_options_of_other_backends_are_carried(self, host: Host) -> None:
        spec = spec_with(self.harness, host, foreign_options(host.backend))
        _comes_back(self.harness.open, host, host.create(spec).info(), spec)

    def test_trip_005_a_spec_goes_along_with_its_machine(self, host: Host, peer: Host) -> None:
        needs(host, MIGRATION)

        def fields(spec: MachineSpec) -> dict[str, Any]:
            return {**SPECS["labels"](spec), **SPECS["cpus"](spec), **foreign_options(host.backend)(spec)}

        spec = spec_with(self.harness, host, fields)
        vm = host.create(spec)
        vm.migrate(peer, self.harness.move_policy())
        assert self.harness.peer is not None
        _comes_back(self.harness.peer, peer, vm.info(), spec)

    def test_trip_006_secrets_stay_where_they_are(self, host: Host) -> None:
        spec = spec_with(self.harness, host, lambda _: {"init": Init(user_data=SECRET)})
        vm = host.create(spec)
        told: list[Any] = [vm.info(), *(found.seen for found in host.machines() if found.id == vm.id)]
        if host.can(MIGRATION):
            told.append(giver(host.guard).offer(vm.id, MigrationPolicy()))
        for value in told:
            assert SECRET not in repr(value)
            assert SECRET not in value.model_dump_json()
        _comes_back(self.harness.open, host, vm.info(), spec)

    # COPY: what was told is a picture

    def test_copy_001_what_was_told_of_a_machine_doesnt_change(self, host: Host, vm: Machine) -> None:
        told = [vm.info(), host.machine(vm.name).seen, *(found.seen for found in host.machines() if found.id == vm.id)]
        before = [info.model_dump_json() for info in told]
        vm.start()
        assert [info.state for info in told] == [MachineState.STOPPED] * 3
        assert [info.model_dump_json() for info in told] == before
        with pytest.raises((TypeError, AttributeError, ValueError)):
            told[0].labels["x"] = "y"
        with pytest.raises((TypeError, AttributeError, ValueError)):
            told[0].state = MachineState.CRASHED

    def test_copy_002_who_empties_a_list_empties_only_that(self, host: Host, vm: Machine) -> None:
        driver = another(self.harness.open, host)
        with connect(driver):
            for listed in (driver.machines, host.guard.machines, host.machines):
                listed().clear()
                assert vm.id in [found.id for found in listed()]
        if host.can(SNAPSHOTS):
            vm.snapshot("kept")
            vm.snapshots().clear()
            assert [kept.name for kept in vm.snapshots()] == ["kept"]
        if host.can(METRICS):
            vm.start()
            host.usage().clear()
            assert vm.id in host.usage()

    def test_copy_003_what_is_done_to_a_spec_later_isnt_done_to_its_machine(self, host: Host) -> None:
        labels = {"team": "blue"}
        spec = self.harness.spec(self.harness.name()).replace(labels=labels)
        vm = host.create(spec)
        labels["team"] = "red"
        assert vm.info().labels == {"team": "blue"}


def _comes_back(open_host: Callable[[], Driver], host: Host, info: MachineInfo, spec: MachineSpec) -> None:
    """Assert that the machine is told as it was asked for: as it was told first, to somebody else, and in the list."""
    with connect(another(open_host, host)) as other:
        assert other.machine(spec.name).info() == info
    assert info.spec == spec.without_secrets()
    listed = [found.seen for found in host.machines() if found.id == info.id]
    assert len(listed) == 1
    for told in (info, *listed):
        assert (told.id, told.name, told.kind) == (info.id, spec.name, spec.kind)
        assert (told.cpus, told.memory, told.labels) == (spec.cpus.count, spec.memory.size, spec.labels)
        assert told.managed
        assert told.spec in (info.spec, None)


def _examples(harness: Harness, test: Callable[[], None]) -> None:
    settings(
        max_examples=3 if harness.slow else 25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )(test)()
