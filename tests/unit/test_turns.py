"""One call at a time: what waits for its turn, and what doesn't."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.fakes import FakeDriver
from vhal.driver import FILES, MIGRATION, PAUSE, READINESS, Context
from vhal.layers.guard import Guard
from vhal.layers.turns import Turns
from vhal.spec import MachineState

S = MachineState


class Single(FakeDriver):
    """Notes whether its lock is held while it is called."""

    concurrent = False
    capabilities = FakeDriver.capabilities | {"files"}

    def __init__(self, *states: MachineState) -> None:
        super().__init__("here", *states)
        self.turns = Turns(self)
        self.held: list[bool] = []
        self.closed = 0

    def look(self) -> None:
        self.held.append(self.turns.lock._is_owned())  # type: ignore[attr-defined]

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        self.look()
        try:
            for piece in (b"a", b"b"):
                self.look()
                yield piece
        finally:
            self.closed += 1
            self.look()

    def write_archive(self, id: str, path: str, archive: object, ctx: Context) -> None:
        self.look()


def test_each_call_has_its_turn() -> None:
    driver = Single(S.RUNNING)
    driver.on = {"machines": driver.look, "pause": driver.look}
    guard = Guard(driver, "host")
    guard.machines()
    guard.require(PAUSE).pause("1", Context())
    assert driver.held == [True, True]


def test_each_piece_of_an_archive_has_its_turn_and_nobody_is_kept_out_between() -> None:
    driver = Single(S.RUNNING)
    pieces = Guard(driver, "host").require(FILES).read_archive("1", "/x")
    assert next(iter(pieces)) == b"a"
    assert not driver.turns.lock._is_owned()  # type: ignore[attr-defined]
    assert list(pieces) == [b"b"]
    assert all(driver.held)
    assert driver.closed == 1


def test_an_archive_that_nobody_reads_on_is_closed_in_its_turn() -> None:
    driver = Single(S.RUNNING)
    pieces = Guard(driver, "host").require(FILES).read_archive("1", "/x")
    next(iter(pieces))
    pieces.close()  # type: ignore[attr-defined]
    assert (driver.closed, driver.held[-1]) == (1, True)


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_driver_lacks_it_lacks_in_turns_too(wrapped: bool) -> None:
    driver = Single()
    found = Turns(driver) if wrapped else driver
    assert found.provides(READINESS) is None
    assert found.provides(MIGRATION) is not None


def test_a_driver_that_takes_several_has_no_turns() -> None:
    driver = FakeDriver("here")
    assert Guard(driver, "host").inner is driver
