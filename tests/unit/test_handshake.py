"""The handshake: whatever fails, wherever, the machine runs once, and somebody knows where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes import Act, FakeDriver, NativeError, PlainDriver, machine, raises
from vhal.driver import Answer, Blocker, Context
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy, MigrationResult
from vhal.errors import (
    AlreadyExists,
    Busy,
    HostUnreachable,
    InsufficientResources,
    MigrationFailed,
    MigrationInDoubt,
    MigrationRefused,
    NotFound,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.layers.guard import Guard
from vhal.layers.locks import LOCKS
from vhal.migration.handshake import migrate
from vhal.migration.preflight import giver, preflight
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState

S = MachineState
GONE = HostUnreachable("it doesn't answer", hint="wake it")


class Pair:
    """A source with machine ``1`` and a destination, and one list of what was called on both."""

    def __init__(self, state: MachineState = S.RUNNING, source: type[FakeDriver] = FakeDriver) -> None:
        self.log: list[str] = []
        self.a = source("a", state, log=self.log)
        self.b = FakeDriver("b", log=self.log)
        self.a.peer, self.b.peer = self.b, self.a
        self.source, self.destination = Guard(self.a, "alpha"), Guard(self.b, "beta")
        self.told: list[tuple[str, EventKind]] = []
        self.source.listen(lambda event: self.told.append(("a", event.kind)))
        self.destination.listen(lambda event: self.told.append(("b", event.kind)))

    def move(
        self, policy: MigrationPolicy | None = None, ctx: Context | None = None
    ) -> tuple[MigrationResult, MachineInfo]:
        try:
            return migrate(
                self.source, self.destination, machine(S.RUNNING), policy or MigrationPolicy(), ctx or Context()
            )
        finally:
            assert not LOCKS._holders
            assert [self.state("a"), self.state("b")].count(S.RUNNING) < 2, "never two"

    def state(self, host: str) -> MachineState | None:
        info = (self.a if host == "a" else self.b).has.get("1")
        return None if info is None else info.state

    def unseen(self, driver: FakeDriver) -> None:
        """From now on the host doesn't answer."""
        for call in ("inspect", "transfer", "commit", "cancel", "resume", "release"):
            driver.on[call] = raises(GONE)


STEPS = ["a.offer", "b.examine", "b.prepare", "a.transfer"]
FORWARD = [*STEPS, "b.commit", "a.release"]
BACK = [*STEPS, "b.cancel", "a.resume"]


