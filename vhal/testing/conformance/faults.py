"""The layer *faults*: a call that fails changes nothing, says so in our words, and works when it is tried again.

Two halves. *Outside*: what a backend answers is lost, or made up (:mod:`vhal.layers.chaos`); that tests what the core
makes of it. *Inside*: what a backend asks of its engine fails, call by call (the harness's ``sabotage``); that tests
whether the backend undoes what it has done by then.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import pytest

from vhal.driver.capability import CREATE
from vhal.driver.event import EventKind
from vhal.driver.fault import Fault, FaultKind
from vhal.driver.fault_plan import FaultPlan
from vhal.errors import HostUnreachable, VhalError
from vhal.host import Host, connect
from vhal.layers.chaos import Chaos
from vhal.layers.layer import innermost
from vhal.machine import Machine
from vhal.spec.devices import Disk
from vhal.spec.machine import MachineSpec
from vhal.testing.conformance.another import another
from vhal.testing.conformance.change import CHANGES, Change, Portrait, portrait
from vhal.testing.conformance.needs import needs, needs_time
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness

MOST = 8
"""How many calls of one name are hurt in one operation; on a slow backend, the first."""

OUTSIDE = frozenset({"start", "delete", "save"})
"""Changes that are tried with lost answers on a slow backend: what comes of those is mostly the core's affair."""

by_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)


class Saboteur:
    """Lets one call to the engine fail in each run: each that the operation makes, in their order, once.

    Concurrency: safe from any thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tried: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.struck: str | None = None
        """What failed in this run."""

    def begin(self) -> None:
        """Begin a run."""
        with self._lock:
            self._seen.clear()
            self.struck = None

    def fails(self, call: str) -> bool:
        """Return whether this call fails."""
        with self._lock:
            self._seen[call] += 1
            if self.struck is not None or self._tried[call] >= min(self._most, self._seen[call]):
                return False
            self._tried[call] += 1
            self.struck = call
            return True


class FaultsSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # FALT: what fails

    @by_change
    def test_falt_001_a_failed_native_call_changes_nothing_and_the_next_try_works(
        self, host: Host, change: Change
    ) -> None:
        for capability in change.needed():
            needs(host, capability)
        told: Counter[tuple[str, EventKind]] = Counter()
        with _hurt(self.harness, host) as (victim, run), host.events() as events:
            machine, before = _ready(self.harness, host, victim, change)
            while True:
                error, struck = run(partial(change.act, machine))
                after = portrait(host, machine.name)
                if error is not None:
                    assert struck, f"{change.name} fails by itself: {error}"
                    assert after == before, f"{change.name} failed at {struck} ({error}), but changed the machine"
                else:
                    assert after == change.effect(before), f"{change.name} said nothing when {struck} failed"
                witnessed(self.harness, machine.name, after.info)
                if error is not None:
                    continue
                while (event := events.next(timeout_s=0)) is not None:
                    told[event.machine, event.kind] += event.kind is not EventKind.CHANGED
                # What a machine goes through here happens to it once. An engine that isn't ours tells of what it did
                # itself, also where a later call failed and it was undone.
                assert self.harness.slow or max(told.values(), default=0) <= 1, f"what failed was told: {told}"
                if struck is None:
                    return
                machine, before = _ready(self.harness, host, victim, change)

    @pytest.mark.parametrize("disks", [0, 1])
    def test_falt_002_a_failed_creation_leaves_nothing_and_the_next_try_works(self, host: Host, disks: int) -> None:
        with _hurt(self.harness, host) as (victim, run):
            while True:
                spec = _spec(self.harness, disks)
                answer = host.can(CREATE, spec)
                if not answer:
                    pytest.skip(answer.blockers[0].message)
                error, struck = run(partial(victim.create, spec))
                after = portrait(host, spec.name)
                witnessed(self.harness, spec.name, after.info)
                if error is not None:
                    assert struck, f"create fails by itself: {error}"
                    assert after == Portrait(None), f"create failed at {struck} ({error}), but left a machine"
                    again = victim.create(spec)
                    assert again.info().spec == spec
                    again.delete()
                    continue
                assert after.info is not None
                assert after.info.spec == spec, f"create said nothing when {struck} failed"
                host.machine(spec.name).delete()
                if struck is None:
                    return

    @by_change
    def test_falt_003_what_is_seen_after_a_failure_is_what_is_so(self, host: Host, change: Change) -> None:
        if change.name not in OUTSIDE:
            needs_time(self.harness)
        for capability in change.needed():
            needs(host, capability)
        plan = FaultPlan()
        with _shaken(self.harness, host, plan) as shaken:
            machine, before = _ready(self.harness, host, shaken, change)
            plan.add(Fault(at=f"{change.call}.begin"))
            with pytest.raises(VhalError) as caught:
                change.act(machine)
            assert caught.value.hint
            assert portrait(host, machine.name) == before
            plan.add(Fault(at=f"{change.call}.begin", kind=FaultKind.LOST_REPLY))
            try:
                change.act(machine)
            except VhalError as error:
                assert isinstance(error, HostUnreachable)  # noqa: PT017 - it may also have been found to be done
            assert not plan.faults
            after = portrait(host, machine.name)
            assert after == change.effect(before), "it is done, though nobody heard of it"
            witnessed(self.harness, machine.name, after.info)

    def test_falt_004_a_creation_of_which_nobody_heard_is_seen(self, host: Host) -> None:
        plan = FaultPlan()
        spec = _spec(self.harness, 0)
        with _shaken(self.harness, host, plan) as shaken:
            plan.add(Fault(at="create.begin"))
            with pytest.raises(VhalError):
                shaken.create(spec)
            assert portrait(host, spec.name) == Portrait(None)
            plan.add(Fault(at="create.begin", kind=FaultKind.LOST_REPLY))
            with pytest.raises(HostUnreachable):
                shaken.create(spec)
            assert shaken.machine(spec.name).info().spec == spec


def _spec(harness: Harness, disks: int) -> MachineSpec:
    spec = harness.spec(harness.name())
    return spec.replace(disks=(*spec.disks, Disk(size="1MiB"))) if disks else spec


def _ready(harness: Harness, host: Host, victim: Host, change: Change) -> tuple[Machine, Portrait]:
    """Return a new machine, where the change begins, and what is seen of it."""
    made = host.create(harness.spec(harness.name()))
    change.prepare(made)
    return victim.machine(made.id), portrait(host, made.name)


@contextmanager
def _shaken(harness: Harness, host: Host, plan: FaultPlan) -> Iterator[Host]:
    """Give another connection, on which the plan's faults strike."""
    with connect(another(harness.open, host), layers=[partial(Chaos, plan=plan, patience_s=0.1)]) as shaken:
        yield shaken


@contextmanager
def _hurt(
    harness: Harness, host: Host
) -> Iterator[tuple[Host, Callable[[Callable[[], object]], tuple[VhalError | None, str | None]]]]:
    """Give another connection, and what runs a call on it: it returns the error, and what was made to fail."""
    sabotage = harness.sabotage
    if sabotage is None:
        pytest.skip("the harness has no sabotage")
    driver = another(harness.open, host)
    saboteur = Saboteur(1 if harness.slow else MOST)

    def run(call: Callable[[], object]) -> tuple[VhalError | None, str | None]:
        saboteur.begin()
        error: VhalError | None = None
        with sabotage(innermost(driver), saboteur.fails):
            try:
                call()
            except VhalError as caught:
                error = caught
        return error, saboteur.struck

    with connect(driver) as victim:
        yield victim, run
