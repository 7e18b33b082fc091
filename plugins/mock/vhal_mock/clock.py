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
from math import inf
from typing import Any

from vhal.driver.context import Context
from vhal.errors import InvalidSpec, InvalidState, OperationTimeout


class Alarm:
    """Something that is to happen."""

    __slots__ = ("action", "at_s")

    def __init__(self, at_s: float, action: Callable[[], object]) -> None:
        self.at_s = at_s
        self.action: Callable[[], object] | None = action


class Signal:
    """Something that one thread waits for. Set it with the clock's lock held, as alarms do."""

    __slots__ = ("_clock", "changed", "error", "holds", "is_over", "is_set")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_set = False
        self.is_over = False
        """Whether the thread goes on: at once, or when those that hold the clock wait again."""
        self.error: BaseException | None = None
        """What the waiting thread raises when it goes on."""
        self.holds = False
        """Whether that thread holds the clock while it doesn't wait."""
        self.changed: threading.Condition | None = None
        """What that thread sleeps on, once it does."""

    def set(self, error: BaseException | None = None) -> None:
        """Let the thread go on. Idempotent: who sets it first says how."""
        if not self.is_set:
            self.is_set, self.error = True, error
            if self.holds and self._clock.held:
                # One at a time, in the order in which they were set: several may be at one moment.
                self._clock.at(self._clock.now_s, self.go)
            else:
                self.go()

    def go(self) -> None:
        """Let the thread go on now."""
        if not self.is_over:
            self.is_set = self.is_over = True
            # Counted here, not when the thread has woken up: in between, time must not pass.
            self._clock.claim(self)