class TestForward:
    @pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED, S.STOPPED])
    def test_moves_it_in_the_state_it_is_in(self, state: MachineState) -> None:
        pair = Pair(state)
        result, arrived = pair.move()
        assert pair.log == FORWARD
        assert pair.state("a") is None
        assert pair.state("b") is state is arrived.state
        assert pair.told == [("a", EventKind.MIGRATED_OUT), ("b", EventKind.MIGRATED_IN)]
        assert (result.source, result.destination, result.machine) == ("alpha", "beta", "web")
        assert result.live is (state is S.RUNNING)
        assert result.downtime_s == (0.1 if state is S.RUNNING else 0.0)
        assert (result.transfer_s, result.iterations) == (1.0, 3)
        assert "alpha → beta" in str(result)

    def test_reports_its_phases(self) -> None:
        pair, phases = Pair(), list[str]()
        pair.move(ctx=Context(on_progress=lambda progress: phases.append(progress.phase)))
        assert phases == ["offer", "prepare", "transfer", "commit", "release"]

    @pytest.mark.parametrize("error", [NativeError("lost"), GONE, OperationTimeout("late"), OperationAborted("stop")])
    def test_a_failure_after_it_arrived_is_none(self, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
        """The engine says that it failed; the machine runs on the other side: that counts."""
        pair = Pair()
        pair.a.on["transfer.after"] = raises(error)
        result, arrived = pair.move()
        assert pair.log == FORWARD
        assert arrived.state is S.RUNNING
        assert result.downtime_s == 0.0
        assert "is on the destination although" in caplog.text


class TestBeforeTheTransfer:
    @pytest.mark.parametrize(
        ("where", "call", "error"),
        [("a", "offer", HostUnreachable), ("b", "examine", HostUnreachable), ("b", "prepare", MigrationFailed)],
    )
    def test_a_failure_touches_nothing(self, where: str, call: str, error: type[VhalError]) -> None:
        pair = Pair()
        (pair.a if where == "a" else pair.b).on[call] = raises(GONE)
        with pytest.raises(error):
            pair.move()
        assert pair.log[-1] == f"{where}.{call}"
        assert pair.state("a") is S.RUNNING
        assert pair.state("b") is None
        assert pair.told == []

    @pytest.mark.parametrize("error", [GONE, NativeError("x"), OperationTimeout("late"), KeyboardInterrupt()])
    def test_a_place_that_is_held_although_no_ticket_came_is_given_up(self, error: BaseException) -> None:
        pair = Pair()
        answers = iter([raises(error)])
        pair.b.on["prepare.after"] = lambda: next(answers, lambda: None)()
        expected = (MigrationFailed, OperationTimeout, KeyboardInterrupt)
        with pytest.raises(expected):
            pair.move()
        assert pair.log == ["a.offer", "b.examine", "b.prepare", "b.prepare", "b.cancel"]
        assert (pair.state("a"), pair.state("b")) == (S.RUNNING, None)

    @pytest.mark.parametrize("call", ["prepare.after", "cancel"])
    def test_a_place_that_cannot_be_given_up_is_doubt(self, call: str) -> None:
        pair = Pair()
        pair.b.on |= {"prepare.after": raises(GONE)} if call == "prepare.after" else {}
        answers = iter([raises(GONE)])
        if call == "cancel":
            pair.b.on |= {"prepare.after": lambda: next(answers, lambda: None)(), "cancel": raises(GONE)}
        with pytest.raises(MigrationInDoubt, match="goes on, on alpha, but beta may hold a place for it") as caught:
            pair.move()
        assert caught.value.hint == "look at beta; what is there of it doesn't run, and can be deleted"
        assert (pair.state("a"), pair.state("b")) == (S.RUNNING, S.MIGRATING)

    def test_a_copy_that_runs_there_already_is_not_touched(self) -> None:
        pair = Pair(S.STOPPED)

        def others() -> None:
            pair.b.put("1", S.RUNNING)
            raise GONE

        pair.b.on["prepare.after"] = others
        with pytest.raises(MigrationInDoubt, match="running") as caught:
            pair.move()
        assert caught.value.hint == "look at both hosts before acting: beta shows a copy that runs"
        assert pair.log == ["a.offer", "b.examine", "b.prepare"]

    def test_a_no_of_prepare_is_not_asked_again(self) -> None:
        pair = Pair()
        pair.b.on["prepare"] = raises(AlreadyExists("taken", hint="look"))
        with pytest.raises(MigrationFailed, match="taken"):
            pair.move()
        assert pair.log == ["a.offer", "b.examine", "b.prepare"]

    def test_a_no_of_the_destination(self) -> None:
        pair = Pair()
        pair.b.answers["examine"] = Answer(
            (Blocker("full", "it is full", "make room", raises=InsufficientResources), Blocker("cpu", "old", "buy"))
        )
        with pytest.raises(MigrationRefused, match="'web' can't move from alpha to beta: it is full; old") as caught:
            pair.move()
        assert [blocker.code for blocker in caught.value.blockers] == ["full", "cpu"]
        assert caught.value.hint == "make room; buy"
        assert pair.log == ["a.offer", "b.examine"]

    def test_a_no_of_the_source(self) -> None:
        pair = Pair()
        pair.a.answers["migration"] = Answer.no("device", "a device can't move", "unplug it")
        with pytest.raises(MigrationRefused, match="unplug it"):
            pair.move()
        assert pair.log == []

    @pytest.mark.parametrize("state", [S.SAVED, S.CRASHED, S.STARTING, S.STOPPING, S.MIGRATING, S.UNKNOWN])
    def test_a_state_that_cant_move(self, state: MachineState) -> None:
        pair = Pair(state)
        with pytest.raises(MigrationRefused) as caught:
            pair.move()
        assert caught.value.blockers[0].code == "wrong-state"
        assert caught.value.hint
        assert pair.log == []

    def test_a_machine_that_isnt_there(self) -> None:
        pair = Pair()
        pair.a.put("1", None)
        with pytest.raises(NotFound):
            pair.move()
        assert pair.log == []

    def test_ends_that_dont_fit(self) -> None:
        def code(source: FakeDriver, destination: FakeDriver) -> str:
            answer, offer = preflight(
                Guard(source, "a"), Guard(destination, "b"), machine(S.RUNNING), MigrationPolicy()
            )
            assert offer is None
            assert source.calls == destination.calls == []
            assert answer.blockers[0].remedy
            return answer.blockers[0].code

        class Other(FakeDriver):
            backend = "other"

        assert code(FakeDriver("a", S.RUNNING), FakeDriver("a", S.RUNNING)) == "same-host"
        assert code(FakeDriver("a", S.RUNNING), Other("b")) == "other-backend"
        assert code(PlainDriver("a", S.RUNNING), FakeDriver("b")) == "not-provided"
        assert code(FakeDriver("a", S.RUNNING), PlainDriver("b")) == "not-provided"
        with pytest.raises(VhalError, match="can't move a machine"):
            giver(Guard(PlainDriver("a"), "a"))

    @pytest.mark.parametrize("kind", [OperationAborted, OperationTimeout])
    def test_an_end_before_it_begins(self, kind: type[Exception]) -> None:
        pair, ctx = Pair(), Context(None if kind is OperationAborted else 0)
        if kind is OperationAborted:
            ctx.abort()
        with pytest.raises(kind):
            pair.move(ctx=ctx)
        assert pair.log == []


class TestBack:
    @pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED, S.STOPPED])
    @pytest.mark.parametrize("halted", [False, True])
    def test_a_failed_transfer_is_undone(self, state: MachineState, halted: bool) -> None:
        pair = Pair(state)

        def fail() -> None:
            if halted and state is S.RUNNING:
                pair.a.put("1", S.PAUSED)
            raise NativeError("the line broke")

        pair.a.on["transfer"] = fail
        with pytest.raises(MigrationFailed, match=r"could not be moved to beta: .*the line broke") as caught:
            pair.move()
        assert pair.log == BACK
        assert pair.state("a") is state
        assert pair.state("b") is None
        assert pair.told == []
        assert isinstance(caught.value.native, NativeError)
        assert caught.value.hint
        assert (caught.value.host, caught.value.backend, caught.value.machine) == ("alpha", "fake", "web")
        assert caught.value.retryable

    def test_a_transfer_that_claims_what_isnt_so(self) -> None:
        pair = Pair()

        def pretend() -> None:
            pair.b.put("1", None)

        pair.a.on["transfer.after"] = pretend
        with pytest.raises(MigrationFailed, match="it didn't arrive") as caught:
            pair.move()
        assert pair.log == BACK
        assert pair.state("a") is S.RUNNING
        assert "it goes on, on alpha" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        "error", [OperationAborted("stop"), OperationTimeout("late"), KeyboardInterrupt(), SystemExit(3)]
    )
    def test_an_end_on_request_is_undone_and_raised_as_it_is(self, error: BaseException) -> None:
        pair = Pair()
        pair.a.on["transfer"] = raises(error)
        with pytest.raises(type(error)) as caught:
            pair.move()
        assert caught.value is error
        assert pair.log == BACK
        assert pair.state("a") is S.RUNNING
        assert pair.state("b") is None

    def test_an_abort_between_the_steps(self) -> None:
        pair, ctx = Pair(), Context()
        pair.b.on["prepare"] = ctx.abort
        with pytest.raises(OperationAborted):
            pair.move(ctx=ctx)
        assert pair.log == ["a.offer", "b.examine", "b.prepare", "b.cancel", "a.resume"]
        assert pair.state("a") is S.RUNNING

    def test_the_way_back_has_a_deadline_of_its_own(self) -> None:
        pair, ctx = Pair(), Context()
        left: list[float | None] = []

        def cancel(ticket: Any, own: Context) -> None:
            left.append(own.remaining_s)
            own.check()
            pair.b.put("1", None)

        pair.b.cancel = cancel  # type: ignore[method-assign,assignment]

        def transfer() -> None:
            ctx.abort()
            ctx.check()

        pair.a.on["transfer"] = transfer
        with pytest.raises(OperationAborted):
            pair.move(ctx=ctx)
        assert left[0] is not None

    def test_the_source_never_goes_on_while_the_destination_has_something(self) -> None:
        pair = Pair()
        pair.a.on["transfer"] = raises(NativeError("the line broke"))
        pair.b.on["cancel.after"] = lambda: pair.b.put("1", S.PAUSED)
        with pytest.raises(MigrationInDoubt, match=r"still has something of machine 'web' \(held\)") as caught:
            pair.move()
        assert pair.log == BACK[:-1]
        assert "remove it there" in (caught.value.hint or "")

    @pytest.mark.parametrize(("where", "call"), [("b", "cancel"), ("a", "resume")])
    def test_an_undoing_that_fails(self, where: str, call: str) -> None:
        pair = Pair()
        pair.a.on["transfer"] = raises(NativeError("the line broke"))
        (pair.a if where == "a" else pair.b).on[call] = raises(GONE)
        with pytest.raises(MigrationInDoubt, match=r"the line broke.*and undoing it too: it doesn't answer") as caught:
            pair.move()
        assert pair.log[-1] == f"{where}.{call}"
        assert caught.value.hint == "wake it"

    def test_the_message_of_a_silent_failure_has_a_reason(self) -> None:
        pair = Pair()
        pair.a.on["transfer.after"] = lambda: pair.b.put("1", None)
        pair.b.on["cancel"] = raises(GONE)
        with pytest.raises(MigrationInDoubt) as caught:
            pair.move()
        assert "None" not in str(caught.value)


