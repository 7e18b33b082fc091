"""Events that are lost, doubled, early, late, wrong, or sent to those who left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vhal_mock import host as mock
from vhal_mock import power
from vhal_mock.driver import MockDriver
from vhal_mock.host import SimHost
from vhal_mock.machine import SimMachine

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import Context, Event
from vhal.driver.event import EventKind
from vhal.errors import VhalError

Call = Callable[..., Any]


def _losing(patch: Patch, lost: EventKind) -> None:
    around(patch, SimHost, "tell", lambda right, host, kind, *rest: kind is lost or right(host, kind, *rest))


def a_resume_is_not_told(patch: Patch) -> None:
    """Nobody hears that a machine goes on."""
    _losing(patch, EventKind.RESUMED)


def an_arrival_is_not_told(patch: Patch) -> None:
    """Nobody hears that a machine has come from another host."""
    _losing(patch, EventKind.MIGRATED_IN)


def a_start_is_told_twice(patch: Patch) -> None:
    """``started`` is told by the call and once more by the engine's own event."""

    def wrong(right: Call, host: SimHost, kind: EventKind, *rest: Any) -> None:
        for _ in range(2 if kind is EventKind.STARTED else 1):
            right(host, kind, *rest)

    around(patch, SimHost, "tell", wrong)


def a_start_is_told_too_early(patch: Patch) -> None:
    """``started`` is told before anybody can see it."""
    early = "early"

    def start(right: Call, driver: MockDriver, id: str, ctx: Context) -> None:
        driver.host.tell(EventKind.STARTED, driver.find(id), early)
        time.sleep(0.05)  # as the engine does, that has yet to act
        right(driver, id, ctx)

    def tell(right: Call, host: SimHost, kind: EventKind, machine: SimMachine, detail: str = "") -> None:
        if kind is not EventKind.STARTED or detail == early:
            right(host, kind, machine, detail)

    around(patch, MockDriver, "start", start)
    around(patch, SimHost, "tell", tell)


def a_start_is_told_too_late(patch: Patch) -> None:
    """Each event has a thread of its own, and the first ones are overtaken."""

    def wrong(right: Call, host: SimHost, kind: EventKind, machine: SimMachine, detail: str = "") -> None:
        if kind is EventKind.STARTED:
            late = threading.Timer(0.1, right, (host, kind, machine, detail))
            late.daemon = True
            late.start()
        else:
            right(host, kind, machine, detail)

    around(patch, SimHost, "tell", wrong)


def a_start_that_fails_is_told(patch: Patch) -> None:
    """``started`` is told although the engine refused."""

    def wrong(right: Call, host: SimHost, machine: SimMachine, ctx: Context) -> None:
        try:
            right(host, machine, ctx)
        except VhalError:
            host.tell(EventKind.STARTED, machine)
            raise

    around(patch, power, "_claim", wrong)


def an_event_with_an_id_for_a_name(patch: Patch) -> None:
    """What an event says is the machine's name is its id."""
    patch.setattr(mock, "Event", lambda kind, machine, name, *rest: Event(kind, machine, machine, *rest))


def listeners_who_cannot_leave(patch: Patch) -> None:
    """Who doesn't listen any more is told all the same, for good."""

    def wrong(right: Call, driver: MockDriver, listener: Any) -> Callable[[], None]:
        right(driver, listener)
        return lambda: None

    around(patch, MockDriver, "subscribe", wrong)
