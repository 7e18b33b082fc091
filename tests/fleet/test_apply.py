"""Carrying plans out: in order, within limits, looked at again, and what is done when something fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import vhal
from tests.fleet.stand import Stand, kept_apart, never_two, places, world
from vhal.driver.fault import Fault
from vhal.driver.migration import MigrationPolicy
from vhal.errors import (
    Busy,
    InsufficientResources,
    JournalError,
    MigrationFailed,
    MigrationInDoubt,
    OperationAborted,
    OperationTimeout,
)
from vhal.fleet.moves.applied import Applied, ApplySettings, MoveEvent, Outcome
from vhal.fleet.moves.apply import apply, resume
from vhal.fleet.moves.works import unfinished
from vhal.fleet.plan import Plan
from vhal.fleet.rules import Apart, Together
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.journal import Journal

THREE = {"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}}


def outcomes(applied: Applied) -> list[str]:
    return [str(result.outcome) for result in applied.moves]


def test_all_moves_come_about(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"), ("job", "b"))
        applied = apply(plan, fleet, journal=journal).check()
        assert places(fleet.world) == {"web": "b", "db": "c", "job": "b"}
    assert outcomes(applied) == ["moved"] * 3
    assert all(result.seconds > 0 and result.downtime_s > 0 and result.transferred for result in applied.moves)
    assert applied.seconds > 0
    assert str(applied).startswith("3 of 3 moves in ")
    assert journal.works(ended=False) == []


def test_a_plan_without_moves_is_over_at_once(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        assert apply(fleet.plan(), fleet, journal=journal).moves == ()


def test_room_is_made_first(journal: Journal) -> None:
    begun: list[str] = []
    ended: list[str] = []

    def listen(event: MoveEvent) -> None:
        if event.kind == "begun":
            assert event.place == 0 or ended == ["small"]
        if event.kind == "ended":
            never_two(fleet.world)
            ended.append(event.move.machine)
        begun.append(event.kind)

    full = {"a": {"large": 48}, "b": {"small": 32}, "c": {}}
    with Stand(world(full)) as fleet:
        plan = fleet.plan(("small", "c"), ("large", "b", (0,)))
        assert outcomes(apply(plan, fleet, journal=journal, on_event=listen)) == ["moved", "moved"]
        assert places(fleet.world) == {"small": "c", "large": "b"}


def test_what_has_no_room_yet_waits_although_nobody_said_so(journal: Journal) -> None:
    with Stand(world({"a": {"large": 48}, "b": {"small": 32}, "c": {}})) as fleet:
        plan = fleet.plan(("small", "c"), ("large", "b"))
        assert outcomes(apply(plan, fleet, journal=journal)) == ["moved", "moved"]


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (ApplySettings(fleet=1), 1),
        (ApplySettings(per_host=1), 1),
        (ApplySettings(per_host=3, per_link=1), 2),
        (ApplySettings(per_host=3, per_link=3), 3),
    ],
)
def test_so_many_at_once(settings: ApplySettings, most: int, journal: Journal) -> None:
    under_way, seen, lock = set[int](), list[int](), threading.Lock()

    def listen(event: MoveEvent) -> None:
        with lock:
            if event.kind == "begun":
                under_way.add(event.place)
            elif event.kind == "ended":
                under_way.discard(event.place)
            seen.append(len(under_way))

    with Stand(world({"a": {"1": 1, "2": 1, "3": 1, "4": 1}, "b": {}, "c": {}})) as fleet:
        plan = fleet.plan(("1", "b"), ("2", "c"), ("3", "b"), ("4", "c"))
        apply(plan, fleet, settings, journal=journal, on_event=listen).check()
    assert max(seen) == most


def test_the_policy_is_every_moves(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        cold = ApplySettings(policy=MigrationPolicy(live=False))
        applied = apply(fleet.plan(("web", "b")), fleet, cold, journal=journal)
        assert applied.moves[0].downtime_s >= 0.5
        assert places(fleet.world)["web"] == "b"


def test_progress_is_told(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"))
        operation = vhal.begin(lambda: apply(plan, fleet, journal=journal))
        told = [progress.message for progress in operation.updates()]
        operation.result().check()
    assert any("web → b" in message for message in told)
    assert told[-1] == "2 of 2 moves"
    assert operation.progress is not None
    assert operation.progress.fraction == 1.0


# what changes meanwhile


def test_each_move_is_looked_at_again(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == "ended" and event.move.machine == "web":
            fleet.host("a").machine("db").pause()

    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"), ("job", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=listen)
    assert outcomes(applied) == ["moved", "refused", "moved"]
    assert applied.moves[1].error == "it was running and is paused"
    with pytest.raises(MigrationFailed, match="1 of 3") as caught:
        applied.check()
    assert caught.value.hint


def test_a_destination_that_fills_up_meanwhile(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == "ended" and event.move.machine == "web":
            other = fleet.host("d").machine("other")
            other.migrate(fleet.host("c"))

    with Stand(world({**THREE, "d": {"other": 60}})) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c", (0,)), ("job", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=listen)
    assert outcomes(applied) == ["moved", "refused", "moved"]
    assert "c has 4 GiB of memory left" in applied.moves[1].error


def test_a_machine_that_somebody_moved_there_already(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == "ended" and event.move.machine == "web":
            fleet.host("a").machine("db").migrate(fleet.host("c"))

    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c", (0,)))
        assert outcomes(apply(plan, fleet, journal=journal, on_event=listen)) == ["moved", "there"]


def test_a_rule_holds_while_machines_change_places(journal: Journal) -> None:
    rule = Apart(machines=Selector("name=web*"))
    with Stand(world({"a": {"web1": 8}, "b": {"web2": 8}, "c": {}}), [rule]) as fleet:
        plan = fleet.plan(("web1", "c"), ("web2", "a", (0,)), ("web1", "b", (1,)))
        apply(plan, fleet, journal=journal, on_event=lambda _: kept_apart(fleet.world, rule)).check()
        assert places(fleet.world) == {"web1": "b", "web2": "a"}


def test_what_no_rule_allows_is_not_begun(journal: Journal) -> None:
    rule = Apart(machines=Selector("name=web*"), name="spread")
    with Stand(world({"a": {"web1": 8}, "b": {"web2": 8}, "c": {}}), [rule]) as fleet:
        applied = apply(fleet.plan(("web1", "b")), fleet, journal=journal)
        assert outcomes(applied) == ["refused"]
        assert applied.moves[0].error == "b has web2, from which rule 'spread' keeps it apart"


def test_those_that_belong_together_move_one_after_the_other(journal: Journal) -> None:
    with Stand(
        world(THREE), [Together(machines=Selector("name=web")), Together(machines=Selector("name=*b"))]
    ) as fleet:
        apply(fleet.plan(("web", "b"), ("db", "b")), fleet, journal=journal).check()


# what fails


def test_what_needs_a_move_that_failed_is_dropped_and_the_rest_goes_on(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", machine="web"))
        plan = fleet.plan(("web", "b"), ("db", "b", (0,)), ("job", "c"))
        applied = apply(plan, fleet, journal=journal)
        assert places(fleet.world) == {"web": "a", "db": "a", "job": "c"}
    assert outcomes(applied) == ["failed", "dropped", "moved"]
    assert "an injected fault" in applied.moves[0].error
    assert applied.moves[1].error == "it needs the move of web"


def test_after_a_failure_it_is_planned_anew(journal: Journal) -> None:
    seen: list[FleetSnapshot] = []

    def replan(now: FleetSnapshot) -> Plan:
        seen.append(now)
        return fleet.plan(("db", "c"), ("job", "c", (0,)))

    with Stand(world(THREE)) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", machine="web"))
        plan = fleet.plan(("web", "b"), ("db", "b"), ("job", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal, replan=replan)
        assert places(fleet.world) == {"web": "a", "db": "c", "job": "c"}
    assert outcomes(applied) == ["failed", "dropped", "dropped", "moved", "moved"]
    (web,) = [machine for machine in seen[0].machines if machine.name == "web"]
    assert (web.movable, web.reason) == (False, applied.moves[0].error)
    assert [step.place for step in journal.works()[0].steps] == [0, 1, 2, 3, 4]


def test_without_a_new_plan_the_old_one_goes_on(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", machine="web"))
        plan = fleet.plan(("web", "b"), ("db", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal, replan=lambda _: None)
    assert outcomes(applied) == ["failed", "moved"]


def test_without_being_able_to_plan_the_old_plan_goes_on(journal: Journal) -> None:
    def fails(now: FleetSnapshot) -> Plan:
        raise InsufficientResources("no room", hint="none")

    with Stand(world(THREE)) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", machine="web"))
        plan = fleet.plan(("web", "b"), ("db", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal, replan=fails)
    assert outcomes(applied) == ["failed", "moved"]


def test_plans_are_not_made_for_ever(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", times=None))
        plan = fleet.plan(("web", "b"))
        applied = apply(plan, fleet, ApplySettings(replans=2), journal=journal, replan=lambda _: plan)
    assert outcomes(applied) == ["failed"] * 3


def test_a_move_in_doubt_keeps_others_off_its_hosts(journal: Journal) -> None:
    with Stand(world({**THREE, "d": {"far": 1}, "e": {}})) as fleet:
        fleet.world.inject(
            Fault(at="migration.transfer.switch", kind="partition", host="a", machine="web", seconds=1000)
        )
        plan = fleet.plan(("web", "b"), ("db", "b"), ("far", "e"))
        applied = apply(plan, fleet, ApplySettings(fleet=1), journal=journal)
        assert outcomes(applied) == ["in-doubt", "dropped", "moved"]
        with pytest.raises(MigrationInDoubt, match="1 of 3") as caught:
            applied.check()
        assert applied.work in str(caught.value.hint)
        # Another plan must not touch that machine before it is clear who has it.
        fleet.world.clock.advance(2000)
        with pytest.raises(Busy, match="left in the middle"):
            apply(fleet.plan(("web", "c")), fleet, journal=journal)
        assert [work.id for work in unfinished(journal)] == [applied.work]
        resumed = resume(applied.work, fleet, journal=journal)
        assert outcomes(resumed) == ["moved", "dropped", "moved"]
        assert places(fleet.world) == {"web": "b", "db": "a", "job": "a", "far": "e"}
        assert unfinished(journal) == []


def test_an_abort_leaves_every_machine_running(journal: Journal) -> None:
    moving = threading.Event()
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"), ("job", "b"))
        operation: list[vhal.Operation[Applied]] = []

        def listen(event: MoveEvent) -> None:
            if event.kind == "progress" and event.progress is not None and event.progress.phase == "transfer":
                moving.wait(30)
                operation[0].abort()

        operation.append(vhal.begin(lambda: apply(plan, fleet, journal=journal, on_event=listen)))
        moving.set()
        with pytest.raises(OperationAborted, match="of 3 moves") as caught:
            operation[0].result()
        assert caught.value.hint
        assert places(fleet.world).keys() == {"web", "db", "job"}
    (work,) = journal.works(ended=True)
    assert {step.state for step in work.steps} == {"ended"}


def test_the_time_is_over(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        over.wait(30)

    over = threading.Event()
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"))
        timer = threading.Timer(0.2, over.set)
        timer.start()
        with pytest.raises(OperationTimeout):
            apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=listen, timeout_s=0.1)
        timer.join()
        assert places(fleet.world) == {"web": "a", "db": "a", "job": "a"}


def test_one_move_that_takes_too_long_is_a_failure(journal: Journal) -> None:
    with Stand(world({"a": {"large": 32, "small": 1}, "b": {}})) as fleet:
        plan = fleet.plan(("large", "b"), ("small", "b"))
        applied = apply(plan, fleet, ApplySettings(fleet=1, move_timeout_s=5), journal=journal)
    assert outcomes(applied) == ["failed", "moved"]


def test_moves_that_wait_for_one_another_are_refused(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        applied = apply(fleet.plan(("web", "b", (1,)), ("db", "b", (0,)), ("job", "c", (7,))), fleet, journal=journal)
    assert outcomes(applied) == ["refused"] * 3


def test_nothing_is_moved_that_cant_be_written_down(journal: Journal, tmp_path: Path) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"))
        journal.close()
        with pytest.raises(JournalError):
            apply(plan, fleet, journal=journal)
        assert places(fleet.world)["web"] == "a"


def test_two_plans_that_move_one_machine(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == "begun":
            with pytest.raises(Busy, match="is under way") as caught:
                apply(plan, fleet, journal=journal)
            assert caught.value.hint

    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"))
        apply(plan, fleet, journal=journal, on_event=listen).check()


@pytest.mark.parametrize(("kind", "where"), [("begun", "a"), ("progress", "a"), ("ended", "b")])
def test_what_a_listener_raises_ends_it(journal: Journal, kind: str, where: str) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == kind:
            raise ZeroDivisionError

    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"))
        with pytest.raises(ZeroDivisionError):
            apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=listen)
        assert places(fleet.world) == {"web": where, "db": "a", "job": "a"}


def test_hosts_that_are_emptied_are_marked_first(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        applied = apply(fleet.plan(("web", "b"), emptied=("a",), kind="drain"), fleet, journal=journal)
        assert fleet.marks == {"a": HostStatus.DRAINING}
    assert applied.left == ("db is on a", "job is on a")
    with pytest.raises(InsufficientResources, match="2 machines are still there: db is on a; job is on a") as caught:
        applied.check()
    assert caught.value.hint


def test_outcomes_say_whether_it_arrived() -> None:
    assert [outcome for outcome in Outcome if outcome.arrived] == [Outcome.MOVED, Outcome.THERE]
