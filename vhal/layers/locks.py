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
"""How soon a call that waits notices an abort, or that a long call holds the machine by now."""


class _Entry:
    __slots__ = ("call", "lock", "users")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0
        self.call = ""


class _Hold:
    """A context manager of its own, since the one that ``contextlib`` makes costs more than the lock."""

    __slots__ = ("_call", "_ctx", "_entry", "_key", "_locks", "_outer")

    def __init__(self, locks: MachineLocks, key: tuple[str, str], call: str, ctx: Context) -> None:
        self._locks, self._key, self._call, self._ctx = locks, key, call, ctx

    def __enter__(self) -> None:
        self._entry = entry = self._locks.enter(self._key, self._ctx)
        # A short call within a long one is a part of it: others don't wait for it either.
        self._outer, entry.call = entry.call, entry.call or self._call

    def __exit__(self, *_: object) -> None:
        self._entry.call = self._outer
        self._locks.leave(self._key, self._entry)


class MachineLocks:
    """Locks by key, made when first wanted and forgotten when nobody holds or wants them."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._mutex = threading.Lock()

    def hold(self, host_id: str, machine: str, call: str, ctx: Context) -> AbstractContextManager[None]:
        """Hold the machine while the block runs; the same thread may hold it again.

        Waits for a short call until the context's deadline, but not for one of :data:`LONG_CALLS`.

        Raises:
            vhal.errors.Busy: Another call has it (when the block is entered).
            vhal.errors.OperationAborted: While it waited.
        """
        return _Hold(self, (host_id, machine), call, ctx)

    def enter(self, key: tuple[str, str], ctx: Context) -> _Entry:
        """Return the entry of ``key``, locked by this thread; see :meth:`hold`."""
        with self._mutex:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            entry.users += 1
        try:
            if not entry.lock.acquire(blocking=False):
                self._wait(entry, key[1], ctx)
        except BaseException:
            self._forget(key, entry)
            raise
        return entry

    def leave(self, key: tuple[str, str], entry: _Entry) -> None:
        """Undo :meth:`enter`."""
        entry.lock.release()
        self._forget(key, entry)

    def _forget(self, key: tuple[str, str], entry: _Entry) -> None:
        with self._mutex:
            entry.users -= 1
            if not entry.users:
                del self._entries[key]

    def _wait(self, entry: _Entry, machine: str, ctx: Context) -> None:
        patience = Context(PATIENCE_S) if ctx.remaining_s is None else ctx
        while entry.call not in LONG_CALLS:
            # In slices: another may hold it by now, and whoever waits may have changed their mind.
            left = patience.remaining_s or 0.0
            if entry.lock.acquire(timeout=min(left, SLICE_S)):
                return
            if ctx.aborted:
                ctx.check()
            if not left:
                break
        raise Busy(
            f"machine {machine.removeprefix('name:')!r} is held by {entry.call or 'another call'}()",
            hint="wait for that operation or abort it",
            machine=machine.removeprefix("name:"),
        )


LOCKS = MachineLocks()
"""The locks of this process."""
