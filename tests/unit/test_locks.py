"""One lock per machine: who waits, who is told that it is busy, and that nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from vhal.driver.context import Context
from vhal.errors import Busy, OperationAborted
from vhal.layers import locks as module
from vhal.layers.locks import LONG_CALLS, MachineLocks


@pytest.fixture
def locks() -> Iterator[MachineLocks]:
    made = MachineLocks()
    yield made
    assert not made._holders
    assert not made._waited


@contextmanager
def held(locks: MachineLocks, *calls: str) -> Iterator[threading.Event]:
    """Another thread holds machine ``1`` by these calls, one in the other, until the event is set."""
    ready, leave = threading.Event(), threading.Event()

    def nest(left: tuple[str, ...]) -> None:
        if not left:
            ready.set()
            assert leave.wait(60)
            return
        with locks.hold("a", "1", left[0], Context()):
            nest(left[1:])

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(nest, calls)
        assert ready.wait(60)
        try:
            yield leave
        finally:
            leave.set()
            done.result(60)


@pytest.mark.parametrize("call", sorted(LONG_CALLS))
def test_nobody_waits_for_a_long_call(locks: MachineLocks, call: str) -> None:
    busy = pytest.raises(Busy, match=rf"'1' is held by {call}\(\)")
    with held(locks, call), busy as caught, locks.hold("a", "1", "start", Context()):
        raise AssertionError
    assert caught.value.hint
    assert caught.value.machine == "1"


def test_nor_for_a_short_call_within_a_long_one(locks: MachineLocks) -> None:
    busy = pytest.raises(Busy, match=r"held by migrate\(\)")
    with held(locks, "migrate", "stop"), busy, locks.hold("a", "1", "start", Context()):
        raise AssertionError


def test_a_short_call_is_waited_for(locks: MachineLocks) -> None:
    order: list[str] = []

    def start() -> None:
        with locks.hold("a", "1", "start", Context(60)):
            order.append("start")

    with ThreadPoolExecutor(1) as pool:
        with held(locks, "stop") as leave:
            waiting = pool.submit(start)
            while ("a", "1") not in locks._waited:
                threading.Event().wait(0.001)
            order.append("stop")
            leave.set()
        waiting.result(60)
    assert order == ["stop", "start"]


def test_waiting_ends_at_the_deadline(locks: MachineLocks) -> None:
    busy = pytest.raises(Busy, match=r"held by stop\(\)")
    with held(locks, "stop"), busy, locks.hold("a", "1", "start", Context(0.01)):
        raise AssertionError


def test_patience_without_a_deadline_ends_too(locks: MachineLocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    with held(locks, "stop"), pytest.raises(Busy), locks.hold("a", "1", "start", Context()):
        raise AssertionError


def test_an_infinite_deadline_can_be_waited_with(locks: MachineLocks) -> None:
    ctx = Context(float("inf"))
    with held(locks, "stop"):
        threading.Timer(0.01, ctx.abort).start()
        with pytest.raises(OperationAborted), locks.hold("a", "1", "start", ctx):
            raise AssertionError


def test_waiting_ends_when_a_long_call_comes_first(locks: MachineLocks) -> None:
    """Whoever waits for a short call doesn't go on to wait for a long one that overtook it."""
    with held(locks, "stop"):
        holder = locks._holders["a", "1"]

        def start() -> None:
            with locks.hold("a", "1", "start", Context()):
                raise AssertionError

        with ThreadPoolExecutor(1) as pool:
            waiting: Future[None] = pool.submit(start)
            while ("a", "1") not in locks._waited:
                threading.Event().wait(0.001)
            locks._holders["a", "1"] = (holder[0], "migrate")
            with pytest.raises(Busy, match=r"migrate\(\)"):
                waiting.result(60)
        locks._holders["a", "1"] = holder


def test_an_abort_ends_the_waiting(locks: MachineLocks) -> None:
    ctx = Context()
    ctx.abort()
    with held(locks, "stop"), pytest.raises(OperationAborted), locks.hold("a", "1", "start", ctx):
        raise AssertionError


def test_the_same_thread_may_hold_it_again(locks: MachineLocks) -> None:
    with locks.hold("a", "1", "migrate", Context(0)), locks.hold("a", "1", "stop", Context(0)):
        assert len(locks._holders) == 1


def test_machines_and_hosts_are_apart(locks: MachineLocks) -> None:
    with held(locks, "migrate"), locks.hold("a", "2", "start", Context(0)), locks.hold("b", "1", "start", Context(0)):
        assert len(locks._holders) == 3


def test_an_error_lets_go(locks: MachineLocks) -> None:
    with pytest.raises(KeyboardInterrupt), locks.hold("a", "1", "start", Context()):
        raise KeyboardInterrupt
    with held(locks, "start"):
        pass


def test_a_name_that_is_taken_is_called_by_its_name(locks: MachineLocks) -> None:
    hold = threading.Event()

    def create() -> None:
        with locks.hold("a", "name:web", "migrate", Context()):
            hold.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(create)
        while not locks._holders:
            threading.Event().wait(0.001)
        try:
            with pytest.raises(Busy, match="machine 'web' is held"), locks.hold("a", "name:web", "create", Context()):
                raise AssertionError
        finally:
            hold.set()


def test_many_threads_one_at_a_time(locks: MachineLocks) -> None:
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with locks.hold("a", "1", "start", Context(60)):
            inside += 1
            most = max(most, inside)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert most == 1
