"""Programs that run in a machine, beside what runs there already: their output, their input, their end.

What a container runs by itself is :class:`vhal.spec.Process`, a part of its spec; here are those that are started in a
machine that runs. There is no shell unless the command names one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from vhal import _opened
from vhal.driver.capability import ProcessStream
from vhal.driver.context import Context
from vhal.errors import CommandFailed, OperationTimeout, VhalError
from vhal.operation import call_context

OUTPUT, ERRORS = 1, 2
"""The descriptors that :meth:`Execution.read` tells of."""

PIECE = 1 << 16
"""Bytes of input that are sent at once."""

TAIL = 2048
"""Bytes at the end of a failed program's errors that its error carries."""

LOOK_S = 0.25
"""How soon a wait for the end notices an abort."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has run to its end."""

    exit_code: int
    """What it ended with; by a signal: 128 more than the signal's number."""
    output: bytes
    errors: bytes


class Execution:
    """A program that was started in a machine. At the end of a ``with`` block it is let go of, not ended.

    Concurrency: one thread reads, one writes; any may wait for its end or close.

    Args:
        stream: The backend's.
        machine: The machine's name.
        command: What was started.
        call: Calls the stream's methods, and translates what they raise.
        clock: The host's, by which deadlines are kept: a simulated host has its own.
    """

    def __init__(
        self,
        stream: ProcessStream,
        machine: str,
        command: tuple[str, ...],
        call: Callable[..., Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self.machine = machine
        """The name of the machine that it runs in."""
        self._call = call
        self._clock = clock
        self.command = command
        """What was started."""
        self.closed = False
        """Whether it was let go of."""
        _opened.tell(self)

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        code: int | None = self._call(self._stream.exit_code, 0.0)
        return code

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return where something came (1: its output, 2: its errors) and what, at least one byte.

        ``(0, b"")`` when it has ended, or when ``timeout_s`` passed without any. With a terminal all comes on 1.
        """
        descriptor, data = self._call(self._stream.read, timeout_s)
        return int(descriptor), bytes(data)

    def write(self, data: bytes | str) -> None:
        """Send ``data`` to its input. What it doesn't read may stop you from writing: read meanwhile."""
        self._call(self._stream.write, data.encode() if isinstance(data, str) else data)

    def close_input(self) -> None:
        """Have it see the end of its input. Idempotent."""
        self._call(self._stream.close_input)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and return what it ended with.

        A program whose output nobody reads may wait for that, and never end: see :meth:`read`.

        Raises:
            vhal.errors.OperationTimeout: It hasn't ended within ``timeout_s``. It goes on.
            vhal.errors.OperationAborted: The operation that this is a part of was aborted. The program goes on.
        """
        ctx = call_context(timeout_s)
        return self._end(ctx)

    def close(self) -> None:
        """Let go of it; one that still runs goes on without you. A read that waits ends. Idempotent."""
        self.closed = True
        self._call(self._stream.close)

    def _end(self, ctx: Context) -> int:
        while True:
            left = ctx.remaining_s
            code: int | None = self._timed(ctx, self._stream.exit_code, LOOK_S if left is None else min(LOOK_S, left))
            if code is not None:
                return code
            self._check(ctx)

    def _timed(self, ctx: Context, wait: Callable[[float | None], Any], timeout_s: float | None) -> Any:
        """Wait, and bring the deadline nearer by what passed on the host's clock and not on ours."""
        begun, ours = self._clock(), time.monotonic()
        try:
            return self._call(wait, timeout_s)
        finally:
            ctx.advance(max(0.0, self._clock() - begun - (time.monotonic() - ours)))

    def _check(self, ctx: Context) -> None:
        try:
            ctx.check()
        except OperationTimeout:
            raise OperationTimeout(
                f"{self.command[0]!r} in machine {self.machine!r} didn't end in time",
                hint="it goes on there; give it a longer timeout_s",
                machine=self.machine,
            ) from None

    def __enter__(self) -> Execution:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Execution of {self.command[0]!r} in {self.machine!r}>"


def run_to_end(running: Execution, data: bytes, ctx: Context) -> Completed:
    """Give a program ``data`` as its input, collect what it writes, and return both when it has ended.

    Raises:
        vhal.errors.OperationTimeout: The deadline passed. The program goes on.
        vhal.errors.OperationAborted: The same, on request.
    """
    feeder = _Feeder(running._stream, data)
    if not data:
        running.close_input()
    written: dict[int, list[bytes]] = {OUTPUT: [], ERRORS: []}
    with ctx.on_abort(running._stream.close):
        feeder.start()
        try:
            while True:
                descriptor, piece = running._timed(ctx, running._stream.read, ctx.remaining_s)
                if not descriptor:
                    break
                written[descriptor].append(piece)
                running._check(ctx)
            running._call(feeder.fail)
            running._check(ctx)
            code = running._end(ctx)
        except VhalError:
            running._call(feeder.fail)
            running._check(ctx)
            raise
        # Between the last look and its end something may have come still.
        while (last := running.read(0.0))[0]:
            written[last[0]].append(last[1])
    return Completed(code, b"".join(written[OUTPUT]), b"".join(written[ERRORS]))


class _Feeder:
    """Writes a program's input in a thread of its own, since it may write much before it reads."""

    def __init__(self, stream: ProcessStream, data: bytes) -> None:
        self._stream = stream
        self._data = data
        self.error: Exception | None = None

    def start(self) -> None:
        if self._data:
            threading.Thread(target=self._run, name="vhal-input", daemon=True).start()

    def _run(self) -> None:
        try:
            for place in range(0, len(self._data), PIECE):
                self._stream.write(self._data[place : place + PIECE])
        except (BrokenPipeError, ConnectionError):
            return  # it has ended, or wants no more: that is its business
        except Exception as error:  # noqa: BLE001 - told by whoever reads
            self._failed(error)
            return
        with suppress(Exception):
            self._stream.close_input()

    def _failed(self, error: Exception) -> None:
        with suppress(Exception):
            if self._stream.exit_code(0.0) is not None:
                return
        self.error = error
        with suppress(Exception):
            self._stream.close()

    def fail(self) -> None:
        """Raise what came of writing."""
        if self.error is not None:
            raise self.error


def raise_failed(command: tuple[str, ...], done: Completed, **facts: Any) -> None:
    """Raise what a program that ended with another code than 0 means.

    Raises:
        vhal.errors.CommandFailed: It did.
    """
    if not done.exit_code:
        return
    tail = done.errors[-TAIL:]
    said = tail.decode(errors="replace").strip()
    raise CommandFailed(
        f"{command[0]!r} ended with {done.exit_code}",
        hint=f"the last it said: {said[-200:]!r}" if said else "it said nothing on its errors; look at its output",
        exit_code=done.exit_code,
        errors=tail,
        **facts,
    )
