"""What the guard hands on to a driver, and what it says of itself when something goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.unit.fakes import FakeDriver, PlainDriver, machine
from vhal.driver import FILES, REBOOT, Context, StopMode
from vhal.errors import Busy, InvalidState, NotFound, VhalError
from vhal.layers.guard import Guard
from vhal.layers.locks import LOCKS
from vhal.spec import MachineInfo, MachineSpec, MachineState

S = MachineState


class Told(FakeDriver):
    """Keeps with what it was called last."""

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        self.was = (id, ctx, keep_disks)
        super().delete(id, ctx, keep_disks)


class ToldPlain(PlainDriver):
    """Keeps all that it was called with."""

    def __init__(self, host_id: str, *states: MachineState) -> None:
        super().__init__(host_id, *states)
        self.was: list[object] = []

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        self.was += ["stop", mode, ctx]
        super().stop(id, mode, ctx)

    def start(self, id: str, ctx: Context) -> None:
        self.was += ["start", ctx]
        super().start(id, ctx)


class Pieces(Iterator[bytes]):
    """An archive whose end must be told to the engine; Python wouldn't do it."""

    def __init__(self) -> None:
        self.left = [b"a", b"b"]
        self.closed = False

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def close(self) -> None:
        self.closed = True


class Archives(FakeDriver):
    capabilities = FakeDriver.capabilities | {"files"}

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        self.pieces = Pieces()
        return self.pieces

    def write_archive(self, id: str, path: str, archive: object, ctx: Context) -> None: ...


def test_a_deletion_takes_disks_along_unless_it_is_told_otherwise() -> None:
    driver, ctx = Told("here", S.STOPPED, S.STOPPED), Context()
    Guard(driver, "a").delete("1", ctx)
    assert driver.was == ("1", ctx, False)
    Guard(driver, "a").delete("2", ctx, keep_disks=True)
    assert driver.was == ("2", ctx, True)


def test_an_emulated_restart_asks_the_guest_within_the_callers_time() -> None:
    driver, ctx = ToldPlain("here", S.RUNNING), Context()
    Guard(driver, "a").require(REBOOT).reboot("1", ctx)
    assert driver.was == ["stop", StopMode.GRACEFUL, ctx, "start", ctx]


@pytest.mark.parametrize(("state", "hint"), [
    (S.SAVED, "stop(force=True) discards its memory; restore() brings it back"),
    (S.PAUSED, "resume() it first, or stop(force=True)"),
])  # fmt: skip
def test_why_a_guest_cannot_be_asked(state: MachineState, hint: str) -> None:
    with pytest.raises(InvalidState) as caught:
        Guard(FakeDriver("here", state), "a").stop("1", StopMode.GRACEFUL, Context())
    assert caught.value.hint == hint


def test_whose_machine_is_gone() -> None:
    driver = FakeDriver("here", S.STOPPED)

    def gone() -> None:
        driver.put("1", None)
        raise NotFound("the engine doesn't know it", hint="look elsewhere")

    driver.on["start"] = gone
    with pytest.raises(NotFound, match="deleted while it was to start") as caught:
        Guard(driver, "a").start("1", Context())
    error = caught.value
    assert (error.backend, error.host, error.machine) == ("fake", "a", "web")
    assert error.hint == "another program did it; machines() lists what is there"


def test_what_waits_is_translated_with_its_place_and_its_arguments() -> None:
    guard = Guard(FakeDriver("here"), "a")
    assert guard.call(lambda *args, **kwargs: (args, kwargs), 1, two=2) == ((1,), {"two": 2})

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(VhalError) as caught:
        guard.call(fail)
    assert (caught.value.host, caught.value.backend) == ("a", "fake")


def test_a_listener_that_fails_is_told_of_with_the_event(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(FakeDriver("here", S.STOPPED), "a")

    def fail(event: object) -> None:
        raise RuntimeError("no")

    guard.listen(fail)
    guard.start("1", Context())
    (record,) = caplog.records
    assert record.name == "vhal.events"
    assert record.getMessage().startswith("a listener failed at Event(kind=<EventKind.STARTED")


def test_an_archive_ends_and_its_engine_is_told() -> None:
    driver = Archives("here", S.RUNNING)
    files = Guard(driver, "a").require(FILES)
    assert list(files.read_archive("1", "/x")) == [b"a", b"b"]
    assert driver.pieces.closed
    archive = files.read_archive("1", "/x")
    next(archive)
    assert not driver.pieces.closed
    archive.close()
    assert driver.pieces.closed


class TestCreation:
    SPEC = MachineSpec(name="web")

    def test_one_of_a_name_and_a_host_at_a_time_as_long_as_the_caller_waits(self) -> None:
        driver, begun, go_on = FakeDriver("here"), threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            assert go_on.wait(10)

        driver.on["create"] = wait
        made: list[MachineInfo] = []
        first = threading.Thread(target=lambda: made.append(Guard(driver, "a").create(self.SPEC, Context())))
        first.start()
        try:
            assert begun.wait(10)
            with pytest.raises(Busy):
                Guard(FakeDriver("here"), "a").create(self.SPEC, Context(0.05))
            assert Guard(FakeDriver("there"), "b").create(self.SPEC, Context(0.05)) == machine(S.STOPPED)
        finally:
            go_on.set()
            first.join()
        assert made == [machine(S.STOPPED)]
        assert not LOCKS._holders
