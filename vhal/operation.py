"""Whatever takes long: its progress, its end, its abort.

Every call of :class:`~vhal.host.Host` and :class:`~vhal.machine.Machine` blocks; :func:`begin` runs any of them, or a
function made of several, as an :class:`Operation`::

    op = vhal.begin(vm.migrate, b)
    for progress in op.updates():
        print(progress.phase, progress.fraction)
    result = op.result()
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from vhal import _opened
from vhal.driver.context import Context, Progress
from vhal.errors import OperationTimeout

P = ParamSpec("P")
T = TypeVar("T")

_current: ContextVar[Context | None] = ContextVar("vhal_operation", default=None)


def call_context(timeout_s: float | None) -> Context:
    """Return a call's context: that of the operation it runs in, if any, with its own deadline on top."""
    outer = _current.get()
    if outer is None:
        return Context(timeout_s)
    return outer if timeout_s is None else outer.within(timeout_s)


@contextmanager
def part(context: Context) -> Iterator[None]:
    """Let the calls of the block be parts of ``context``: they report to it, and end with it."""
    before = _current.set(context)
    try:
        yield
    finally:
        _current.reset(before)


class Operation(Generic[T]):
    """A call under way in a thread of its own.

    Concurrency: every method may be called from any thread. The process doesn't end before its operations have.
    """

    def __init__(self, name: str, run: Callable[[], T], timeout_s: float | None = None) -> None:
        self.name = name
        self._context = Context(timeout_s, self._on_progress)
        self._changed = threading.Condition()
        self._updates: deque[Progress] = deque(maxlen=1024)
        self._count = 0
        self._done = False
        self._result: T | None = None
        self._error: BaseException | None = None
        context = copy_context()
        context.run(_current.set, self._context)
        self._thread = threading.Thread(target=context.run, args=(self._run, run), name=f"vhal-{name}")
        _opened.tell(self)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, however."""
        return self._done

    @property
    def progress(self) -> Progress | None:
        """The last report, or None before the first."""
        return self._context.last

    def abort(self) -> None:
        """Ask for the end, and return at once; :meth:`result` tells how it ended. Idempotent.

        A migration that hasn't been decided is undone: the machine goes on where it was.
        """
        self._context.abort()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most ``timeout_s``; return whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._done, timeout_s)

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the end and return what the call returned, or raise what it raised.

        Raises:
            vhal.errors.OperationTimeout: It hasn't ended within ``timeout_s``. It goes on.
        """
        if not self.wait(timeout_s):
            raise OperationTimeout(
                f"{self.name} has not ended within {timeout_s:g} s", hint="it goes on; abort() ends it"
            )
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def updates(self) -> Iterator[Progress]:
        """Yield each report, from the first one until the operation has ended; then stop.

        Of more than 1,024 reports that were made before anybody looked, the oldest are gone. Errors come from
        :meth:`result` only.
        """
        seen = 0
        while True:
            with self._changed:
                while not self._done and self._count == seen:
                    self._changed.wait()
                fresh = list(self._updates)[max(0, len(self._updates) - (self._count - seen)) :]
                if self._count == seen and self._done:
                    return
                seen = self._count
            yield from fresh

    def _on_progress(self, progress: Progress) -> None:
        with self._changed:
            self._updates.append(progress)
            self._count += 1
            self._changed.notify_all()

    def _run(self, run: Callable[[], T]) -> None:
        result, error = None, None
        try:
            result = run()
        except BaseException as caught:  # noqa: BLE001 - handed to whoever asks for the result
            error = caught
        with self._changed:
            self._result, self._error, self._done = result, error, True
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<Operation {self.name} {'done' if self._done else 'under way'}>"


def begin(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
    """Run ``call`` as an operation, and return it at once.

    Calls of vhal inside it report to the operation and end when it is aborted.
    """
    name = getattr(call, "__name__", type(call).__name__)

    def run() -> Any:
        return call(*args, **kwargs)

    return Operation(name, run)
