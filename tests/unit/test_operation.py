"""Operations: progress, end, abort, and the context that calls inside them get."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

import vhal
from vhal.driver.context import Context, Progress
from vhal.errors import OperationAborted, OperationTimeout
from vhal.operation import begin, call_context


class Gate:
    """A call that waits until it is let go on."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = threading.Event()

    def __call__(self) -> str:
        self.inside.set()
        assert self.open.wait(60)
        return "done"


def test_returns_what_the_call_returned() -> None:
    def add(a: int, *, b: int) -> int:
        return a + b

    op = begin(add, 1, b=2)
    assert op.result() == 3
    assert op.result() == 3
    assert op.done
    assert op.wait(0)
    assert op.name == "add"
    assert repr(op) == "<Operation add done>"


def test_raises_what_the_call_raised() -> None:
    def fail() -> None:
        raise KeyError("x")

    op = begin(fail)
    for _ in range(2):
        with pytest.raises(KeyError):
            op.result()
    assert list(op.updates()) == []


def test_is_under_way_until_it_ends() -> None:
    gate = Gate()
    op = begin(gate)
    try:
        assert not op.done
        assert not op.wait(0)
        assert op.progress is None
        assert repr(op) == "<Operation Gate under way>"
        with pytest.raises(OperationTimeout, match="has not ended within 0 s") as caught:
            op.result(timeout_s=0)
        assert caught.value.hint == "it goes on; abort() ends it"
    finally:
        gate.open.set()
    assert op.result(60) == "done"


def test_updates_gives_every_report_whenever_it_is_asked_for() -> None:
    gate = Gate()

    def work() -> None:
        gate()
        ctx = call_context(None)
        for number in range(500):
            ctx.report(Progress("work", done=number, total=500))

    op = begin(work)
    updates = op.updates()
    other = op.updates()
    gate.open.set()
    op.wait()
    assert [progress.done for progress in updates] == list(range(500))
    assert [progress.done for progress in other] == list(range(500))
    assert op.progress == Progress("work", done=499, total=500)
    assert [progress.done for progress in op.updates()] == list(range(500))


def test_updates_that_nobody_fetches_are_bounded() -> None:
    gate = Gate()

    def work() -> None:
        gate()
        ctx = call_context(None)
        for number in range(3000):
            ctx.report(Progress("work", done=number))

    op = begin(work)
    updates = op.updates()
    gate.open.set()
    op.result()
    kept = [progress.done for progress in updates]
    assert kept == list(range(3000 - len(kept), 3000))
    assert len(kept) >= 1000


def test_updates_come_while_it_runs() -> None:
    first, second = threading.Event(), threading.Event()

    def work() -> None:
        ctx = call_context(None)
        first.wait(60)
        ctx.report(Progress("first"))
        second.wait(60)
        ctx.report(Progress("second"))

    op = begin(work)
    updates = op.updates()
    first.set()
    assert next(updates).phase == "first"
    second.set()
    assert [progress.phase for progress in updates] == ["second"]
    op.result()


def test_an_abort_reaches_the_calls_inside() -> None:
    inside = threading.Event()

    def work() -> None:
        outer, inner = call_context(None), call_context(60)
        assert outer is not inner
        inside.set()
        inner.wait(60)

    op = begin(work)
    assert inside.wait(60)
    op.abort()
    op.abort()
    with pytest.raises(OperationAborted):
        op.result()


def test_an_abort_before_a_call_stops_it() -> None:
    gate = Gate()

    def work() -> None:
        gate()
        call_context(60).check()

    op = begin(work)
    op.abort()
    gate.open.set()
    with pytest.raises(OperationAborted):
        op.result()


def test_an_abort_after_the_end_changes_nothing() -> None:
    op = begin(lambda: 7)
    op.wait()
    op.abort()
    assert op.result() == 7


class TestNestedDeadlines:
    def test_outside_an_operation_a_call_has_its_own(self) -> None:
        assert call_context(None).remaining_s is None
        assert call_context(5).remaining_s is not None

    def test_the_nearer_one_counts(self) -> None:
        def remaining(outer_s: float | None, inner_s: float | None) -> float | None:
            def work() -> float | None:
                return call_context(inner_s).remaining_s

            return vhal.Operation("work", work, timeout_s=outer_s).result()

        assert remaining(None, None) is None
        for outer_s, inner_s in ((None, 5), (5, None), (5, 500), (500, 5)):
            left = remaining(outer_s, inner_s)
            assert left is not None
            assert left <= 5

    def test_progress_goes_outwards(self) -> None:
        def work() -> None:
            call_context(5).report(Progress("inner"))

        op = begin(work)
        op.wait()
        assert op.progress == Progress("inner")

    def test_an_inner_deadline_doesnt_end_the_operation(self) -> None:
        def work() -> str:
            with pytest.raises(OperationTimeout):
                call_context(0).check()
            call_context(None).check()
            return "went on"

        assert begin(work).result() == "went on"


def test_context_variables_come_along() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="default")
    variable.set("mine")
    assert begin(variable.get).result() == "mine"

    def change() -> None:
        variable.set("theirs")

    begin(change).result()
    assert variable.get() == "mine"


def test_the_operation_is_not_the_callers_context() -> None:
    begin(lambda: None).result()
    one, two = call_context(None), call_context(None)
    assert one is not two
    assert isinstance(one, Context)


def test_several_calls_are_one_operation() -> None:
    with vhal.connect("mock:///a") as a:

        def make() -> vhal.Machine:
            vm = a.create(vhal.MachineSpec(name="web"))
            vm.start()
            vm.wait("ready")
            return vm

        op = begin(make)
        assert op.result().info().state == "running"
        assert op.progress is not None
        assert op.progress.phase == "wait"


def test_threads_are_gone_after_the_result() -> None:
    before = threading.active_count()
    for _ in range(5):
        begin(lambda: None).result()
    assert threading.active_count() == before
