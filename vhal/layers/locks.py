"""One lock per machine, for all connections of this process.

Not a lock between processes: there the engine decides, and the guard looks again after it refused.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from vhal.driver.context import Context
from vhal.errors import Busy

LONG_CALLS = frozenset({"migrate", "save", "restore"})
"""Calls that hold a machine for as long as its memory takes to move: others don't wait for them."""

PATIENCE_S = 30.0
"""How long a call without a deadline waits for a short one."""

SLICE_S = 0.05
"""How soon a call that waits notices an abort."""


class _Hold:
    """One call's wish for a machine, and its hold of it: then it is what is entered under the machine's key."""

    __slots__ = ("_ctx", "_entries", "_key", "call", "over", "thread")

    def __init__(self, entries: dict[tuple[str, str], _Hold], key: tuple[str, str], call: str, ctx: Context) -> None:
        self._entries, self._key, self._ctx = entries, key, ctx
        self.call = call
        self.thread = threading.get_ident()
        self.over: threading.Event | None = None
        """Set when it lets go; made by the first who waits for that."""

    def __enter__(self) -> None:
        holder = self._entries.setdefault(self._key, self)
        # A call within one of the same thread is a part of it: others see the outer one only.
        if holder.thread != self.thread:
            self._wait()

    def __exit__(self, *_: object) -> None:
        if self._entries[self._key] is self:
            del self._entries[self._key]
            # Only now, since who waits looks whether it is still entered after making this.
            if self.over is not None:
                self.over.set()

    def _wait(self) -> None:
        ctx = self._ctx
        patience = Context(PATIENCE_S) if ctx.remaining_s is None else ctx
        while (holder := self._entries.setdefault(self._key, self)) is not self:
            left = patience.remaining_s or 0.0
            if not left or holder.call in LONG_CALLS:
                machine = self._key[1].removeprefix("name:")
                raise Busy(
                    f"machine {machine!r} is held by {holder.call}()",
                    hint="wait for that operation or abort it",
                    machine=machine,
                )
            # In slices: whoever waits may change their mind.
            holder.wait(min(left, SLICE_S))
            if ctx.aborted:
                ctx.check()

    def wait(self, timeout_s: float) -> None:
        """Return when it has let go, or after ``timeout_s``."""
        with _FIRST:
            over = self.over = self.over or threading.Event()
        if self._entries.get(self._key) is self:
            over.wait(timeout_s)


_FIRST = threading.Lock()
"""Lets one thread at a time be the first who waits for a hold."""


class MachineLocks:
    """Locks by key: a machine is locked while there is an entry for it.

    To enter and to remove it is one step of a dict each, which no other thread can come between; that is the whole lock
    where nobody waits.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Hold] = {}

    def hold(self, host_id: str, machine: str, call: str, ctx: Context) -> AbstractContextManager[None]:
        """Hold the machine while the block runs; the same thread may hold it again.

        Waits for a short call until the context's deadline, but not for one of :data:`LONG_CALLS`.

        Raises:
            vhal.errors.Busy: Another call has it (when the block is entered).
            vhal.errors.OperationAborted: While it waited.
        """
        return _Hold(self._entries, (host_id, machine), call, ctx)


LOCKS = MachineLocks()
"""The locks of this process."""
