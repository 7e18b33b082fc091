"""The clock of a world: it jumps, it waits for tasks one at a time, and it never hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from vhal_mock.clock import Clock, Signal

from vhal.driver import Context
from vhal.errors import HostUnreachable, InvalidSpec, InvalidState, OperationAborted, OperationTimeout

pytestmark = pytest.mark.timeout(30)


class TestTime:
    def test_passes_when_it_is_spent(self) -> None:
        clock = Clock()
        clock.spend(3600)
        clock.spend(0.5, Context(60))
        assert clock.now_s == 3600.5

    def test_several_may_wait_for_one_task(self) -> None:
        clock, seen = Clock(), []
        first = clock.begin(lambda: clock.advance(3))

        def follow() -> None:
            clock.join(first)
            seen.append(clock.now_s)
            clock.advance(2)

        others = [clock.begin(follow) for _ in range(2)]
        clock.join(first, *others)
        assert (seen, clock.now_s, clock.held) == ([3, 3], 5, 0)

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    def test_cant_advance_by_what_is_no_time(self, seconds: float) -> None:
        clock = Clock()
        with pytest.raises(InvalidSpec, match="time can't advance"):
            clock.advance(seconds)
        assert clock.now_s == 0

    def test_jumps_from_one_thing_to_the_next(self) -> None:
        clock, seen = Clock(), []
        for at_s in (7.0, 3.0, 1e9):
            clock.at(at_s, lambda: seen.append(clock.now_s))
        clock.advance(10)
        assert (seen, clock.now_s) == ([3.0, 7.0], 10)

    def test_things_at_one_time_happen_in_the_order_in_which_they_were_set(self) -> None:
        clock, seen = Clock(), []
        for number in range(20):
            clock.at(5.0, lambda number=number: seen.append(number))  # type: ignore[misc]
        clock.advance(5)
        assert seen == list(range(20))

    def test_what_is_late_happens_at_the_next_chance_and_time_never_goes_back(self) -> None:
        clock, seen = Clock(), []
        clock.advance(10)
        clock.at(3, lambda: seen.append(clock.now_s))
        clock.advance(1)
        assert (seen, clock.now_s) == ([10], 11)

    def test_what_was_cancelled_doesnt_happen(self) -> None:
        clock, seen = Clock(), []
        clock.cancel(clock.at(1, lambda: seen.append(1)))
        clock.cancel(None)
        clock.advance(2)
        assert (seen, clock.now_s) == ([], 2)

    def test_what_happens_may_set_more(self) -> None:
        clock, seen = Clock(), []

        def tick() -> None:
            seen.append(clock.now_s)
            clock.at(clock.now_s + 1, tick)

        clock.at(1, tick)
        clock.advance(3.5)
        assert seen == [1, 2, 3]

    @pytest.mark.parametrize("seconds", [0, -5])
    def test_nothing_passes_for_nothing(self, seconds: float) -> None:
        clock = Clock()
        clock.spend(seconds)
        assert clock.now_s == 0


class TestDeadline:
    def test_it_passes_and_no_more(self) -> None:
        clock = Clock()
        with pytest.raises(OperationTimeout, match="10 virtual seconds") as caught:
            clock.spend(100, Context(10))
        assert clock.now_s == 10
        assert caught.value.hint

    def test_only_virtual_time_counts(self) -> None:
        clock, ctx = Clock(), Context(10)
        for _ in range(3):
            clock.spend(3, ctx)
        with pytest.raises(OperationTimeout):
            clock.spend(3, ctx)
        assert clock.now_s == 10
        with pytest.raises(OperationTimeout):
            ctx.check()

    def test_what_a_part_spends_is_spent_by_the_whole(self) -> None:
        clock, ctx = Clock(), Context(100)
        with pytest.raises(OperationTimeout):
            clock.spend(90, ctx.within(60))
        assert (clock.now_s, ctx.left_s) == (60, 40)
        with pytest.raises(OperationTimeout):
            clock.spend(90, ctx.within(60))
        assert clock.now_s == 100

    def test_what_comes_at_the_deadline_comes_in_time(self) -> None:
        clock = Clock()
        clock.spend(10, Context(10))
        assert clock.now_s == 10


class TestAbort:
    def test_nothing_passes_after_it(self) -> None:
        clock, ctx = Clock(), Context()
        ctx.abort()
        with pytest.raises(OperationAborted):
            clock.spend(1, ctx)
        assert clock.now_s == 0

    def test_it_comes_at_a_virtual_time(self) -> None:
        clock, ctx = Clock(), Context(60)
        clock.at(4, ctx.abort)
        with pytest.raises(OperationAborted):
            clock.spend(10, ctx)
        assert clock.now_s == 4

    def test_it_wakes_one_whom_no_time_wakes(self) -> None:
        clock, ctx = Clock(), Context()
        threading.Timer(0.01, ctx.abort).start()
        with pytest.raises(OperationAborted):
            clock.wait(Signal(clock), ctx)


class TestSpeed:
    def test_makes_it_wait(self) -> None:
        clock, ctx = Clock(speed=1.0), Context()
        threading.Timer(0.01, ctx.abort).start()
        with pytest.raises(OperationAborted):
            clock.spend(3600, ctx)
        assert clock.now_s < 3600

    def test_keeps_the_order(self) -> None:
        clock, seen = Clock(speed=1e6), []
        clock.at(2000, lambda: seen.append("second"))
        clock.at(1000, lambda: seen.append("first"))
        clock.spend(3000, Context(4000))
        assert (seen, clock.now_s) == (["first", "second"], 3000)

    def test_several_threads_wait_for_one_time(self) -> None:
        clock = Clock(speed=1e5)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(clock.spend, seconds) for seconds in (4000, 1000, 3000, 2000)]:
                done.result(20)
        assert clock.now_s >= 4000


class TestWhatTheClockRuns:
    def test_its_exception_comes_out_of_who_waits_and_the_clock_goes_on(self) -> None:
        clock = Clock()
        clock.at(1, lambda: 1 // 0)
        with clock.hold():
            with pytest.raises(ZeroDivisionError):
                clock.advance(2)
            assert clock.now_s == 1
            clock.advance(2)
        clock.advance(1)
        assert clock.now_s == 4

    @pytest.mark.parametrize("held", [False, True])
    def test_it_cant_wait(self, held: bool) -> None:
        clock = Clock()
        clock.at(1, lambda: clock.advance(5))
        with (
            clock.hold() if held else nullcontext(),
            pytest.raises(InvalidState, match="time can't pass") as caught,
        ):
            clock.advance(2)
        assert "clock.begin" in (caught.value.hint or "")
        clock.advance(1)
        assert clock.now_s == 2


class TestHold:
    def test_no_time_passes_for_others(self) -> None:
        clock = Clock()
        with ThreadPoolExecutor(1) as pool:
            with clock.hold():
                other = pool.submit(clock.spend, 5)
                clock.advance(3)
                assert clock.now_s == 3
                assert not other.done()
            other.result(20)
        assert clock.now_s >= 5

    def test_may_be_nested(self) -> None:
        clock = Clock()
        with clock.hold(), clock.hold():
            clock.advance(1)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(clock.spend, 1).result(20)
        assert clock.now_s == 2


def steps(clock: Clock, seen: list[str], name: str, *waits: float) -> Callable[[], str]:
    def call() -> str:
        for seconds in waits:
            seen.append(f"{name} at {clock.now_s:g}")
            clock.spend(seconds)
        seen.append(f"{name} ends at {clock.now_s:g}")
        return name

    return call


class TestTasks:
    def test_run_one_at_a_time_in_the_order_in_which_they_were_begun(self) -> None:
        clock, seen = Clock(), list[str]()
        one, two = steps(clock, seen, "one", 1, 1, 2), steps(clock, seen, "two", 1, 2)
        assert clock.together(one, two) == ["one", "two"]
        assert seen == [
            *("one at 0", "two at 0", "one at 1", "two at 1"),
            *("one at 2", "two ends at 3", "one ends at 4"),
        ]

    def test_those_that_are_let_go_at_once_go_on_one_after_the_other(self) -> None:
        """Thirty tasks wait for one thing; whichever woke first would write first."""
        clock, seen = Clock(), list[str]()
        signals = [Signal(clock) for _ in range(30)]

        def call(number: int) -> None:
            clock.wait(signals[number])
            for part in "abc":
                seen.append(f"{number}{part}")
                threading.Event().wait(0)

        def all_at_once() -> None:
            for signal in reversed(signals):
                signal.set()

        clock.at(5, all_at_once)
        clock.together(*[lambda number=number: call(number) for number in range(30)])
        assert seen == [f"{number}{part}" for number in reversed(range(30)) for part in "abc"]

    def test_who_lets_another_go_is_done_first(self) -> None:
        clock, seen = Clock(), list[str]()
        signal = Signal(clock)

        def sets() -> None:
            clock.spend(1)
            with clock.lock:
                signal.set(HostUnreachable("gone"))
            seen.append("set")
            clock.spend(1)
            seen.append("later")

        def waits() -> None:
            with pytest.raises(HostUnreachable):
                clock.wait(signal)
            seen.append("gone")

        clock.together(waits, sets)
        assert seen == ["set", "gone", "later"]

    def test_begin_at_their_time(self) -> None:
        clock, seen = Clock(), list[str]()
        task = clock.begin(steps(clock, seen, "late", 1), at_s=10)
        assert seen == []
        clock.join(task)
        assert (task.result, seen, clock.now_s) == ("late", ["late at 10", "late ends at 11"], 11)

    def test_may_begin_and_join_others(self) -> None:
        clock, seen = Clock(), list[str]()

        def outer() -> list[str]:
            clock.spend(1)
            return clock.together(steps(clock, seen, "x", 2), steps(clock, seen, "y", 1))

        assert clock.together(outer, steps(clock, seen, "z", 5)) == [["x", "y"], "z"]
        assert seen == ["z at 0", "x at 1", "y at 1", "y ends at 2", "x ends at 3", "z ends at 5"]

    def test_the_first_error_is_raised_when_all_have_ended(self) -> None:
        clock, seen = Clock(), list[str]()

        def fails(after_s: float) -> None:
            clock.spend(after_s)
            raise HostUnreachable(f"after {after_s:g}")

        with pytest.raises(HostUnreachable, match="after 2"):
            clock.together(lambda: fails(2), lambda: fails(1), steps(clock, seen, "ok", 3))
        assert seen[-1] == "ok ends at 3"

    def test_who_holds_the_clock_decides_when_they_go_on(self) -> None:
        clock, seen = Clock(), list[str]()
        with clock.hold():
            task = clock.begin(steps(clock, seen, "one", 2, 2))
            clock.advance(3)
            seen.append("between")
            clock.join(task)
        assert seen == ["one at 0", "one at 2", "between", "one ends at 4"]

    def test_one_that_ends_leaves_no_thread(self) -> None:
        clock = Clock()
        tasks = [clock.begin(lambda: clock.spend(1)) for _ in range(5)]
        clock.join(*tasks)
        assert all(task.thread is not None and not task.thread.is_alive() for task in tasks)

    def test_an_aborted_one_lets_the_others_go_on(self) -> None:
        clock, ctx, seen = Clock(), Context(), list[str]()
        clock.at(2, ctx.abort)
        with pytest.raises(OperationAborted):
            clock.together(lambda: clock.spend(9, ctx), steps(clock, seen, "other", 5))
        assert seen[-1] == "other ends at 5"


def test_many_threads_spend_and_nobody_hangs() -> None:
    clock = Clock()

    def work(number: int) -> None:
        for step in range(50):
            if (number + step) % 7 == 0:
                with clock.hold():
                    clock.spend(0.5)
            elif (number + step) % 5 == 0:
                ctx = Context(1)
                with pytest.raises(OperationTimeout):
                    clock.spend(2, ctx)
            else:
                clock.spend(1)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result(25)
    clock.advance(1)