class TestInDoubt:
    @pytest.mark.parametrize("where", ["a", "b"])
    @pytest.mark.parametrize("when", ["transfer", "transfer.after"])
    def test_a_host_that_cant_be_looked_at(self, where: str, when: str) -> None:
        """Nothing more is touched: neither cancelled nor committed nor resumed."""
        pair = Pair()

        def vanish() -> None:
            pair.unseen(pair.a if where == "a" else pair.b)
            raise NativeError("the line broke")

        pair.a.on[when] = vanish
        with pytest.raises(MigrationInDoubt, match=r"it can't be told who has machine 'web' \(.*unseen") as caught:
            pair.move()
        assert pair.log == STEPS
        assert not caught.value.retryable
        assert "look before acting" in (caught.value.hint or "")
        assert pair.told == []

    def test_two_that_run(self) -> None:
        pair = Pair()
        pair.a.on["transfer.after"] = lambda: pair.a.put("1", S.STOPPING)
        with pytest.raises(MigrationInDoubt, match="source: running, destination: running"):
            pair.move()
        assert pair.log == STEPS

    def test_one_that_died_in_between(self) -> None:
        pair = Pair()

        def die() -> None:
            pair.a.put("1", S.CRASHED)
            pair.b.put("1", S.STOPPED)

        pair.a.on["transfer.after"] = die
        with pytest.raises(MigrationInDoubt, match="neither host runs machine 'web' any more"):
            pair.move()
        assert pair.log == STEPS

    def test_one_that_turned_itself_off_in_between(self) -> None:
        pair = Pair()

        def end() -> None:
            pair.a.put("1", S.STOPPED)
            pair.b.put("1", None)
            raise NativeError("it isn't running")

        pair.a.on["transfer"] = end
        with pytest.raises(MigrationFailed, match="ended while it was being moved to beta") as caught:
            pair.move()
        assert "stopped on alpha" in (caught.value.hint or "")
        assert pair.log == BACK[:-1]
        assert pair.state("a") is S.STOPPED

    def test_a_look_after_the_undoing(self) -> None:
        pair = Pair()
        pair.a.on["transfer"] = raises(NativeError("the line broke"))
        pair.b.on["cancel.after"] = lambda: pair.unseen(pair.b)
        with pytest.raises(MigrationInDoubt, match="unseen"):
            pair.move()
        assert pair.log == BACK[:-1]


