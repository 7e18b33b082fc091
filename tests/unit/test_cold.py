"""The move of a machine that may stand still: stop, move, start, and what happens when one of them fails."""

from __future__ import annotations

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from tests.unit.fakes import NativeError, raises
from tests.unit.test_handshake import FORWARD, STEPS, Pair
from vhal.driver import Answer, Context, MigrationPolicy, MigrationResult
from vhal.errors import (
    EngineError,
    HostUnreachable,
    InsufficientResources,
    InvalidState,
    MigrationFailed,
    MigrationInDoubt,
    MigrationRefused,
    OperationAborted,
    OperationTimeout,
)
from vhal.layers.locks import LOCKS
from vhal.migration.cold import migrate_cold
from vhal.spec import MachineInfo, MachineState

S = MachineState
COLD = MigrationPolicy(live=False)
LOOKED = ["a.offer", "b.examine"]


def move(pair: Pair, ctx: Context | None = None) -> tuple[MigrationResult, MachineInfo]:
    try:
        return migrate_cold(pair.source, pair.destination, pair.a.has["1"], COLD, ctx or Context())
    finally:
        assert not LOCKS._holders


def test_stops_moves_and_starts() -> None:
    pair = Pair()
    phases: list[str] = []
    result, arrived = move(pair, Context(on_progress=lambda progress: phases.append(progress.phase)))
    assert pair.log == [*LOOKED, "a.stop", *FORWARD, "b.start"]
    assert arrived.state is S.RUNNING
    assert (pair.state("a"), pair.state("b")) == (None, S.RUNNING)
    assert not result.live
    assert result.downtime_s > 0
    assert result.total_s >= result.downtime_s
    assert phases == ["stop", "offer", "prepare", "transfer", "commit", "release", "start"]
    assert [kind.value for _, kind in pair.told] == ["stopped", "migrated-out", "migrated-in", "started"]


def test_a_no_comes_before_the_stop() -> None:
    pair = Pair()
    pair.b.answers["examine"] = Answer.no("full", "it is full", "make room")
    with pytest.raises(MigrationRefused):
        move(pair)
    assert pair.log == LOOKED
    assert pair.state("a") is S.RUNNING


def test_a_guest_that_doesnt_stop_keeps_running() -> None:
    pair = Pair()
    pair.a.on["stop"] = raises(NativeError("no"))
    with pytest.raises(EngineError):
        move(pair)
    assert pair.log == [*LOOKED, "a.stop"]
    assert pair.state("a") is S.RUNNING


@pytest.mark.parametrize("error", [HostUnreachable("lost"), OperationTimeout("late"), KeyboardInterrupt()])
def test_a_machine_that_stopped_although_the_reply_was_lost_is_started_again(error: BaseException) -> None:
    pair = Pair()
    pair.a.on["stop.after"] = raises(error)
    with pytest.raises(type(error)):
        move(pair)
    assert pair.log == [*LOOKED, "a.stop", "a.start"]
    assert pair.state("a") is S.RUNNING


def test_where_nobody_can_be_asked_whether_it_stopped_the_error_says_so() -> None:
    pair = Pair()

    def vanish() -> None:
        pair.unseen(pair.a)
        raise HostUnreachable("gone")

    pair.a.on["stop.after"] = vanish
    with pytest.raises(MigrationFailed, match="nor be started again") as caught:
        move(pair)
    assert caught.value.hint == "it is on alpha; start it there if it is stopped"


def test_a_machine_that_started_although_the_reply_was_lost_has_moved() -> None:
    pair = Pair()
    pair.b.on["start.after"] = raises(HostUnreachable("lost"))
    _, arrived = move(pair)
    assert arrived.state is S.RUNNING
    assert pair.state("b") is S.RUNNING


def test_a_machine_that_cannot_be_looked_at_once_it_was_started_has_moved() -> None:
    pair = Pair()

    def blind() -> None:
        pair.b.on["inspect"] = raises(HostUnreachable("gone"))

    pair.b.on["start.after"] = blind
    _, arrived = move(pair)
    assert arrived.state is S.RUNNING
    assert (pair.state("a"), pair.state("b")) == (None, S.RUNNING)


@pytest.mark.parametrize("error", [NativeError("x"), KeyboardInterrupt(), OperationAborted("stop")])
def test_a_move_that_fails_starts_it_again(error: BaseException) -> None:
    pair = Pair()
    pair.a.on["transfer"] = raises(error)
    with pytest.raises(MigrationFailed if isinstance(error, NativeError) else type(error)):
        move(pair)
    assert pair.log == [*LOOKED, "a.stop", *STEPS, "b.cancel", "a.resume", "a.start"]
    assert (pair.state("a"), pair.state("b")) == (S.RUNNING, None)


def test_it_is_started_again_even_after_an_abort() -> None:
    pair, ctx = Pair(), Context()
    pair.a.on["stop.after"] = ctx.abort
    with pytest.raises(OperationAborted):
        move(pair, ctx)
    assert pair.log == [*LOOKED, "a.stop", "a.start"]


def test_it_is_not_started_when_nobody_knows() -> None:
    pair = Pair()

    def vanish() -> None:
        pair.unseen(pair.b)
        raise HostUnreachable("gone")

    pair.a.on["transfer"] = vanish
    with pytest.raises(MigrationInDoubt):
        move(pair)
    assert pair.log == [*LOOKED, "a.stop", *STEPS]
    assert pair.state("a") is S.STOPPED


def test_a_machine_that_stopped_meanwhile() -> None:
    pair = Pair()
    pair.b.on["examine"] = lambda: pair.a.put("1", S.STOPPED)
    with pytest.raises(InvalidState):
        move(pair)
    assert pair.log == LOOKED


def test_a_machine_that_moved_but_does_not_start_there_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
    target = MockDriver(world.host("b"))
    fail = raises(InsufficientResources("full", hint="make room"))
    monkeypatch.setattr(target, "start", lambda *_: fail())
    with vhal.connect(world.url("a")) as a, vhal.connect(target) as b:
        vm = a.create(vhal.MachineSpec(name="web"))
        vm.start()
        with pytest.raises(MigrationInDoubt, match="has moved to mock, but could not be started there: full") as caught:
            vm.migrate(b, COLD)
        assert caught.value.hint == "look at it there; if it is stopped, start it on mock, nowhere else"
        assert vm.host is b
        assert vm.state() is S.STOPPED
        assert a.machines() == []


def test_a_guest_that_does_not_listen_does_not_hold_up_the_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal.migration.cold.STOP_TIMEOUT_S", 0.1)
    with vhal.connect("mock:///a") as a, vhal.connect("mock:///b") as b:
        vm = a.create(vhal.MachineSpec(name="web", options={"mock": {"stop_s": None}}))
        vm.start()
        with pytest.raises(OperationTimeout):
            vm.migrate(b, COLD)
        assert vm.state() is S.RUNNING
        assert vm.host is a
