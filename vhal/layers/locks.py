"""One lock per machine, for all connections of this process.

Not a lock between processes: there the engine decides, and the guard looks again after it refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from vhal.driver.context import Context
from vhal.errors import Busy

LONG_CALLS = frozenset({"migrate", "save", "restore"})
"""Calls that hold a machine for as long as its memory takes to move: others don't wait for them."""

PATIENCE_S = 30.0
"""How long a call without a deadline waits for a short one."""

SLICE_S = 0.05
"""How soon a call that waits notices an abort."""


Key = tuple[str, str]
"""A host's id, and a machine's id; or ``name:`` and its name, while it has no id."""

Holder = tuple[int, str]
"""The thread that holds a machine, and the call in which it does."""


class MachineLocks:
    """Locks by key: a machine is locked while there is an entry for it.

    To enter and to remove it is one step of a dict each, which no other thread can come between; that is the whole lock
    where nobody waits.
    """

    def __init__(self) -> None:
        self._holders: dict[Key, Holder] = {}
        self._waited: dict[Key, threading.Event] = {}
        """Set when who holds the machine lets go; made by the first who waits for that."""

    @contextmanager
    def hold(self, host_id: str, machine: str, call: str, ctx: Context) -> Iterator[None]:
        """Hold the machine while the block runs: :meth:`take` and :meth:`let_go`."""
        key = (host_id, machine)
        mine = self.take(key, call, ctx)
        try:
            yield
        finally:
            self.let_go(key, mine)

    def take(self, key: Key, call: str, ctx: Context) -> Holder:
        """Hold a machine, and return what :meth:`let_go` needs; the same thread may take it again.

        Waits for a short call until the context's deadline, but not for one of :data:`LONG_CALLS`.

        Raises:
            vhal.errors.Busy: Another call has it.
            vhal.errors.OperationAborted: While it waited.
        """
        mine = (get_ident(), call)
        holder = self._holders.setdefault(key, mine)
        # A call within one of the same thread is a part of it: others see the outer one only.
        if holder is not mine and holder[0] != mine[0]:
            self._wait(key, mine, ctx)
        return mine

    def let_go(self, key: Key, mine: Holder) -> None:
        """End the hold that :meth:`take` began; the outer one of a thread goes on until its own end."""
        if self._holders[key] is mine:
            del self._holders[key]
            # Only now, since who waits looks whether it is still held after making this.
            if self._waited and (over := self._waited.pop(key, None)) is not None:
                over.set()

    def _wait(self, key: Key, mine: Holder, ctx: Context) -> None:
        patience = Context(PATIENCE_S) if ctx.remaining_s is None else ctx
        while (holder := self._holders.setdefault(key, mine)) is not mine:
            left = patience.remaining_s or 0.0
            if not left or holder[1] in LONG_CALLS:
                machine = key[1].removeprefix("name:")
                raise Busy(
                    f"machine {machine!r} is held by {holder[1]}()",
                    hint="wait for that operation or abort it",
                    machine=machine,
                )
            over = self._waited.setdefault(key, threading.Event())
            if self._holders.get(key) is holder:
                # In slices: whoever waits may change their mind.
                over.wait(min(left, SLICE_S))
            if ctx.aborted:
                ctx.check()


LOCKS = MachineLocks()
"""The locks of this process."""
