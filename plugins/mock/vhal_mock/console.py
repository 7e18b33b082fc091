"""The console of a simulated guest: it says its name, and repeats what it is told."""

from __future__ import annotations

import queue


class MockConsole:
    """A stream that begins with a greeting; what is written comes back."""

    def __init__(self, machine: str) -> None:
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._queue.put(f"{machine} ready\r\n".encode())
        self._closed = False

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came; ``b""`` at the end or when the time has passed."""
        if self._closed:
            return b""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return b""

    def write(self, data: bytes) -> None:
        """Send ``data``, which the guest repeats."""
        if data and not self._closed:
            self._queue.put(data)

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._queue.put(b"")
