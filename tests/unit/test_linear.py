"""Histories that are linearizable, and histories that aren't."""

from __future__ import annotations

from vhal.errors import InvalidState, NotFound
from vhal.spec.state import MachineState
from vhal.testing.choices import ALL_ABILITIES
from vhal.testing.linear import Done, linearize
from vhal.testing.model import Model, Size, World
from vhal.testing.oracle import Delete, Pause, Resume, Start, Stop

STATE = MachineState


def world(state: MachineState = STATE.STOPPED) -> World:
    return World(ALL_ABILITIES, (Model(0, "one", 0, Size(1, 1), state),), 1)


def test_nothing_is_a_history() -> None:
    assert linearize([], world()) == []


def test_one_after_the_other() -> None:
    history = [Done(Start(0), 0, 1), Done(Pause(0), 2, 3), Done(Resume(0), 4, 5)]
    assert linearize(history, world()) == history
    assert linearize(history[::-1], world()) == history


def test_at_once_any_order_will_do() -> None:
    start, stop = Done(Start(0), 0, 10), Done(Stop(0, force=True), 1, 9)
    assert linearize([stop, start], world()) == [start, stop]
    assert linearize([stop, start], world(STATE.RUNNING)) == [stop, start]


def test_not_before_it_was_called() -> None:
    pause, start = Done(Pause(0), 0, 1), Done(Start(0), 2, 3)
    assert linearize([pause, start], world()) is None


def test_of_two_starts_one_wins() -> None:
    assert linearize([Done(Start(0), 0, 10), Done(Start(0), 0, 10, InvalidState)], world()) is not None
    assert linearize([Done(Start(0), 0, 10), Done(Start(0), 0, 10)], world()) is None
    assert linearize([Done(Start(0), 0, 10, InvalidState), Done(Start(0), 0, 10, InvalidState)], world()) is None


def test_a_refusal_needs_its_reason() -> None:
    deleted = Done(Delete(0), 0, 10)
    assert linearize([Done(Start(0), 0, 10, NotFound), deleted], world()) is not None
    assert linearize([Done(Start(0), 0, 10, InvalidState), deleted], world()) is None
    assert linearize([Done(Start(0), 0, 1, NotFound), Done(Delete(0), 2, 3)], world()) is None


def test_the_end_counts() -> None:
    history = [Done(Start(0), 0, 10), Done(Stop(0, force=True), 0, 10)]
    assert linearize(history, world(), lambda after: after == world()) is not None
    assert linearize(history, world(), lambda after: after == world(STATE.RUNNING)) is None


def test_an_order_that_leads_nowhere_is_left() -> None:
    # Whatever is tried first, only one way leads through: start, pause, stop, start, pause.
    history = [Done(Pause(0), 0, 9), Done(Start(0), 0, 9), Done(Pause(0), 0, 9), Done(Start(0), 0, 9)]
    history.append(Done(Stop(0, force=True), 0, 9))
    found = linearize(history, world(), lambda after: after == world(STATE.PAUSED))
    assert found is not None
    assert [type(done.operation) for done in found] == [Start, Pause, Stop, Start, Pause]
