"""A program that runs in a simulated machine: what it sees of the world, and what its caller sees of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhal_mock.clock import Alarm, Clock
    from vhal_mock.files import FileTree

KILLED = 137
"""What a program ends with whose machine ended: 128 and SIGKILL."""

SETTLE_S = 0.5
"""How long somebody who won't wait still waits for a program that neither sleeps nor reads: real seconds."""

SLICE_S = 0.1
"""Real seconds of a clock with a speed that are waited for at once."""


class _Killed(BaseException):
    """Ends a program's thread."""


@dataclass(slots=True)
class Invocation:
    """What a program is given."""

    command: tuple[str, ...]
    """Its name and its arguments."""
    env: dict[str, str]
    user: str
    cwd: str
    machine: str
    """Name of the machine that it runs in."""
    files: FileTree
    """The machine's files."""
    _process: MockProcess | None = field(default=None, repr=False)

    @property
    def args(self) -> tuple[str, ...]:
        """What follows its name."""
        return self.command[1:]

    def read(self, size: int = 1 << 16) -> bytes:
        """Wait for input and return at most ``size`` bytes of it; ``b""`` at its end."""
        return self._running.take_input(size)

    def write(self, data: bytes | str) -> None:
        """Write to its output."""
        self._running.put(1, data.encode() if isinstance(data, str) else data)

    def write_error(self, data: bytes | str) -> None:
        """Write to its errors."""
        self._running.put(2, data.encode() if isinstance(data, str) else data)

    def sleep(self, seconds: float) -> None:
        """Go on after so many virtual seconds."""
        self._running.sleep(seconds)

    @property
    def _running(self) -> MockProcess:
        assert self._process is not None, "the program isn't started"  # noqa: S101
        return self._process


class MockProcess:
    """The stream of one program.

    Args:
        clock: The world's.
        run: What the program is given.
        terminal: Whether its errors come with its output.
        ended: Called with this when the program has ended.
    """

    def __init__(
        self,
        clock: Clock,
        run: Invocation,
        *,
        terminal: bool,
        ended: Callable[[MockProcess], None],
    ) -> None:
        self._clock = clock
        self._terminal = terminal
        self._ended = ended
        self._changed = threading.Condition()
        self._written: deque[tuple[int, bytes]] = deque()
        self._input = bytearray()
        self._input_closed = False
        self._waiting = False
        self._wakes_s: float | None = None
        self._alarm: Alarm | None = None
        self._code: int | None = None
        self._closed = False
        self._killed = False
        run._process = self

    def start(self, program: Callable[[], int]) -> None:
        """Let it run."""

        def work() -> None:
            try:
                code = program()
            except _Killed:
                code = KILLED
            with self._changed:
                self._code = KILLED if self._killed else code & 0xFF
                self._changed.notify_all()
            self._ended(self)

        threading.Thread(target=work, name="vhal-mock-program", daemon=True).start()

    def kill(self) -> None:
        """End it: its machine has."""
        with self._changed:
            self._killed = True
            self._wakes_s = None
            if self._code is None:
                self._code = KILLED
            self._changed.notify_all()
        self._clock.cancel(self._alarm)

    # the caller's side

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return the descriptor and what came on it; ``(0, b"")`` at the end, or when the time has passed."""
        with self._changed:
            self._wait(lambda: bool(self._written) or self._code is not None, timeout_s)
            return self._written.popleft() if self._written and not self._closed else (0, b"")

    def write(self, data: bytes) -> None:
        """Send ``data`` to its input."""
        with self._changed:
            if self._code is not None or self._input_closed or self._closed:
                raise BrokenPipeError("nobody reads it any more")
            self._input += data
            self._waiting = False
            self._changed.notify_all()

    def close_input(self) -> None:
        """Have it see the end of its input."""
        with self._changed:
            self._input_closed = True
            self._waiting = False
            self._changed.notify_all()

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        """Return what it ended with; None if it runs."""
        with self._changed:
            self._wait(lambda: self._code is not None, timeout_s)
            return self._code

    def close(self) -> None:
        """Let go of it; it goes on."""
        with self._changed:
            self._closed = True
            self._input_closed = True
            self._changed.notify_all()

    # the program's side

    def put(self, descriptor: int, data: bytes) -> None:
        """Have ``data`` be read."""
        with self._changed:
            self._live()
            if data and not self._closed:
                self._written.append((1 if self._terminal else descriptor, data))
                self._changed.notify_all()

    def take_input(self, size: int) -> bytes:
        """Return what was written to it."""
        with self._changed:
            while not self._input and not self._input_closed:
                self._live()
                self._waiting = True
                self._changed.notify_all()
                self._changed.wait()
            self._live()
            self._waiting = False
            data = bytes(self._input[:size])
            del self._input[:size]
            return data

    def sleep(self, seconds: float) -> None:
        """Wait until so many virtual seconds have passed."""
        # The clock's lock first, as when it wakes the program.
        with self._clock.lock, self._changed:
            self._live()
            if seconds <= 0:
                return
            self._wakes_s = self._clock.now_s + seconds
            self._alarm = self._clock.at(self._wakes_s, self._wake)
            self._changed.notify_all()
        with self._changed:
            self._changed.wait_for(lambda: self._wakes_s is None)
            self._live()

    def _wake(self) -> None:
        with self._changed:
            self._wakes_s = None
            self._changed.notify_all()

    def _live(self) -> None:
        if self._killed:
            raise _Killed

    # waiting

    def _wait(self, ready: Callable[[], bool], timeout_s: float | None) -> None:
        """Wait with the lock held until ``ready``, it was closed, or the time has passed: real, or virtual in sleep."""
        left = timeout_s
        while not ready() and not self._closed:
            wakes_s = self._wakes_s
            if wakes_s is not None:
                step = wakes_s - self._clock.now_s if left is None else min(left, wakes_s - self._clock.now_s)
                if left is not None and left <= 0:
                    return
                spent = self._spend(max(0.0, step))
                left = None if left is None else left - spent
                continue
            if left is not None and left <= 0 and self._waiting:
                return
            begun = time.monotonic()
            changed = self._changed.wait(SETTLE_S if left is not None and left <= 0 else left)
            if left is not None and left > 0:
                left = max(0.0, left - (time.monotonic() - begun))
            elif not changed:
                return

    def _spend(self, seconds: float) -> float:
        """Let virtual time pass without the lock, and return how much did."""
        speed = self._clock.speed
        step = seconds if speed is None else min(seconds, speed * SLICE_S)
        self._changed.release()
        try:
            self._clock.spend(step)
        finally:
            self._changed.acquire()
        return step
