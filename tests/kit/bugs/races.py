"""Drivers that several callers at once confuse, though each alone is served well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vhal_mock.driver import MockDriver

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import Context

Call = Callable[..., Any]

MOMENT_S = 0.001
"""How long the engine takes, in which another thread may come."""


def a_note_for_two(patch: Patch) -> None:
    """The machine that a call is about is kept in the driver until the engine has answered."""
    note: dict[int, str] = {}

    def wrong(right: Call, driver: MockDriver, id: str, ctx: Context) -> None:
        note[hash(driver)] = id
        time.sleep(MOMENT_S)
        right(driver, note[hash(driver)], ctx)

    for call in ("start", "pause", "resume"):
        around(patch, MockDriver, call, wrong)


def a_line_for_one(patch: Patch) -> None:
    """Two callers at once on one connection get each other's answers, and an error."""
    busy: set[int] = set()

    def wrong(right: Call, driver: MockDriver, *rest: Any) -> Any:
        if hash(driver) in busy:
            raise RuntimeError("there is no answer of that number")
        busy.add(hash(driver))
        try:
            time.sleep(MOMENT_S)
            return right(driver, *rest)
        finally:
            busy.discard(hash(driver))

    around(patch, MockDriver, "inspect", wrong)
