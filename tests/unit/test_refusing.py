"""The guard around a driver that refuses by itself: nothing is asked before a call, and all is explained after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.fakes import EventfulDriver, NativeError
from vhal.driver import CREATE, Answer, Context
from vhal.driver.driver import StopMode
from vhal.errors import AlreadyExists, EngineError, HostUnreachable, InvalidState, NotFound
from vhal.layers.guard import Guard
from vhal.layers.layer import Layer
from vhal.layers.locks import LOCKS
from vhal.spec import MachineInfo, MachineSpec, MachineState
from vhal.spec.state import allowed

S = MachineState


class Refusing(EventfulDriver):
    """Checks states in ``start`` and ``delete``, and counts how often it is looked at."""

    refuses = True
    looks = 0
    asked = 0

    def inspect(self, ref: str) -> MachineInfo:
        self.looks += 1
        return super().inspect(ref)

    def can(self, capability: object, subject: object = None) -> Answer:
        self.asked += 1
        return super().can(capability, subject)  # type: ignore[arg-type]

    def turn(self, call: str, id: str, state: MachineState | None) -> None:
        found = self.has.get(id)
        if found is None:
            raise NotFound(f"there is no machine {id!r}", hint="look elsewhere", machine=id)
        if not allowed(call, found.state):
            raise InvalidState(f"can't {call} it", hint="what the driver says")
        super().turn(call, id, state)


@pytest.fixture(autouse=True)
def _no_lock_is_left() -> Iterator[None]:
    yield
    assert not LOCKS._holders


def guarded(*states: MachineState) -> tuple[Guard, Refusing]:
    driver = Refusing("here", *states)
    return Guard(driver, "host"), driver


def test_it_is_asked_nothing_while_all_is_well() -> None:
    guard, driver = guarded()
    made = guard.create(MachineSpec(name="web"), Context())
    guard.start(made.id, Context())
    guard.stop(made.id, StopMode.FORCED, Context())
    guard.delete(made.id, Context())
    assert driver.calls == ["here.create", "here.start", "here.stop", "here.delete"]
    assert (driver.looks, driver.asked) == (0, 0)


def test_a_graceful_stop_is_looked_at_first() -> None:
    """The driver needn't know which guests can't hear."""
    guard, driver = guarded(S.PAUSED)
    with pytest.raises(InvalidState, match="is paused: its guest can't react"):
        guard.stop("1", StopMode.GRACEFUL, Context())
    assert driver.calls == []


def test_a_refusal_is_told_in_the_words_of_the_states() -> None:
    guard, driver = guarded(S.RUNNING)
    with pytest.raises(InvalidState, match="can't start machine 'web': it is running") as caught:
        guard.start("1", Context())
    error = caught.value
    assert (error.hint, error.backend, error.host, error.machine) == ("it runs already", "fake", "host", "web")
    assert driver.has["1"].state is S.RUNNING


@pytest.mark.parametrize("call", ["start", "delete"])
def test_what_isnt_there_is_told_of_by_the_driver(call: str) -> None:
    guard, _ = guarded()
    with pytest.raises(NotFound, match="there is no machine '7'") as caught:
        getattr(guard, call)("7", Context())
    assert (caught.value.backend, caught.value.host, caught.value.machine) == ("fake", "host", "7")


def test_a_machine_that_cant_be_made() -> None:
    guard, driver = guarded()

    def taken() -> None:
        raise AlreadyExists("the name is taken", hint="choose another")

    driver.on["create"] = taken
    with pytest.raises(AlreadyExists) as caught:
        guard.create(MachineSpec(name="web"), Context())
    assert (caught.value.backend, caught.value.host) == ("fake", "host")


def test_an_error_of_the_engine_keeps_its_cause_and_learns_its_machine() -> None:
    guard, driver = guarded(S.STOPPED)

    def fail() -> None:
        raise NativeError("no")

    driver.on["start"] = driver.on["create"] = fail
    with pytest.raises(EngineError) as caught:
        guard.start("1", Context())
    assert caught.value.machine == "web"
    assert isinstance(caught.value.__cause__, NativeError)
    with pytest.raises(EngineError) as caught:
        guard.create(MachineSpec(name="other"), Context())
    assert isinstance(caught.value.__cause__, NativeError)


def test_started_by_someone_else_in_between() -> None:
    guard, driver = guarded(S.STOPPED)

    def raced() -> None:
        driver.put("1", S.RUNNING)
        raise NativeError("busy")

    driver.on["start"] = raced
    with pytest.raises(InvalidState, match="it is running") as caught:
        guard.start("1", Context())
    assert isinstance(caught.value.native, NativeError)


def lost() -> None:
    raise HostUnreachable("no answer", hint="try again")


def test_a_deletion_that_was_done_but_not_answered_is_done() -> None:
    guard, driver = guarded(S.STOPPED)
    driver.on["delete.after"] = lost
    guard.delete("1", Context())
    assert "1" not in driver.has


def test_what_was_deleted_in_between_is_told_by_its_id() -> None:
    guard, driver = guarded(S.STOPPED)

    def gone() -> None:
        driver.put("1", None)
        lost()

    driver.on["start"] = gone
    with pytest.raises(NotFound, match="machine '1' was deleted while it was to start"):
        guard.start("1", Context())


def test_behind_a_layer_it_is_asked_as_any_other() -> None:
    """What is between the guard and the driver shall see every call."""
    driver = Refusing("here", S.STOPPED)
    guard = Guard(Layer(driver), "host")
    guard.create(MachineSpec(name="other"), Context())
    guard.start("1", Context())
    assert (driver.looks, driver.asked) == (1, 1)


def test_a_spec_that_a_driver_without_it_says_no_to() -> None:
    driver = Refusing("here")
    driver.answers[CREATE.id] = Answer.no("full", "there is no room", "make some")
    with pytest.raises(Exception, match="there is no room") as caught:
        Guard(Layer(driver), "host").create(MachineSpec(name="web"), Context())
    assert driver.calls == []
    assert getattr(caught.value, "machine", None) == "web"
