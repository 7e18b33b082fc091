"""The guard: states, locks, a second look after a failure, errors, events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from tests.unit.fakes import EventfulDriver, FakeDriver, NativeError, PlainDriver, machine, raises
from vhal.driver import CONSOLE, CREATE, EVENTS, FILES, MIGRATION, PAUSE, READINESS, REBOOT, SAVE, Answer, Context
from vhal.driver.answer import Level
from vhal.driver.driver import StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import (
    AlreadyExists,
    Busy,
    EngineError,
    HostUnreachable,
    InvalidState,
    NotFound,
    OperationAborted,
    OperationTimeout,
    Unsupported,
    VhalError,
)
from vhal.layers.guard import Guard
from vhal.layers.locks import LOCKS
from vhal.spec import MachineSpec, MachineState
from vhal.spec.state import TRANSITIONS, allowed

S = MachineState
CALLS: dict[str, Callable[[Guard], None]] = {
    "start": lambda guard: guard.start("1", Context()),
    "stop": lambda guard: guard.stop("1", StopMode.FORCED, Context()),
    "delete": lambda guard: guard.delete("1", Context()),
    "pause": lambda guard: guard.require(PAUSE).pause("1", Context()),
    "resume": lambda guard: guard.require(PAUSE).resume("1", Context()),
    "save": lambda guard: guard.require(SAVE).save("1", Context()),
    "restore": lambda guard: guard.require(SAVE).restore("1", Context()),
    "reboot": lambda guard: guard.require(REBOOT).reboot("1", Context()),
}


def guarded(*states: MachineState, kind: type[FakeDriver] = FakeDriver) -> tuple[Guard, FakeDriver, list[EventKind]]:
    driver = kind("here", *states)
    guard = Guard(driver, "host")
    told: list[EventKind] = []
    guard.listen(lambda event: told.append(event.kind))
    return guard, driver, told


@pytest.fixture(autouse=True)
def _no_lock_is_left() -> object:
    yield
    assert not LOCKS._holders


class TestStates:
    @pytest.mark.parametrize("state", list(MachineState))
    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_the_whole_table(self, call: str, state: MachineState) -> None:
        guard, driver, told = guarded(state)
        if allowed(call, state):
            CALLS[call](guard)
            assert driver.calls == [f"here.{call}"]
            # What is saved has stopped already, which was told.
            assert len(told) == (0 if (call, state) == ("stop", MachineState.SAVED) else 1)
            end = TRANSITIONS[call][state]
            assert ("1" not in driver.has) if end is None else driver.has["1"].state is end
        else:
            with pytest.raises(InvalidState, match=rf"can't {call} machine 'web': it is {state}") as caught:
                CALLS[call](guard)
            assert caught.value.hint
            assert (caught.value.backend, caught.value.host, caught.value.machine) == ("fake", "host", "web")
            assert driver.calls == []
            assert told == []

    @pytest.mark.parametrize(("state", "hint"), [(S.PAUSED, "resume"), (S.SAVED, "restore")])
    def test_a_guest_that_cant_hear_isnt_asked_to_stop(self, state: MachineState, hint: str) -> None:
        guard, driver, _ = guarded(state)
        with pytest.raises(InvalidState) as caught:
            guard.stop("1", StopMode.GRACEFUL, Context())
        assert hint in (caught.value.hint or "")
        assert "force=True" in (caught.value.hint or "")
        assert driver.calls == []

    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_what_isnt_there(self, call: str) -> None:
        guard, driver, _ = guarded()
        with pytest.raises(NotFound):
            CALLS[call](guard)
        assert driver.calls == []

    @pytest.mark.parametrize(
        ("ctx", "kind"), [(Context(0), OperationTimeout), (Context(), OperationAborted)], ids=["late", "aborted"]
    )
    def test_nothing_begins_after_the_end(self, ctx: Context, kind: type[VhalError]) -> None:
        guard, driver, _ = guarded(S.STOPPED)
        if kind is OperationAborted:
            ctx.abort()
        for call in (lambda: guard.start("1", ctx), lambda: guard.create(MachineSpec(name="db"), ctx)):
            with pytest.raises(kind):
                call()
        assert driver.calls == []


class TestSecondLook:
    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_deleted_by_someone_else(self, call: str) -> None:
        guard, driver, told = guarded(next(iter(TRANSITIONS[call])))

        def vanish() -> None:
            driver.put("1", None)
            raise NativeError("no such domain")

        driver.on[call] = vanish
        if call == "delete":
            CALLS[call](guard)
            assert told == [EventKind.DELETED]
            return
        with pytest.raises(NotFound, match=f"'web' was deleted while it was to {call}") as caught:
            CALLS[call](guard)
        assert caught.value.hint
        assert isinstance(caught.value.native, NativeError)
        assert told == []

    def test_started_by_someone_else(self) -> None:
        guard, driver, told = guarded(S.STOPPED)

        def race() -> None:
            driver.put("1", S.RUNNING)
            raise NativeError("already active")

        driver.on["start"] = race
        with pytest.raises(InvalidState, match="it is running") as caught:
            CALLS["start"](guard)
        assert caught.value.hint == "it runs already"
        assert isinstance(caught.value.native, NativeError)
        assert isinstance(caught.value.__cause__, EngineError)
        assert told == []

    def test_a_change_that_doesnt_explain_it(self) -> None:
        guard, driver, _ = guarded(S.RUNNING)

        def race() -> None:
            driver.put("1", S.PAUSED)
            raise NativeError("disk on fire")

        driver.on["stop"] = race
        with pytest.raises(EngineError, match="disk on fire"):
            CALLS["stop"](guard)

    def test_no_change(self) -> None:
        guard, driver, told = guarded(S.STOPPED)
        driver.on["start"] = raises(NativeError("disk on fire"))
        with pytest.raises(EngineError, match="disk on fire") as caught:
            CALLS["start"](guard)
        assert caught.value.machine == "web"
        assert told == []

    def test_an_error_with_a_better_name_stays(self) -> None:
        guard, driver, _ = guarded(S.STOPPED)

        def race() -> None:
            driver.put("1", S.RUNNING)
            raise AlreadyExists("a file is there", hint="remove it")

        driver.on["start"] = race
        with pytest.raises(AlreadyExists):
            CALLS["start"](guard)

    def test_a_host_that_cant_be_looked_at(self) -> None:
        guard, driver, _ = guarded(S.STOPPED)
        native = NativeError("disk on fire")

        def die() -> None:
            driver.on["inspect"] = raises(HostUnreachable("gone"))
            raise native

        driver.on["start"] = die
        with pytest.raises(EngineError, match="disk on fire") as caught:
            CALLS["start"](guard)
        assert caught.value.native is caught.value.__cause__ is native


class TestErrors:
    CALLS: ClassVar[dict[str, Callable[[Guard], object]]] = {
        "describe": lambda guard: guard.describe(),
        "machines": lambda guard: guard.machines(),
        "inspect": lambda guard: guard.inspect("1"),
        "create": lambda guard: guard.create(MachineSpec(name="db"), Context()),
        "can": lambda guard: guard.can(CREATE, MachineSpec(name="db")),
        **CALLS,
    }

    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_what_nobody_knows_is_an_engine_error(self, call: str) -> None:
        guard, driver, _ = guarded(next(iter(TRANSITIONS.get(call, {S.STOPPED: None}))))
        native = NativeError("disk on fire")
        driver.on[call] = raises(native)
        with pytest.raises(EngineError, match="backend 'fake' failed: NativeError: disk on fire") as caught:
            self.CALLS[call](guard)
        assert caught.value.native is caught.value.__cause__ is native
        assert "defect of the backend" in (caught.value.hint or "")
        assert (caught.value.backend, caught.value.host) == ("fake", "host")

    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_what_the_backend_knows_is_translated(self, call: str) -> None:
        guard, driver, _ = guarded(next(iter(TRANSITIONS.get(call, {S.STOPPED: None}))))
        native = NativeError()
        driver.on[call] = raises(native)
        driver.translations[NativeError] = lambda _: HostUnreachable("it doesn't answer", hint="wake it")
        with pytest.raises(HostUnreachable, match="wake it") as caught:
            self.CALLS[call](guard)
        assert caught.value.native is caught.value.__cause__ is native
        assert (caught.value.backend, caught.value.host) == ("fake", "host")

    def test_what_is_ours_keeps_its_place(self) -> None:
        guard, driver, _ = guarded()
        driver.on["machines"] = raises(Busy("no", host="elsewhere", backend="other"))
        with pytest.raises(Busy) as caught:
            guard.machines()
        assert (caught.value.backend, caught.value.host) == ("other", "elsewhere")

    def test_an_interrupt_is_no_error(self) -> None:
        guard, driver, _ = guarded(S.STOPPED)
        driver.on["start"] = raises(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            CALLS["start"](guard)

    def test_other_capabilities_are_translated_too(self) -> None:
        guard, driver, _ = guarded(S.STOPPED)
        driver.on["cancel"] = raises(NativeError())
        migration = guard.provides(MIGRATION)
        assert migration is not None
        from vhal.driver import Ticket

        with pytest.raises(EngineError):
            migration.cancel(Ticket(host_uuid="x", machine_id="1", state=S.RUNNING), Context())


class TestCapabilities:
    @pytest.mark.parametrize("capability", [PAUSE, SAVE, READINESS, CONSOLE, MIGRATION])
    def test_what_isnt_provided(self, capability: object) -> None:
        guard, driver, _ = guarded(S.RUNNING, kind=PlainDriver)
        answer = guard.can(capability)  # type: ignore[arg-type]
        assert not answer
        assert answer.blockers[0].code == "not-provided"
        assert answer.blockers[0].level is Level.BACKEND
        with pytest.raises(Unsupported) as caught:
            guard.require(capability, machine(S.RUNNING))  # type: ignore[arg-type]
        assert caught.value.blockers == answer.blockers
        assert caught.value.hint
        assert caught.value.machine == "web"
        assert guard.provides(capability) is None  # type: ignore[arg-type]
        assert driver.calls == []

    def test_what_isnt_possible_now(self) -> None:
        guard, driver, _ = guarded(S.RUNNING)
        driver.answers["pause"] = Answer.no("held", "a debugger holds it", "let it go")
        with pytest.raises(Unsupported, match="a debugger holds it") as caught:
            CALLS["pause"](guard)
        assert caught.value.blockers[0].code == "held"
        assert driver.calls == []

    def test_a_spec_that_cant_be_made(self) -> None:
        guard, driver, told = guarded()
        driver.answers["create"] = Answer.no("taken", "the name is taken", "choose another", raises=AlreadyExists)
        with pytest.raises(AlreadyExists) as caught:
            guard.create(MachineSpec(name="web"), Context())
        assert caught.value.machine == "web"
        assert driver.calls == []
        assert told == []

    def test_emulations_say_so(self) -> None:
        guard, _, _ = guarded(kind=PlainDriver)
        assert "stop, then start" in (guard.can(REBOOT).note or "")
        assert "this connection's calls only" in (guard.can(EVENTS).note or "")

    def test_an_emulated_restart(self) -> None:
        guard, driver, told = guarded(S.RUNNING, kind=PlainDriver)
        CALLS["reboot"](guard)
        assert driver.calls == ["here.stop", "here.start"]
        assert told == [EventKind.REBOOTED]

    def test_an_emulated_restart_that_doesnt_come_up(self) -> None:
        guard, driver, told = guarded(S.RUNNING, kind=PlainDriver)
        driver.on["start"] = raises(NativeError("no memory"))
        with pytest.raises(EngineError, match="no memory"):
            CALLS["reboot"](guard)
        assert driver.has["1"].state is S.STOPPED
        assert told == []


class TestEvents:
    def test_in_order_and_once(self) -> None:
        guard, _, told = guarded()
        info = guard.create(MachineSpec(name="db"), Context())
        for call in ("start", "pause", "resume", "save", "restore", "reboot", "stop", "delete"):
            CALLS[call](guard)
        assert info.id == "1"
        assert [kind.value for kind in told] == [
            "created", "started", "paused", "resumed", "saved", "restored", "rebooted", "stopped", "deleted",
        ]  # fmt: skip

    def test_what_one_says(self) -> None:
        guard, _, _ = guarded(S.STOPPED)
        events: list[Event] = []
        guard.listen(events.append)
        CALLS["start"](guard)
        assert events[0].as_dict() | {"time": 0} == {
            "kind": "started", "machine": "web", "machine_id": "1", "host": "host", "time": 0, "detail": "",
        }  # fmt: skip

    def test_end_with_the_subscription(self) -> None:
        guard, _, _ = guarded(S.STOPPED)
        events: list[Event] = []
        stop = guard.listen(events.append)
        stop()
        stop()
        CALLS["start"](guard)
        assert events == []

    def test_a_listener_that_fails_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        guard, _, _ = guarded(S.STOPPED)
        events: list[Event] = []

        def fail(event: Event) -> None:
            raise RuntimeError("no")

        guard.listen(fail)
        guard.listen(events.append)
        CALLS["start"](guard)
        assert [event.kind for event in events] == [EventKind.STARTED]
        assert "a listener failed" in caplog.text

    def test_an_engine_with_events_tells_its_own(self) -> None:
        guard, driver, told = guarded(S.STOPPED, kind=EventfulDriver)
        CALLS["start"](guard)
        assert told == []
        assert isinstance(driver, EventfulDriver)
        assert len(driver.listeners) == 1
        stop = guard.require(EVENTS).subscribe(lambda event: None)
        assert len(driver.listeners) == 2
        stop()
        assert len(driver.listeners) == 1


class TestThreads:
    def test_a_driver_for_one_caller_at_a_time(self) -> None:
        inside, most = 0, 0

        class Single(FakeDriver):
            concurrent = False

            def machines(self) -> list[object]:  # type: ignore[override]
                nonlocal inside, most
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.0005)
                inside -= 1
                return []

        guard = Guard(Single(), "host")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: guard.machines(), range(64)))
        assert most == 1

    def test_it_may_call_itself(self) -> None:
        class Single(FakeDriver):
            concurrent = False

        driver = Single("here", S.STOPPED)
        guard = Guard(driver, "host")
        driver.on["start"] = lambda: guard.machines()
        CALLS["start"](guard)

    def test_one_start_wins(self) -> None:
        guard, driver, told = guarded(S.STOPPED)
        barrier = threading.Barrier(8)

        def start(_: int) -> str:
            barrier.wait(60)
            try:
                CALLS["start"](guard)
            except InvalidState:
                return "invalid"
            return "won"

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(start, range(8)))
        assert sorted(outcomes) == ["invalid"] * 7 + ["won"]
        assert driver.calls == ["here.start"]
        assert told == [EventKind.STARTED]

    def test_one_lock_for_all_connections(self) -> None:
        """Two connections to one host are one host."""
        driver = FakeDriver("here", S.RUNNING)
        one, two = Guard(driver, "one"), Guard(driver, "two")
        with ThreadPoolExecutor(1) as pool:

            def other() -> None:
                with pytest.raises(Busy, match="held by save"):
                    pool.submit(CALLS["pause"], two).result(60)

            driver.on["save"] = other
            CALLS["save"](one)
        assert driver.calls == ["here.save"]


def test_layers_hand_on_the_rest() -> None:
    from vhal.layers.layer import Layer

    driver = FakeDriver("here", S.STOPPED)
    layer = Layer(driver)
    assert (layer.backend, layer.host_id) == ("fake", "here")
    assert layer.describe().name == "here"
    assert layer.machines() == [layer.inspect("web")]
    layer.start("1", Context())
    layer.stop("1", StopMode.FORCED, Context())
    layer.create(MachineSpec(name="db"), Context())
    layer.delete("1", Context())
    assert layer.can(PAUSE)
    assert layer.provides(PAUSE) is driver
    assert layer.clock_s() > 0
    assert layer.translate(NativeError()) is None
    layer.close()
    assert driver.calls[-1] == "here.close"


class FilesDriver(FakeDriver):
    """A fake with files, which fails halfway."""

    capabilities = FakeDriver.capabilities | {"files"}
    closed = False

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        try:
            yield b"half"
            raise NativeError("the line is cut")
        finally:
            self.closed = True

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        self.calls.append(b"".join(archive).decode())


def test_an_archive_that_breaks_off_is_translated() -> None:
    guard = Guard(FilesDriver("here", S.RUNNING), "a")
    pieces = guard.require(FILES).read_archive("1", "/x")
    assert next(pieces) == b"half"
    with pytest.raises(EngineError, match="the line is cut") as caught:
        next(pieces)
    assert (caught.value.host, type(caught.value.native)) == ("a", NativeError)


def test_an_archive_that_nobody_wants_any_more_is_closed() -> None:
    driver = FilesDriver("here", S.RUNNING)
    pieces = Guard(driver, "a").require(FILES).read_archive("1", "/x")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert driver.closed


def test_files_go_into_a_machine_in_a_fitting_state_only() -> None:
    driver = FilesDriver("here", S.RUNNING, S.SAVED)
    files = Guard(driver, "a").require(FILES)
    files.write_archive("1", "/x", [b"a", b"b"], Context())
    with pytest.raises(InvalidState, match="can't copy"):
        files.write_archive("2", "/x", [b"a"], Context())
    assert driver.calls == ["ab"]
