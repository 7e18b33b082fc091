"""What a backend says of itself, and isn't so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vhal_mock.changes import MockResize, MockSnapshots
from vhal_mock.driver import MockDriver

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import Answer
from vhal.driver.answer import Level
from vhal.driver.capability import SAVE
from vhal.errors import Unsupported

Call = Callable[..., Any]


def a_yes_that_is_refused(patch: Patch) -> None:
    """``can()`` says yes, and the call that it can't."""

    def wrong(right: Call, *rest: Any) -> None:
        raise Unsupported("this engine can't resize", hint="make another machine")

    around(patch, MockResize, "resize", wrong)


def a_no_to_what_works(patch: Patch) -> None:
    """``can()`` says no for every machine, to what it says yes for the host."""

    def wrong(right: Call, driver: MockDriver, capability: Any, subject: Any = None) -> Any:
        if capability is SAVE and subject is not None:
            return Answer.no("not-today", "it can't be saved", "try another one", Level.MACHINE)
        return right(driver, capability, subject)

    around(patch, MockDriver, "can", wrong)


def a_plain_yes(patch: Patch) -> None:
    """``can()`` returns ``True``."""
    around(patch, MockDriver, "can", lambda right, driver, *rest: bool(right(driver, *rest)) or right(driver, *rest))


def a_capability_that_nobody_knows(patch: Patch) -> None:
    """A capability is declared with a slip of the pen."""
    patch.setattr(MockDriver, "capabilities", frozenset({*MockDriver.capabilities, "snapshot"}))


def a_capability_without_its_calls(patch: Patch) -> None:
    """Snapshots are declared, and can't be gone back to."""
    patch.delattr(MockSnapshots, "revert")


def a_list_that_is_none(patch: Patch) -> None:
    """``machines()`` returns an iterator."""
    around(patch, MockDriver, "machines", lambda right, driver: iter(right(driver)))


def another_host_id(patch: Patch) -> None:
    """Every connection thinks that it is to a host of its own."""

    def wrong(right: Call, driver: MockDriver, *rest: Any) -> None:
        right(driver, *rest)
        driver.host_id = f"{driver.host.uuid}-{id(driver)}"

    around(patch, MockDriver, "__init__", wrong)