class Task:
    """A call in a thread of its own that the clock waits for."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.is_over = False
        self.joined: list[Signal] = []
        """What those wait for that wait for its end: one each."""
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
        self._sleepers: dict[Signal, None] = {}
        """What the threads wait for that sleep until they are woken: see :meth:`_wake`."""
        self._queue: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self.held = 0
        """Threads that keep time from passing: they hold the clock, and don't wait."""
        self._mine = threading.local()
        self._driver: Signal | None = None
        """What the thread waits for that lets real time pass for all, if one does."""
        self._acting: int | None = None
        """The thread in which something happens now."""

    # what is to happen

    def at(self, at_s: float, action: Callable[[], object]) -> Alarm:
        """Run ``action`` at that time, or at the next chance if it has passed.

        It happens while somebody waits, in that thread, which raises what it raises. The lock is held: it can look at
        the world and change it, but not wait. What takes time is for :meth:`begin`.
        """
        alarm = Alarm(at_s, action)
        with self.lock:
            heappush(self._queue, (at_s, next(self._numbers), alarm))
            self._wake()
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

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, with everything that is to happen in them: for tests.

        Raises:
            vhal.errors.InvalidSpec: That is no time that can pass: it is negative, infinite or no number.
            vhal.errors.InvalidState: The clock runs this call itself: see :meth:`at`.
            BaseException: What something that happened raised.
        """
        if not 0 <= seconds < inf:
            raise InvalidSpec(
                f"time can't advance by {seconds:g} s",
                problems=[("seconds", "must be finite, and not negative")],
                hint="time goes on, and never back",
            )
        self.spend(seconds)

    def wait(self, signal: Signal, ctx: Context | None = None) -> None:
        """Let time pass until ``signal`` is set.

        Raises:
            vhal.errors.OperationAborted: The call was aborted.
            vhal.errors.OperationTimeout: Its deadline has passed.
            BaseException: What the signal was set with.
        """
        with self.lock:
            if not signal.is_over and self._acting == threading.get_ident():
                raise InvalidState(
                    "time can't pass inside of what the clock runs",
                    hint="clock.begin(call, at_s) makes a call at that time, in a thread of its own",
                )
            limit: Alarm | None = None
            # Virtual seconds only: how long this process takes must not change what happens.
            left_s = ctx.left_s if ctx is not None else None
            begun = self.now_s
            if left_s is not None and not signal.is_over:
                error = OperationTimeout(
                    f"the operation had {left_s:g} virtual seconds left and needed more",
                    hint="give it a longer timeout_s",
                )
                limit = self.at(begun + left_s, lambda: signal.set(error))
            signal.holds = getattr(self._mine, "depth", 0) > 0
            if signal.holds and not signal.is_over:
                self.held -= 1
                self._wake()
            try:
                with nullcontext() if ctx is None else ctx.on_abort(lambda: self._interrupt(signal)):
                    while not signal.is_over:
                        self._let_pass(signal)
            finally:
                signal.go()
                self.cancel(limit)
                self._wake()
            passed = self.now_s - begun
        if ctx is not None:
            ctx.advance(passed, waited_s=passed / self.speed if self.speed else 0.0)
            if ctx.aborted:
                ctx.check()
        if signal.error is not None:
            raise signal.error

    def _interrupt(self, signal: Signal) -> None:
        with self.lock:
            signal.set()

    def claim(self, signal: Signal) -> None:
        """Take note that a thread which waited for ``signal`` goes on. Precondition: the lock is held."""
        self.held += signal.holds
        if signal.changed is not None:
            signal.changed.notify()

    def _wake(self) -> None:
        """Wake one thread, to look whether something may happen now. Precondition: the lock is held.

        One is enough, since whoever goes on or lets time pass wakes the next; with all of them woken each time, moving
        many machines at once would take a time that grows with the square of their number.
        """
        signal = self._driver or next(iter(self._sleepers), None)
        if signal is not None and signal.changed is not None:
            signal.changed.notify()

    def _sleep(self, signal: Signal, seconds: float | None = None) -> None:
        if signal.changed is None:
            signal.changed = threading.Condition(self.lock)
        self._sleepers[signal] = None
        try:
            signal.changed.wait(seconds)
        finally:
            del self._sleepers[signal]

    def _let_pass(self, signal: Signal) -> None:
        """Run the next alarm, or sleep until there is one that may run. Precondition: the lock is held."""
        while self._queue and self._queue[0][2].action is None:
            heappop(self._queue)
        if self.held or self._driver is not None or not self._queue:
            self._sleep(signal)
            return
        at_s = self._queue[0][0]
        if self.speed is not None and at_s > self.now_s:
            self._driver = signal
            begun = time.monotonic()
            try:
                self._sleep(signal, (at_s - self.now_s) / self.speed)
            finally:
                self._driver = None
            self.now_s = min(at_s, self.now_s + (time.monotonic() - begun) * self.speed)
            return
        _, _, alarm = heappop(self._queue)
        if alarm.action is not None:
            self.now_s = max(self.now_s, at_s)
            self._acting = threading.get_ident()
            try:
                alarm.action()
            finally:
                self._acting = None

    # several threads

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let time stand still while the block runs, except while this thread itself waits for it.

        Precondition: the block doesn't wait for another thread that needs time to pass, as ``Operation.result()`` and
        ``Thread.join()`` may: neither would ever go on. Do that after it.
        """
        depth = getattr(self._mine, "depth", 0)
        with self.lock:
            self.held += not depth
            self._mine.depth = depth + 1
        try:
            yield
        finally:
            with self.lock:
                self._mine.depth = depth
                self.held -= not depth
                self._wake()

    def begin(self, call: Callable[[], Any], at_s: float | None = None) -> Task:
        """Make ``call`` in a thread of its own, at that time or now; it starts when somebody waits.

        Of several tasks one runs at a time, until it waits for time to pass; which is next is decided by time, then by
        the order in which they were begun. So they are the same in each run.
        """
        task = Task(call)

        def work() -> None:
            self._mine.depth = 1
            task.run()
            with self.lock:
                self.held -= 1
                task.is_over = True
                for signal in task.joined:
                    signal.set()
                self._wake()

        def start() -> None:
            self.held += 1
            task.thread = threading.Thread(target=work, name="vhal-mock-task", daemon=True)
            task.thread.start()

        self.at(self.now_s if at_s is None else at_s, start)
        return task

    def join(self, *tasks: Task) -> None:
        """Let time pass until the tasks have ended. Several threads may wait for one."""
        for task in tasks:
            with self.lock:
                if not task.is_over:
                    signal = Signal(self)
                    task.joined.append(signal)
                    self.wait(signal)
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
