"""Time that passes when somebody waits for it.

Virtual seconds cost nothing: when everybody waits, the clock jumps to the next thing that is to happen (trio's
``MockClock`` is the idea). With a speed it lets that many of them pass in a real one, for people who want to watch.

What is to happen is a queue of alarms, ordered by time and then by when they were set. Whoever waits runs them, one at
a time, with the lock held; so a world whose calls come from one thread, or from tasks of :meth:`Clock.begin`, is the
same in each run. The order between other threads is the operating system's.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from heapq import heappop, heappush
from typing import Any

from vhal.driver.context import Context
from vhal.errors import OperationTimeout


class Alarm:
    """Something that is to happen."""

    __slots__ = ("action", "at_s")

    def __init__(self, at_s: float, action: Callable[[], None]) -> None:
        self.at_s = at_s
        self.action: Callable[[], None] | None = action


class Signal:
    """Something that one thread waits for. Set it with the clock's lock held, as alarms do."""

    __slots__ = ("_clock", "error", "holds", "is_set")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_set = False
        self.error: BaseException | None = None
        """What the waiting thread raises when it goes on."""
        self.holds = False
        """Whether that thread holds the clock while it doesn't wait."""

    def set(self, error: BaseException | None = None) -> None:
        """Let the thread go on. Idempotent."""
        if not self.is_set:
            self.is_set = True
            self.error = error
            # Counted here, not when the thread has woken up: in between, time must not pass.
            self._clock.claim(self.holds)


class Task:
    """A call in a thread of its own that the clock waits for."""

    def __init__(self, clock: Clock, call: Callable[[], Any]) -> None:
        self._call = call
        self.ended = Signal(clock)
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        """Make the call and keep what comes of it."""
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever joins it
            self.error = error


