"""The layer *migration*, step by step: each may be repeated, each may fail, and until commit all can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, TypeVar

import pytest

from vhal.driver.capability import MIGRATION, Migration
from vhal.driver.context import Context
from vhal.driver.driver import Driver
from vhal.driver.fault import LAYERED, Fault, FaultKind
from vhal.driver.fault_plan import FaultPlan
from vhal.driver.migration import MigrationPolicy, Offer, Ticket
from vhal.errors import VhalError
from vhal.host import Host, connect
from vhal.layers.chaos import Chaos
from vhal.machine import Machine
from vhal.migration.preflight import giver
from vhal.spec.model import Model
from vhal.spec.state import MachineState
from vhal.testing.conformance.another import another
from vhal.testing.conformance.change import Portrait, portrait
from vhal.testing.conformance.needs import needs, needs_time
from vhal.testing.conformance.witnessed import witnessed
from vhal.testing.harness import Harness
from vhal.testing.sweeps import one_copy

M = TypeVar("M", bound=Model)

STEPS = ("offer", "examine", "prepare", "transfer", "commit", "release")
UNDOING = ("cancel", "resume")
_PLACES = ("begin", "end")
STEP_POINTS = [f"{step}.{place}" for step in STEPS for place in _PLACES]
UNDOING_POINTS = [f"{step}.{place}" for step in UNDOING for place in _PLACES]
OF_THE_CORE = frozenset(
    {"offer.begin", "offer.end", "examine.begin", "examine.end", "prepare.begin", "transfer.begin"}
    | {"cancel.end", "resume.end"}
)
"""Points that tell nothing new of a backend, only of the core: a slow one isn't asked for them.

