"""Deadlines, aborts and progress of one call."""

from __future__ import annotations

import threading

import pytest

from vhal.driver.context import Context, Progress
from vhal.errors import OperationAborted, OperationTimeout


def test_without_a_deadline_it_goes_on() -> None:
    ctx = Context()
    ctx.check()
    ctx.wait(0)
    assert ctx.remaining_s is None
    assert not ctx.aborted


@pytest.mark.parametrize("timeout_s", [0, -1, 0.0])
def test_a_passed_deadline_raises(timeout_s: float) -> None:
    ctx = Context(timeout_s)
    assert ctx.remaining_s == 0
    with pytest.raises(OperationTimeout, match="took longer than its") as caught:
        ctx.check()
    assert caught.value.hint
    with pytest.raises(OperationTimeout):
        ctx.wait(60)


def test_infinity_is_a_deadline() -> None:
    ctx = Context(float("inf"))
    ctx.check()
    ctx.wait(0)


def test_an_abort_raises_and_goes_before_the_deadline() -> None:
    ctx = Context(0)
    ctx.abort()
    assert ctx.aborted
    with pytest.raises(OperationAborted):
        ctx.check()
    with pytest.raises(OperationAborted):
        ctx.wait(60)


def test_an_abort_ends_a_wait() -> None:
    ctx = Context(60)
    threading.Timer(0.01, ctx.abort).start()
    with pytest.raises(OperationAborted):
        ctx.wait(60)


def test_callbacks_run_once_per_abort_and_only_inside() -> None:
    ctx, called = Context(), list[str]()
    with ctx.on_abort(lambda: called.append("before")):
        pass
    with ctx.on_abort(lambda: called.append("inside")):
        ctx.abort()
        ctx.abort()
    with ctx.on_abort(lambda: called.append("late")):
        assert called == ["inside", "late"]
    ctx.abort()
    assert called == ["inside", "late"]


def test_a_callback_is_forgotten_after_an_error() -> None:
    ctx, called = Context(), list[str]()
    with pytest.raises(KeyError), ctx.on_abort(lambda: called.append("late")):
        raise KeyError
    ctx.abort()
    assert not called


class TestAPart:
    @pytest.mark.parametrize(("whole_s", "part_s", "least"), [(None, 5, 5), (5, 500, 5), (500, 5, 5), (0, 5, 0)])
    def test_ends_by_the_nearer_deadline(self, whole_s: float | None, part_s: float, least: float) -> None:
        left = Context(whole_s).within(part_s).remaining_s
        assert left is not None
        assert left <= least

    def test_its_deadline_is_its_own(self) -> None:
        ctx = Context()
        with pytest.raises(OperationTimeout):
            ctx.within(0).check()
        ctx.check()

    def test_is_aborted_with_the_whole(self) -> None:
        ctx, called = Context(), list[str]()
        before = ctx.within(60)
        with before.on_abort(lambda: called.append("part")), ctx.on_abort(lambda: called.append("whole")):
            ctx.abort()
        assert called == ["part", "whole"]
        for part in (before, ctx.within(60), before.within(60)):
            assert part.aborted
            with pytest.raises(OperationAborted):
                part.wait(60)

    def test_reports_to_the_whole(self) -> None:
        seen: list[Progress] = []
        ctx = Context(on_progress=seen.append)
        ctx.within(5).within(5).report(Progress("a"))
        assert seen == [Progress("a")]
        assert ctx.last is seen[0]


def test_reports_go_to_whoever_listens() -> None:
    seen: list[Progress] = []
    ctx = Context(on_progress=seen.append)
    assert ctx.last is None
    ctx.report(Progress("a"))
    ctx.report(Progress("b", done=1, total=4))
    assert [progress.phase for progress in seen] == ["a", "b"]
    assert ctx.last is seen[-1]


@pytest.mark.parametrize(
    ("done", "total", "fraction"), [(None, 4, None), (1, None, None), (0, 0, None), (1, 4, 0.25), (9, 4, 1.0)]
)
def test_fraction(done: int | None, total: int | None, fraction: float | None) -> None:
    assert Progress("x", done, total).fraction == fraction


class TestTimeOfAnEngine:
    def test_only_what_it_told_of_has_passed(self) -> None:
        ctx = Context(10)
        assert ctx.left_s == 10
        ctx.advance(4)
        assert ctx.left_s == 6
        ctx.advance(7)
        assert ctx.left_s == 0
        with pytest.raises(OperationTimeout):
            ctx.check()
        assert Context().left_s is None

    def test_what_was_waited_for_here_counts_once(self) -> None:
        ctx = Context(1000)
        ctx.advance(900, waited_s=900)
        assert ctx.left_s == 100
        assert (ctx.remaining_s or 0) > 900

    def test_a_part_spends_the_time_of_the_whole(self) -> None:
        whole = Context(10)
        part = whole.within(60)
        assert part.left_s == 10
        part.within(5).advance(3)
        assert (whole.left_s, part.left_s) == (7, 7)
        assert (whole.remaining_s or 99) <= 7