class Clock:
    """A clock for one world.

    Concurrency: safe from any thread. :attr:`lock` is the world's: what changes it holds it.

    Args:
        speed: Virtual seconds in a real one; None for as fast as it goes.
    """

    def __init__(self, speed: float | None = None) -> None:
        self.now_s = 0.0
        self.speed = speed
        self.lock = threading.RLock()
        self._turn = threading.Condition(self.lock)
        self._queue: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._held = 0
        """Threads that keep time from passing: they hold the clock, and don't wait."""
        self._mine = threading.local()
        self._driven = False
        """Whether a thread lets real time pass for all."""

    # what is to happen

    def at(self, at_s: float, action: Callable[[], None]) -> Alarm:
        """Run ``action`` at that time, or at the next chance if it has passed; with the lock held, so it must be quick.

        It happens while somebody waits, in that thread.
        """
        alarm = Alarm(at_s, action)
        with self.lock:
            heappush(self._queue, (at_s, next(self._numbers), alarm))
            self._turn.notify_all()
        return alarm

    def cancel(self, alarm: Alarm | None) -> None:
        """Let it not happen. Does nothing if it has."""
        if alarm is not None:
            alarm.action = None

    # waiting

    def spend(self, seconds: float, ctx: Context | None = None) -> None:
        """Let ``seconds`` pass for the call that ``ctx`` belongs to.

        Raises:
            vhal.errors.OperationAborted: The call was aborted.
            vhal.errors.OperationTimeout: It has no such time left; the time until its deadline has passed.
        """
        if ctx is not None:
            ctx.check()
        if seconds <= 0:
            return
        signal = Signal(self)
        with self.lock:
            alarm = self.at(self.now_s + seconds, signal.set)
            try:
                self.wait(signal, ctx)
            finally:
                self.cancel(alarm)

    advance = spend
    """Let so many seconds pass, with everything that is to happen in them: for tests."""

    def wait(self, signal: Signal, ctx: Context | None = None) -> None:
        """Let time pass until ``signal`` is set.

        Raises:
            vhal.errors.OperationAborted: The call was aborted.
            vhal.errors.OperationTimeout: Its deadline has passed.
            BaseException: What the signal was set with.
        """
        with self.lock:
            late: list[bool] = []
            limit: Alarm | None = None
            remaining = None
            if ctx is not None:
                # What this process takes itself counts only where virtual time has something to do with real time:
                # else a deadline would never be at the same moment twice.
                remaining = ctx.budget_s if self.speed is None else ctx.remaining_s
            begun = self.now_s
            if remaining is not None and not signal.is_set:

                def expire() -> None:
                    late.append(True)
                    signal.set()

                limit = self.at(begun + remaining, expire)
            signal.holds = getattr(self._mine, "depth", 0) > 0
            if signal.holds and not signal.is_set:
                self._held -= 1
                self._turn.notify_all()
            try:
                with nullcontext() if ctx is None else ctx.on_abort(lambda: self._interrupt(signal)):
                    while not signal.is_set:
                        self._let_pass()
            finally:
                signal.set()
                self.cancel(limit)
                self._turn.notify_all()
            passed = self.now_s - begun
        if ctx is not None:
            ctx.advance(passed - (passed / self.speed if self.speed else 0.0))
            if ctx.aborted:
                ctx.check()
        if late:
            raise OperationTimeout(
                f"the operation had {remaining:g} virtual seconds left and needed more",
                hint="give it a longer timeout_s",
            )
        if signal.error is not None:
            raise signal.error

    def _interrupt(self, signal: Signal) -> None:
        with self.lock:
            signal.set()

    def claim(self, holds: bool) -> None:
        """Take note that a thread which waited goes on. Precondition: the lock is held."""
        if holds:
            self._held += 1
        self._turn.notify_all()

    def _let_pass(self) -> None:
        """Run the next alarm, or wait until there is one that may run. Precondition: the lock is held, once or more."""
        while self._queue and self._queue[0][2].action is None:
            heappop(self._queue)
        if self._held or self._driven or not self._queue:
            self._turn.wait()
            return
        at_s = self._queue[0][0]
        if self.speed is not None and at_s > self.now_s:
            self._driven = True
            begun = time.monotonic()
            try:
                self._turn.wait((at_s - self.now_s) / self.speed)
            finally:
                self._driven = False
            self.now_s = min(at_s, self.now_s + (time.monotonic() - begun) * self.speed)
            return
        _, _, alarm = heappop(self._queue)
        if alarm.action is not None:
            self.now_s = max(self.now_s, at_s)
            alarm.action()

    # several threads

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let time stand still while the block runs, except while this thread itself waits for it."""
        depth = getattr(self._mine, "depth", 0)
        with self.lock:
            self._held += not depth
            self._mine.depth = depth + 1
        try:
            yield
        finally:
            with self.lock:
                self._mine.depth = depth
                self._held -= not depth
                self._turn.notify_all()

    def begin(self, call: Callable[[], Any], at_s: float | None = None) -> Task:
        """Make ``call`` in a thread of its own, at that time or now; it starts when somebody waits.

        Of several tasks one runs at a time, until it waits for time to pass; which is next is decided by time, then by
        the order in which they were begun. So they are the same in each run.
        """
        task = Task(self, call)

        def work() -> None:
            self._mine.depth = 1
            task.run()
            with self.lock:
                self._held -= 1
                task.ended.set()
                self._turn.notify_all()

        def start() -> None:
            self._held += 1
            task.thread = threading.Thread(target=work, name="vhal-mock-task", daemon=True)
            task.thread.start()

        self.at(self.now_s if at_s is None else at_s, start)
        return task

    def join(self, *tasks: Task) -> None:
        """Let time pass until the tasks have ended."""
        for task in tasks:
            self.wait(task.ended)
            if task.thread is not None:
                task.thread.join()

    def together(self, *calls: Callable[[], Any]) -> list[Any]:
        """Make the calls at one moment, each in a thread of its own; return what each returned.

        Raises:
            BaseException: What the first of those that failed raised, when all have ended.
        """
        tasks = [self.begin(call) for call in calls]
        self.join(*tasks)
        for task in tasks:
            if task.error is not None:
                raise task.error
        return [task.result for task in tasks]