class TestCommit:
    def test_a_takeover_that_fails_while_it_runs_there(self) -> None:
        pair = Pair()
        pair.b.on["commit"] = raises(NativeError("no autostart"))
        with pytest.raises(MigrationInDoubt, match="arrived on beta, but isn't as it should be") as caught:
            pair.move()
        assert pair.log == FORWARD[:-1]
        assert "never start it on alpha" in (caught.value.hint or "")

    def test_a_takeover_that_fails_before_it_runs_is_undone(self) -> None:
        """Where the engine only takes over at commit, the source still has the machine."""
        pair = Pair()
        pair.a.on["transfer.after"] = lambda: pair.b.put("1", S.MIGRATING)
        pair.b.on["commit"] = raises(NativeError("no memory"))
        with pytest.raises(MigrationFailed, match="no memory"):
            pair.move()
        assert pair.log == [*STEPS, "b.commit", "b.cancel", "a.resume"]
        assert pair.state("a") is S.RUNNING
        assert pair.state("b") is None

    @pytest.mark.parametrize("step", ["commit", "release"])
    def test_a_lost_answer_is_asked_for_once_more(self, step: str) -> None:
        pair = Pair()
        side = pair.b if step == "commit" else pair.a
        lost = [GONE]

        def lose() -> None:
            if lost:
                raise lost.pop()

        side.on[step] = lose
        result, _ = pair.move()
        assert result.live
        assert pair.log.count(f"{'b' if step == 'commit' else 'a'}.{step}") == 2
        assert (pair.state("a"), pair.state("b")) == (None, S.RUNNING)

    def test_an_answer_that_is_lost_again_is_told(self) -> None:
        pair = Pair()
        pair.b.on["commit"] = raises(GONE)
        with pytest.raises(MigrationInDoubt, match="isn't as it should be"):
            pair.move()
        assert pair.log.count("b.commit") == 2

    def test_a_takeover_nobody_can_see(self) -> None:
        pair = Pair()

        def vanish() -> None:
            pair.unseen(pair.b)
            raise GONE

        pair.b.on["commit"] = vanish
        with pytest.raises(MigrationInDoubt, match="can't be told"):
            pair.move()
        assert pair.log == FORWARD[:-1]

    def test_a_source_that_cant_be_tidied(self) -> None:
        pair = Pair()
        pair.a.on["release"] = raises(GONE)
        with pytest.raises(MigrationInDoubt, match="runs on beta, but alpha could not be tidied") as caught:
            pair.move()
        assert "never start it on alpha" in (caught.value.hint or "")
        assert pair.state("b") is S.RUNNING


