"""What a test left behind: hosts and streams that are open, operations under way, machines that run, threads.

A :class:`Ledger` listens while a test runs, and is asked at its end. It looks for what was begun while it listened, and
for machines only in simulated worlds: what others have on real hosts is none of its business. It closes nothing, but
aborts operations and ends simulations, since the tests that follow would meet them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from vhal import _opened
from vhal.console import Console
from vhal.execution import Execution
from vhal.host import Host
from vhal.machine import Machine
from vhal.operation import Operation
from vhal.testing import worlds
from vhal.testing.origin import Origin, origin
from vhal.testing.simulation import Simulation
from vhal.watch import EventStream

if TYPE_CHECKING:
    from vhal_mock.world import World

PATIENCE_S = 1.0
"""How long what is ending anyway may take to end, before it counts as left."""

FEW = 256
"""Things that are kept before those that were closed meanwhile are forgotten."""

Closing = Host | EventStream | Console | Execution | Simulation


class Ledger:
    """What was begun since it began to listen, and where.

    One listens at a time.

    Args:
        test: The file whose lines are named.
    """

    def __init__(self, test: str) -> None:
        self._test = test
        self._lock = threading.Lock()
        self._open: list[tuple[Closing, Origin | None]] = []
        self._enough = FEW
        self._operations: WeakKeyDictionary[Operation[Any], Origin | None] = WeakKeyDictionary()
        self._machines: dict[World, dict[str, Origin | None]] = {}
        self._threads = set(threading.enumerate())
        self._begun_by: WeakKeyDictionary[threading.Thread, Origin | None] = WeakKeyDictionary()
        """Threads of operations."""
        self._used = False

    def listen(self) -> None:
        """Write down what begins from now on."""
        _opened.listener = self._put

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Write nothing down while the block runs: what it opens belongs to more than one test."""
        listener, _opened.listener = _opened.listener, None
        before = set(threading.enumerate())
        try:
            yield
        finally:
            _opened.listener = listener
            self._threads.update(set(threading.enumerate()) - before)

    def left(self) -> list[str]:
        """Stop listening, and return what is left, a line each."""
        _opened.listener = None
        if not self._used:
            return []
        deadline = time.monotonic() + PATIENCE_S
        found = Counter(
            f"{what}{f' ({place})' if place else ''}"
            for find in (self._left_open, self._left_operations, self._left_machines, self._left_threads)
            for what, place in find(deadline)
        )
        return [line if times == 1 else f"{line}, {times} times" for line, times in found.items()]

    # writing down

    def _put(self, thing: object) -> None:
        self._used = True
        place = origin(sys._getframe(2), self._test) or self._begun_by.get(threading.current_thread())
        with self._lock:
            if isinstance(thing, Operation):
                self._operations[thing] = self._begun_by[thing._thread] = place
            elif isinstance(thing, Machine):
                world = worlds.world_of(thing.host.guard)
                if world is not None:
                    self._machines.setdefault(world, {})[thing.id] = place
            elif isinstance(thing, Closing):
                self._open.append((thing, place))
                if len(self._open) > self._enough:
                    self._open = [entry for entry in self._open if not entry[0].closed]
                    self._enough = max(FEW, 2 * len(self._open))

    # looking

    def _left_open(self, deadline: float) -> Iterator[tuple[str, Origin | None]]:
        for thing, place in self._open:
            if not thing.closed:
                yield _WORDS[type(thing)](thing), place
                if isinstance(thing, Simulation):
                    thing.close()

    def _left_operations(self, deadline: float) -> Iterator[tuple[str, Origin | None]]:
        for operation, place in list(self._operations.items()):
            if not operation.wait(max(0.0, deadline - time.monotonic())):
                yield f"operation {operation.name!r} is under way, and was aborted", place
                operation.abort()

    def _left_machines(self, deadline: float) -> Iterator[tuple[str, Origin | None]]:
        for world, made in self._machines.items():
            for id, name, state, host in worlds.active(world):  # noqa: A001 - the contract's word
                if id in made:
                    yield f"machine {name!r} is {state} on simulated host {host!r}", made[id]

    def _left_threads(self, deadline: float) -> Iterator[tuple[str, Origin | None]]:
        for thread in threading.enumerate():
            if thread in self._threads or thread in self._begun_by or thread is threading.current_thread():
                continue
            place = self._runs(thread)
            if place is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
            if place is not None and thread.is_alive():
                yield f"thread {thread.name!r} goes on", place

    def _runs(self, thread: threading.Thread) -> Origin | None:
        """Return where in people's own code a thread is; None for one that is a library's or has ended."""
        return origin(sys._current_frames().get(thread.ident or 0), self._test)


_WORDS: dict[type, Callable[[Any], str]] = {
    Host: lambda host: f"host {host.name} is open",
    EventStream: lambda stream: "a stream of events is open",
    Console: lambda console: f"the console of machine {console.machine!r} is open",
    Execution: lambda execution: f"program {execution.command[0]!r} in machine {execution.machine!r} was not let go of",
    Simulation: lambda simulation: "a simulation holds still, and was ended",
}