A transfer that doesn't begin is undone, as where undoing fails too.
"""


def kept(value: M) -> M:
    """Return an offer or a ticket as a journal gives it back."""
    return type(value).model_validate_json(value.model_dump_json())


class HandshakeSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # MIGR from 020 on: the steps

    def test_migr_020_each_step_may_be_repeated_by_who_has_only_read_the_ticket(
        self, host: Host, peer: Host, running: Machine
    ) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        before = portrait(host, running.name)
        offer = kept(giving.offer(running.id, policy))
        # What it measures, as the memory that is in use, may be another a moment later.
        again = giving.offer(running.id, policy)
        assert again.model_copy(update={"payload": offer.payload}) == offer
        assert again.payload.keys() == offer.payload.keys()
        assert portrait(host, running.name) == before
        for _ in range(2):
            assert taking.examine(offer, policy)
        ticket = kept(taking.prepare(offer, policy, Context()))
        ticket = kept(taking.prepare(offer, policy, Context()))
        assert portrait(host, running.name) == before
        giving.transfer(offer, ticket, policy, Context())
        assert before.info is not None
        arrived = before.but(epoch=before.info.epoch + 1)
        for _ in range(2):
            assert taking.commit(ticket, Context()).id == running.id
            assert portrait(peer, running.name) == arrived
        for _ in range(2):
            giving.release(offer, Context())
            assert portrait(host, running.name) == Portrait(None)
            assert portrait(peer, running.name) == arrived
        witnessed(self.harness, running.name, arrived.info)

    @pytest.mark.parametrize("sent", [False, True], ids=["prepared", "sent"])
    def test_migr_021_until_commit_it_can_be_undone(self, host: Host, peer: Host, running: Machine, sent: bool) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        before = portrait(host, running.name)
        offer, ticket = _prepared(giving, taking, running, policy)
        if sent:
            giving.transfer(offer, ticket, policy, Context())
        if _runs(peer, running):
            # Its engine moves in one call, and has committed by itself: there is only forward.
            with pytest.raises(VhalError):
                taking.cancel(ticket, Context())
            assert not _runs(host, running)
            taking.commit(ticket, Context())
            giving.release(offer, Context())
            assert _runs(peer, running)
            return
        for _ in range(2):
            taking.cancel(ticket, Context())
            assert portrait(peer, running.name) == Portrait(None)
        for _ in range(2):
            giving.resume(offer, Context())
            assert portrait(host, running.name) == before
        witnessed(self.harness, running.name, before.info)
        running.migrate(peer, policy)
        assert running.state() is MachineState.RUNNING

    def test_migr_022_release_before_the_transfer_ends_nothing(self, host: Host, peer: Host, running: Machine) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        before = portrait(host, running.name)
        offer, ticket = _prepared(giving, taking, running, policy)
        with pytest.raises(VhalError):
            giving.release(offer, Context())
        assert portrait(host, running.name) == before
        taking.cancel(ticket, Context())
        giving.resume(offer, Context())
        assert portrait(host, running.name) == before
        witnessed(self.harness, running.name, before.info)

    def test_migr_023_what_was_committed_is_not_cancelled(self, host: Host, peer: Host, running: Machine) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        offer, ticket = _prepared(giving, taking, running, policy)
        giving.transfer(offer, ticket, policy, Context())
        taking.commit(ticket, Context())
        committed = portrait(peer, running.name)
        _tried(partial(taking.cancel, ticket, Context()))
        assert portrait(peer, running.name) == committed
        giving.release(offer, Context())
        _tried(partial(giving.resume, offer, Context()))
        assert portrait(host, running.name) == Portrait(None)
        witnessed(self.harness, running.name, committed.info)

    def test_migr_024_late_steps_leave_one_that_came_back_alone(self, host: Host, peer: Host, running: Machine) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        offer, ticket = _prepared(giving, taking, running, policy)
        giving.transfer(offer, ticket, policy, Context())
        taking.commit(ticket, Context())
        giving.release(offer, Context())
        moved = peer.machine(running.name)
        moved.migrate(host, policy)
        before = portrait(host, running.name)
        late: tuple[Callable[[], object], ...] = (
            partial(giving.release, offer, Context()),
            partial(taking.cancel, ticket, Context()),
            partial(giving.resume, offer, Context()),
        )
        for step in late:
            _tried(step)
            assert portrait(host, running.name) == before
        witnessed(self.harness, running.name, before.info)

    def test_migr_025_a_place_is_not_held_against_another_machine(
        self, host: Host, peer: Host, running: Machine
    ) -> None:
        giving, taking, policy = _ends(self.harness, host, peer)
        offer = giving.offer(running.id, policy)
        other = peer.create(self.harness.spec(running.name))
        before = portrait(peer, other.name)
        with pytest.raises(VhalError):
            taking.prepare(offer, policy, Context())
        assert portrait(peer, other.name) == before
        assert _runs(host, running)

    # MIGR from 030 on: steps that fail

    @pytest.fixture
    def point(self, request: pytest.FixtureRequest) -> str:
        """Where something goes wrong."""
        point = str(request.param)
        if point in OF_THE_CORE:
            needs_time(self.harness)
        return point

    @pytest.mark.parametrize("point", STEP_POINTS, indirect=True)
    def test_migr_030_whatever_step_fails_one_copy_runs_and_the_next_move_works(
        self, point: str, host: Host, peer: Host, running: Machine
    ) -> None:
        needs(host, MIGRATION)
        for kind in _kinds(self.harness, point):
            _moved_with(self.harness, host, peer, running.name, Fault(at=f"migration.{point}", kind=kind))
        _moved_with(self.harness, host, peer, running.name)

    @pytest.mark.parametrize("point", UNDOING_POINTS, indirect=True)
    def test_migr_031_when_undoing_fails_too_one_copy_runs_and_the_next_move_works(
        self, point: str, host: Host, peer: Host, running: Machine
    ) -> None:
        needs(host, MIGRATION)
        first = Fault(at="migration.transfer.begin")
        for kind in _kinds(self.harness, point):
            _moved_with(self.harness, host, peer, running.name, first, Fault(at=f"migration.{point}", kind=kind))
        _moved_with(self.harness, host, peer, running.name)


def _ends(harness: Harness, host: Host, peer: Host) -> tuple[Migration, Migration, MigrationPolicy]:
    needs(host, MIGRATION)
    return giver(host.guard), giver(peer.guard), harness.move_policy()


def _prepared(giving: Migration, taking: Migration, machine: Machine, policy: MigrationPolicy) -> tuple[Offer, Ticket]:
    offer = kept(giving.offer(machine.id, policy))
    assert taking.examine(offer, policy)
    return offer, kept(taking.prepare(offer, policy, Context()))


def _kinds(harness: Harness, point: str) -> Iterable[FaultKind]:
    """Return what goes wrong at a point: all that can, or on a slow backend, what that place is about."""
    if harness.slow:
        return [FaultKind.ERROR if point.endswith(".begin") else FaultKind.LOST_REPLY]
    return [kind for kind in FaultKind if kind in LAYERED]


def _moved_with(harness: Harness, host: Host, peer: Host, name: str, *faults: Fault) -> None:
    """Move the machine from where it is to the other host, while these strike; then tidy up as the error says."""
    open_peer = harness.peer
    assert open_peer is not None
    ends: list[tuple[Host, Callable[[], Driver]]] = [(host, harness.open), (peer, open_peer)]
    ends.sort(key=lambda end: portrait(end[0], name) == Portrait(None))
    (here, open_here), (there, open_there) = ends
    plan = FaultPlan(faults)
    failure: VhalError | None = None
    layers = [partial(Chaos, plan=plan, patience_s=0.05)]
    with (
        connect(another(open_here, here), layers=layers) as source,
        connect(another(open_there, there), layers=layers) as destination,
    ):
        try:
            with one_copy(name, here, there):
                source.machine(name).migrate(destination, harness.move_policy())
        except VhalError as error:
            failure = error
    assert failure is None or (faults and failure.hint), f"it doesn't move: {failure}"
    assert not plan.faults, f"{plan.faults} didn't strike"
    found = [(end, info) for end in (here, there) if (info := portrait(end, name).info) is not None]
    running = [info for _, info in found if info.state is MachineState.RUNNING]
    assert len(running) == 1, f"it runs on {len(running)} hosts: {found}"
    for end, info in found:
        if info is not running[0]:
            end.machine(name).delete(force=True, keep_disks=True)
    witnessed(harness, name, running[0])


def _runs(host: Host, machine: Machine) -> bool:
    info = portrait(host, machine.name).info
    return info is not None and info.state is MachineState.RUNNING


def _tried(step: Callable[[], object]) -> None:
    """Take a step that may be refused: what matters is what it does."""
    try:
        step()
    except VhalError as error:
        assert error.hint  # noqa: PT017 - it needn't fail
