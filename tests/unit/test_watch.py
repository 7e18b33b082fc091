"""Streams of events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import vhal
from vhal import watch
from vhal.driver.event import Event, EventKind
from vhal.watch import EventStream


class Source:
    """What a host's listeners are."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def send(self, *names: str) -> None:
        for name in names:
            for listener in self.listeners:
                listener(Event(EventKind.STARTED, name, name, "host"))


def test_in_order() -> None:
    source = Source()
    stream = EventStream(source.subscribe)
    source.send("a", "b", "c")
    assert [event.machine for event in (stream.next(0), stream.next(0), stream.next(0)) if event] == ["a", "b", "c"]
    assert stream.next(0) is None


def test_iterating_ends_when_it_is_closed() -> None:
    source = Source()
    stream = EventStream(source.subscribe)
    source.send("a", "b")
    stream.close()
    stream.close()
    source.send("c")
    assert [event.machine for event in stream] == ["a", "b"]
    assert list(stream) == []
    assert stream.next() is None
    assert source.listeners == []


def test_closing_ends_a_reader_that_waits() -> None:
    stream = EventStream(Source().subscribe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(list, stream)
        stream.close()
        assert reading.result(60) == []


def test_the_oldest_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST", 3)
    source = Source()
    with EventStream(source.subscribe) as stream:
        source.send("a", "b", "c", "d", "e")
        assert stream.dropped == 2
        assert [event.machine for event in (stream.next(0), stream.next(0), stream.next(0)) if event] == ["c", "d", "e"]


def test_a_hosts_events() -> None:
    with vhal.connect("mock:///a") as a, vhal.connect("mock:///b") as b, a.events() as here, b.events() as there:
        vm = a.create(vhal.MachineSpec(name="web"))
        vm.start()
        vm.migrate(b)
        vm.stop()
        vm.delete()
        here.close()
        there.close()
        assert [event.kind.value for event in here] == ["created", "started", "migrated-out"]
        assert [event.kind.value for event in there] == ["migrated-in", "stopped", "deleted"]


def test_many_senders() -> None:
    source = Source()
    stream = EventStream(source.subscribe)
    barrier = threading.Barrier(4)

    def send(sender: int) -> None:
        barrier.wait(60)
        source.send(*(f"{sender}-{number}" for number in range(250)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    stream.close()
    seen = [event.machine for event in stream]
    assert len(seen) == 1000
    for sender in range(4):
        mine = [name for name in seen if name.startswith(f"{sender}-")]
        assert mine == [f"{sender}-{number}" for number in range(250)]
