"""What a connection leaves behind, and what its end does to others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from vhal_mock.driver import MockDriver

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import Context, StopMode

Call = Callable[..., Any]


def a_thread_that_stays(patch: Patch) -> None:
    """Every connection has a thread that waits for events, and ``close`` doesn't end it."""

    def wrong(right: Call, driver: MockDriver, *rest: Any) -> None:
        right(driver, *rest)
        threading.Thread(target=threading.Event().wait, args=(30,), daemon=True).start()

    around(patch, MockDriver, "__init__", wrong)


def a_file_that_stays_open(patch: Patch) -> None:
    """Every connection has a file open, and ``close`` doesn't close it."""
    files: list[int] = []

    def wrong(right: Call, driver: MockDriver, *rest: Any) -> None:
        right(driver, *rest)
        files.append(os.open(os.devnull, os.O_RDONLY))

    around(patch, MockDriver, "__init__", wrong)

    def undo(right: Call) -> None:
        while files:
            os.close(files.pop())
        right()

    around(patch, patch, "undo", undo)


def an_end_that_comes_once(patch: Patch) -> None:
    """A second ``close`` is an error."""

    def wrong(right: Call, driver: MockDriver) -> None:
        if vars(driver).setdefault("ended", False):
            raise RuntimeError("the connection is closed already")
        vars(driver)["ended"] = True

    around(patch, MockDriver, "close", wrong)


def an_end_for_all(patch: Patch) -> None:
    """With its connection a machine that was started over it ends."""
    started: dict[int, set[str]] = {}

    def start(right: Call, driver: MockDriver, id: str, ctx: Context) -> None:
        right(driver, id, ctx)
        started.setdefault(hash(driver), set()).add(id)

    def close(right: Call, driver: MockDriver) -> None:
        for machine in started.pop(hash(driver), set()):
            if machine in driver.host.running:
                driver.stop(machine, StopMode.FORCED, Context())

    around(patch, MockDriver, "start", start)
    around(patch, MockDriver, "close", close)
