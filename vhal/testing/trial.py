"""One test of pytest's as the kit sees it: its world, and what it leaves behind.

What is pytest's own is in the module ``pytest_vhal``, which imports this when a test has something to do with vhal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vhal.errors import InvalidSpec
from vhal.testing import worlds
from vhal.testing.leaks import Ledger
from vhal.testing.worlds import Hosts

LEAKS = ("error", "warn", "ignore")
"""What is done about what a test leaves behind."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What ``@pytest.mark.vhal(…)`` says."""

    hosts: Hosts | None = None
    spec: str | None = None
    """A file; relative to the test's."""
    seed: int | None = None
    leaks: str | None = None

    @classmethod
    def read(cls, *given: Any, **named: Any) -> Wishes:
        """Return the wishes of a marker with these arguments.

        Raises:
            vhal.errors.InvalidSpec: It takes no such argument, or not such a value.
        """
        known = [field.name for field in fields(cls)]
        for name in (*map(repr, given), *named):
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise InvalidSpec(
                    f"there is no argument {name}",
                    problems=[(name, "there is no such argument")],
                    hint=f"did you mean {near[0]}=?" if near else f"it takes {', '.join(known)}, each with its name",
                )
        wishes = cls(**named)
        if wishes.leaks is not None and wishes.leaks not in LEAKS:
            raise InvalidSpec(
                f"leaks={wishes.leaks!r} says nothing",
                problems=[("leaks", f"must be one of {', '.join(LEAKS)}")],
                hint=f"it is one of {', '.join(LEAKS)}",
            )
        return wishes

    @property
    def of_a_world(self) -> bool:
        """Whether they say something about the world."""
        return (self.hosts, self.spec, self.seed) != (None, None, None)


class Trial:
    """A test from the beginning of its setup to the end of its teardown.

    Args:
        name: The test's, unique in its run and the same in each: ids of worlds are made from it.
        file: Where the test is written.
        wishes: What its marker says.
        fleet: Whether it wants several hosts, if nobody says which.
        ledger: Whether anybody wants to know what it leaves behind.
    """

    def __init__(self, name: str, file: Path, wishes: Wishes, *, fleet: bool, ledger: bool) -> None:
        self._name = name
        self._file = file
        self._wishes = wishes
        self._fleet = fleet
        self._ledger = Ledger(str(file)) if ledger else None
        self._stack = ExitStack()

    def begin(self) -> None:
        """Give it a world of its own, and listen to what it opens.

        Raises:
            vhal.errors.InvalidSpec: The wishes describe no world.
            vhal.errors.PluginError: They do, but the simulator may not be used.
        """
        wishes = self._wishes
        if wishes.of_a_world or self._fleet or worlds.available():
            self._begin_world(wishes)
        if self._ledger is not None:
            self._ledger.listen()

    def _begin_world(self, wishes: Wishes) -> None:
        worlds.start_over()
        self._stack.callback(worlds.start_over)
        self._stack.enter_context(worlds.numbered(self._name))
        if wishes.of_a_world or self._fleet:
            spec = None if wishes.spec is None else self._file.parent / wishes.spec
            world = worlds.make(wishes.hosts, spec, wishes.seed)
            self._stack.enter_context(worlds.default(world))

    def end(self) -> list[str]:
        """Take its world away, and return what it left behind, a line each."""
        try:
            return [] if self._ledger is None else self._ledger.left()
        finally:
            self._stack.close()

    @contextmanager
    def beyond(self, name: str) -> Iterator[None]:
        """Let what is made while the block runs be of more than this test: a fixture's, called ``name``."""
        with ExitStack() as stack:
            if worlds.available():
                stack.enter_context(worlds.numbered(name))
            if self._ledger is not None:
                stack.enter_context(self._ledger.unheard())
            yield