FAULTS: list[Act] = [raises(NativeError("x")), raises(GONE), raises(OperationAborted("x"))]


@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED, S.STOPPED])
@pytest.mark.parametrize("fault", FAULTS, ids=["native", "unreachable", "aborted"])
@pytest.mark.parametrize("suffix", ["", ".after"])
@pytest.mark.parametrize("point", ["a.offer", "b.examine", "b.prepare", "a.transfer", "b.commit", "a.release"])
def test_one_fault_anywhere(point: str, suffix: str, fault: Act, state: MachineState) -> None:
    """With one fault, and both hosts answering afterwards, the machine is whole on at least one host, active on one."""
    pair = Pair(state)
    host, _, call = point.partition(".")
    driver = pair.a if host == "a" else pair.b
    driver.on[call + suffix] = fault
    outcome: str
    try:
        pair.move()
        outcome = "moved"
    except (MigrationFailed, OperationAborted, HostUnreachable, MigrationInDoubt) as error:
        outcome = type(error).__name__
    except VhalError as error:
        outcome = type(error).__name__
        assert call in ("offer", "prepare", "examine")
    states = [pair.state("a"), pair.state("b")]
    if state is S.STOPPED:
        assert S.STOPPED in states
    else:
        assert state in states
        assert states.count(S.RUNNING) == (state is S.RUNNING)
    if outcome == "moved":
        assert states == [None, state]
    if outcome in ("MigrationFailed", "OperationAborted") and call == "transfer":
        assert states == [state, None]
    assert not LOCKS._holders


def test_the_destination_is_locked_too() -> None:
    pair = Pair()
    busy: list[str] = []

    def other(call: Callable[[], object]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            try:
                pool.submit(call).result(60)
            except Busy as error:
                busy.append(str(error))

    def meddle() -> None:
        from vhal.driver.driver import StopMode
        from vhal.spec.machine import MachineSpec

        other(lambda: pair.source.stop("1", StopMode.FORCED, Context()))
        other(lambda: pair.destination.delete("1", Context()))
        other(lambda: pair.destination.create(MachineSpec(name="web"), Context()))

    pair.a.on["transfer"] = meddle
    pair.move()
    assert len(busy) == 3
    assert all("held by migrate()" in message for message in busy)
    assert pair.log == FORWARD
