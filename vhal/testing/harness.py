"""How the suite gets at a backend: what it can't know by itself.

What a backend can do it says itself, in ``capabilities`` and ``can()``. Here are only the quirks of testing it.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.driver.driver import Driver
from vhal.errors import InvalidSpec
from vhal.spec.machine import MachineSpec
from vhal.testing.sighting import Sighting

if TYPE_CHECKING:
    from vhal.driver.migration import MigrationPolicy

KIT_NAME = re.compile(r"vhal-kit-[0-9a-f]{6}-\d+")
"""The names of the suite's machines, whichever run made them."""

_numbers = itertools.count(1)


def _policy() -> dict[str, object]:
    return {}


def _none() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Harness:
    """What a backend's author gives the suite."""

    open: Callable[[], Driver]
    """Return a driver for a host; called once a test, closed after it."""
    spec: Callable[[str], MachineSpec]
    """Return the smallest machine of that name that starts."""
    peer: Callable[[], Driver] | None = None
    """Return a driver for another host that machines can move to."""
    policy: Callable[[], dict[str, object]] = field(default=_policy)
    """Fields of the migration policy that a move between the two hosts needs."""
    listens: bool = True
    """Whether the machine's guest stops when it is asked."""
    has_agent: bool = True
    """Whether the machine's guest tells that it is ready."""
    patience_s: float = 60.0
    """How long something may take that takes no time on the mock."""
    timeout_s: float = 240.0
    """How long a test's body, or a step of its preparation, may take until it is given up, with all threads' stacks."""
    known_failures: Mapping[str, str] = field(default_factory=_none)
    """Rows that fail, each with the reason: ``{"SNAP-002": "the engine loses …", "RESZ-003[cpus]": "…"}``.

    One that passes fails the run, so that the list stays true.
    """
    kept: Path | None = None
    """Where the last report is kept. A run that finds something else fails and says so; ``--vhal-keep`` writes it."""
    prefix: str = field(default_factory=lambda: f"vhal-kit-{secrets.token_hex(3)}-")
    """What the names of the suite's machines begin with; it touches no others."""
    slow: bool = False
    """Whether an operation takes seconds, so that there are fewer examples."""
    tells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Calls of which the engine can't tell what the contract says → the kinds of event that it tells of instead."""
    witness: Callable[[str], list[Sighting]] | None = None
    """Return what is seen of the machine of that name past the backend, once for each host that has it."""
    sabotage: Callable[[Driver, Callable[[str], bool]], AbstractContextManager[None]] | None = None
    """Let calls that a driver of ``open`` makes to its engine fail while a block runs, before they have any effect:
    those for whose name the function says yes. It is asked at each one, in its order, if need be from several threads.
    A name says which call it is, not which machine it is about.
    """

    def __post_init__(self) -> None:
        for row, reason in self.known_failures.items():
            if not reason.strip():
                raise InvalidSpec(
                    f"known_failures[{row!r}] has no reason",
                    problems=[(f"known_failures.{row}", "an empty reason")],
                    hint="say why the row fails, for whoever reads the report",
                )

    def name(self) -> str:
        """Return a name that no machine has."""
        return f"{self.prefix}{next(_numbers)}"

    def move_policy(self) -> MigrationPolicy:
        """Return the policy of a move between the two hosts."""
        from vhal.driver.migration import MigrationPolicy

        return MigrationPolicy(**self.policy())  # type: ignore[arg-type]

    def settle(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds: the only way in which the suite waits.

        Raises:
            AssertionError: It didn't within ``patience_s``.
        """
        deadline = time.monotonic() + self.patience_s
        pause_s = 0.001
        while not condition():
            assert time.monotonic() < deadline, f"{what} has not come about within {self.patience_s:g} s"
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 2)
