"""A machine's console: what its guest writes to the first serial line, and what one types there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from vhal import _opened
from vhal.driver.capability import ConsoleStream
from vhal.errors import OperationTimeout


def _plainly(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


class Console:
    """An open console. Closes at the end of a ``with`` block.

    Concurrency: one thread reads, one writes; any may close.

    Args:
        stream: The backend's.
        machine: The machine's name.
        call: Calls the stream's methods, and translates what they raise.
    """

    def __init__(self, stream: ConsoleStream, machine: str, call: Callable[..., Any] = _plainly) -> None:
        self._stream = stream
        self._call = call
        self.machine = machine
        """Its machine's name."""
        self._pending = b""
        self.closed = False
        """Whether :meth:`close` was called."""
        _opened.tell(self)

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came, at least one byte; ``b""`` at the end, or when ``timeout_s`` passed without any."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        return bytes(self._call(self._stream.read, timeout_s))

    def expect(self, pattern: str | bytes, timeout_s: float = 60.0) -> re.Match[bytes]:
        """Read until ``pattern`` (a regular expression) is found; what comes after it stays to be read.

        Raises:
            vhal.errors.OperationTimeout: It hasn't come within ``timeout_s``, or the console ended before.
        """
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        deadline = time.monotonic() + timeout_s
        while True:
            match = wanted.search(self._pending)
            if match is not None:
                self._pending = self._pending[match.end() :]
                return match
            remaining = deadline - time.monotonic()
            data = self._call(self._stream.read, remaining) if remaining > 0 else b""
            if not data:
                raise OperationTimeout(
                    f"the console of {self.machine!r} didn't show {wanted.pattern.decode(errors='replace')!r} "
                    f"within {timeout_s:g} s",
                    hint=f"the last it wrote: {self._pending[-80:].decode(errors='replace')!r}",
                    machine=self.machine,
                )
            self._pending += data

    def write(self, data: bytes | str) -> None:
        """Send ``data`` to the guest."""
        self._call(self._stream.write, data.encode() if isinstance(data, str) else data)

    def close(self) -> None:
        """End it; a read that waits returns ``b""``. Idempotent."""
        self.closed = True
        self._call(self._stream.close)

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
