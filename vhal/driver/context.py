"""What accompanies a call that may take long: its deadline, its abort, and where progress goes.

A driver gets one, reports to it and asks it; it never makes one. It is not the operation that users hold
(:class:`vhal.operation.Operation`), which makes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vhal.errors import OperationAborted, OperationTimeout


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase has come."""

    phase: str
    """``offer``, ``prepare``, ``transfer``, … or the name of a call."""
    done: int | None = None
    """Bytes done, if the phase moves bytes."""
    total: int | None = None
    """Bytes in all, as known now; it can grow while a guest writes."""
    rate: int | None = None
    """Bytes a second."""
    iteration: int | None = None
    """Pass over the memory, from 1."""
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """Return how much is done, from 0 to 1, or None where nobody knows."""
        if self.done is None or not self.total:
            return None
        return min(1.0, self.done / self.total)


class _Abort:
    """Whether the end was asked for, and whom that was told; shared by a call's context and those of its parts."""

    __slots__ = ("asked", "callbacks", "lock")

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.callbacks: list[Callable[[], None]] = []
        self.lock = threading.Lock()


_FIRST = threading.Lock()
"""Lets one thread at a time be the first who needs a context's :class:`_Abort`."""


class Context:
    """Deadline, abort and progress of one call.

    Safe to use from several threads: one does the work, others abort it or look at it.

    Args:
        timeout_s: Seconds from now until :meth:`check` raises; None for no limit.
        on_progress: Called with each report, in the thread that reports; it must not block.
    """

    __slots__ = ("_abort", "_deadline", "_on_progress", "_passed_s", "_timeout_s", "_whole", "last")

    def __init__(
        self,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._on_progress = on_progress
        self._passed_s = 0.0
        self._whole: Context | None = None
        # Made when first needed: most calls are short, nobody aborts them, and it costs more than they do.
        self._abort: _Abort | None = None
        self.last: Progress | None = None

    @property
    def aborted(self) -> bool:
        """Whether somebody asked for the end."""
        return self._abort is not None and self._abort.asked.is_set()

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline (never negative), or None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def left_s(self) -> float | None:
        """Seconds until the deadline for an engine with a clock of its own, or None without one.

        Only what :meth:`advance` told of has passed: it doesn't matter how long this process took.
        """
        return None if self._timeout_s is None else max(0.0, self._timeout_s - self._passed_s)

    def check(self) -> None:
        """Return if the work may go on.

        Raises:
            vhal.errors.OperationAborted: Somebody asked for the end.
            vhal.errors.OperationTimeout: The deadline has passed.
        """
        if self._abort is not None and self._abort.asked.is_set():
            raise OperationAborted(
                "the operation was aborted on request", hint="call it again if it is wanted after all"
            )
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise OperationTimeout(
                f"the operation took longer than its {self._timeout_s:g} s",
                hint="give it a longer timeout_s",
            )

    def report(self, progress: Progress) -> None:
        """Tell whoever watches how far the work has come."""
        self.last = progress
        if self._on_progress is not None:
            self._on_progress(progress)

    def advance(self, seconds: float, waited_s: float = 0.0) -> None:
        """Bring the deadline nearer by ``seconds``, and that of the call that this is a part of.

        For engines whose time isn't this process's.

        Args:
            seconds: What passed there.
            waited_s: How many of these this process has waited for, so that they have passed here already.
        """
        part: Context | None = self
        while part is not None:
            part._passed_s += seconds
            if part._deadline is not None:
                part._deadline -= seconds - waited_s
            part = part._whole

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the deadline or an abort; then :meth:`check`.

        Raises:
            vhal.errors.OperationAborted: Somebody asked for the end.
            vhal.errors.OperationTimeout: The deadline has passed.
        """
        remaining = self.remaining_s
        self._shared().asked.wait(seconds if remaining is None else min(seconds, remaining))
        self.check()

    def abort(self) -> None:
        """Ask for the end. Callbacks of :meth:`on_abort` run in the calling thread. Idempotent."""
        abort = self._shared()
        with abort.lock:
            if abort.asked.is_set():
                return
            abort.asked.set()
            callbacks = list(abort.callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def on_abort(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when an abort comes while the block runs, or at once if it came before.

        The callback must be quick, must not raise and may run in any thread.
        """
        abort = self._shared()
        with abort.lock:
            late = abort.asked.is_set()
            if not late:
                abort.callbacks.append(callback)
        if late:
            callback()
        try:
            yield
        finally:
            with abort.lock:
                if callback in abort.callbacks:
                    abort.callbacks.remove(callback)

    def within(self, timeout_s: float) -> Context:
        """Return a context for a part of the call, which ends after ``timeout_s`` if the call doesn't end before.

        The part reports to the call. Who aborts one of them aborts both.
        """
        part = Context(timeout_s, self.report)
        if self._deadline is not None and part._deadline is not None:
            part._deadline = min(part._deadline, self._deadline)
            part._timeout_s = min(timeout_s, self.left_s or 0.0)
        part._whole = self
        part._abort = self._shared()
        return part

    def _shared(self) -> _Abort:
        with _FIRST:
            if self._abort is None:
                self._abort = _Abort()
            return self._abort
