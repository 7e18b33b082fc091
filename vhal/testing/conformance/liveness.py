"""The layer *liveness*: what a backend tells of, and what is left when it is closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest

from vhal.driver.capability import EVENTS, PAUSE
from vhal.driver.event import Event, EventKind
from vhal.errors import AlreadyExists, InvalidState
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.operation import begin
from vhal.spec.state import MachineState
from vhal.testing.conformance.another import another
from vhal.testing.harness import Harness
from vhal.watch import EventStream

Told = tuple[EventKind, Callable[[Machine], object], MachineState | None]
"""A kind of event, what causes it, and the state that is to be seen when it comes; None for a machine that is gone."""

LIFE: list[Told] = [
    (EventKind.STARTED, lambda vm: vm.start(), MachineState.RUNNING),
    (EventKind.PAUSED, lambda vm: vm.pause(), MachineState.PAUSED),
    (EventKind.RESUMED, lambda vm: vm.resume(), MachineState.RUNNING),
    (EventKind.STOPPED, lambda vm: vm.stop(force=True), MachineState.STOPPED),
    (EventKind.DELETED, lambda vm: vm.delete(), None),
]


class LivenessSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # EVNT: events

    def test_evnt_001_a_machine_tells_of_its_life_in_order_and_once(self, host: Host) -> None:
        life = _life(host)
        wanted = [EventKind.CREATED, *(kind for kind, _, _ in life)]
        with host.events() as events:
            vm = host.create(self.harness.spec(self.harness.name()))
            for _, act, _ in life:
                act(vm)
            seen: list[EventKind] = []
            _hear(self.harness, events, lambda event: _keep(event, vm, seen) is EventKind.DELETED)
            # Whatever comes twice comes before what happens now.
            after = host.create(self.harness.spec(self.harness.name()))
            _hear(self.harness, events, lambda event: _keep(event, vm, seen) is None and event.machine_id == after.id)
        assert seen == wanted

    def test_evnt_002_what_an_event_tells_can_be_seen_when_it_comes(self, host: Host) -> None:
        with host.events() as events:
            vm = host.create(self.harness.spec(self.harness.name()))
            _hear(self.harness, events, lambda event: event.kind is EventKind.CREATED and event.machine_id == vm.id)
            assert vm.state() is MachineState.STOPPED
            for kind, act, state in _life(host):
                acting = begin(act, vm)
                _hear(self.harness, events, lambda event: event.kind is kind and event.machine_id == vm.id)  # noqa: B023 - heard now
                found = {machine.id: machine.seen.state for machine in host.machines()}
                assert found.get(vm.id) is state, f"{kind} came before it was to be seen"
                acting.result(self.harness.patience_s)

    def test_evnt_003_each_listener_hears_all_whatever_the_others_do(self, host: Host) -> None:
        left: list[EventKind] = []

        def fail(event: Event) -> None:
            left.append(event.kind)
            raise RuntimeError("a listener that fails")

        listening = host.guard.require(EVENTS)
        stop_failing = listening.subscribe(fail)
        with host.events() as first, host.events() as second, host.events() as leaving:
            vm = host.create(self.harness.spec(self.harness.name()))
            vm.start()
            for events in (first, second):
                _hear(self.harness, events, lambda event: event.kind is EventKind.STARTED and event.machine_id == vm.id)
            leaving.close()
            stop_failing()
            stop_failing()
            left.clear()
            vm.stop(force=True)
            for events in (first, second):
                _hear(self.harness, events, lambda event: event.kind is EventKind.STOPPED and event.machine_id == vm.id)
        heard = [event.kind for event in leaving if event.machine_id == vm.id]
        assert EventKind.STOPPED not in [*heard, *left]

    def test_evnt_004_what_fails_tells_of_nothing(self, host: Host, vm: Machine) -> None:
        with host.events() as events:
            for call in (vm.stop, lambda: host.create(self.harness.spec(vm.name))):
                with pytest.raises((InvalidState, AlreadyExists)):
                    call()
            vm.delete()
            seen: list[EventKind] = []
            _hear(self.harness, events, lambda event: _keep(event, vm, seen) is EventKind.DELETED)
        assert seen == [EventKind.DELETED]

    # LEFT: what is left after the end

    def test_left_001_close_ends_every_stream_from_whatever_thread(self) -> None:
        driver = self.harness.open()
        with connect(driver) as host:
            streams = [host.events() for _ in range(3)]
            reading = [begin(list, stream) for stream in streams]
            closing = [begin(host.close) for _ in range(4)]
            for ended in closing:
                ended.result(self.harness.patience_s)
            for read in reading:
                read.result(self.harness.patience_s)
            assert all(stream.closed for stream in streams)
            assert [stream.next(timeout_s=0) for stream in streams] == [None] * 3
            host.close()
            for stream in streams:
                stream.close()
        driver.close()

    def test_left_002_a_closed_host_refuses_every_call(self, host: Host, vm: Machine) -> None:
        with connect(another(self.harness.open, host)) as other:
            there = other.machine(vm.id)
            there.start()
        calls: list[Callable[[], object]] = [
            other.info, other.machines, other.events, other.usage, lambda: other.machine(vm.id),
            lambda: other.create(self.harness.spec(self.harness.name())),
            there.info, there.state, there.start, there.stop, there.pause, there.resume, there.save, there.restore,
            there.reboot, there.delete, there.wait, there.console, there.usage, there.snapshots,
            lambda: there.resize(cpus=2), lambda: there.snapshot("one"), lambda: there.revert("one"),
            lambda: there.delete_snapshot("one"), lambda: there.exec(["true"]), lambda: there.read_file("/etc/passwd"),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(InvalidState) as caught:
                call()
            assert caught.value.hint
        assert vm.state() is MachineState.RUNNING, "what was started goes on without its connection"

    def test_left_003_connections_leave_no_threads_and_no_files_open(self) -> None:
        def once() -> None:
            with connect(self.harness.open()) as host, host.events():
                host.machines()

        _leaves_nothing(self.harness, once)

    def test_left_004_failed_creations_leave_nothing(self, host: Host, vm: Machine) -> None:
        spec = self.harness.spec(vm.name)

        def once() -> None:
            with pytest.raises(AlreadyExists):
                host.create(spec)

        before = _ours(self.harness, host)
        _leaves_nothing(self.harness, once)
        assert _ours(self.harness, host) == before


def _life(host: Host) -> list[Told]:
    return [told for told in LIFE if host.can(PAUSE) or told[0] not in (EventKind.PAUSED, EventKind.RESUMED)]


def _hear(harness: Harness, events: EventStream, found: Callable[[Event], bool]) -> None:
    """Read events until one is found."""

    def heard() -> bool:
        while (event := events.next(timeout_s=0.01)) is not None:
            if found(event):
                return True
        return False

    harness.settle(heard, "an event")


def _ours(harness: Harness, host: Host) -> list[str]:
    return sorted(machine.name for machine in host.machines() if machine.name.startswith(harness.prefix))


def _leaves_nothing(harness: Harness, once: Callable[[], None]) -> None:
    """Assert that doing something often leaves no more threads and open files than doing it a few times."""
    for _ in range(2):
        once()  # what is opened for good is open now
    threads, files = _threads(), _files()
    for _ in range(3 if harness.slow else 10):
        once()
    harness.settle(lambda: _threads() <= threads and _files() <= files, "that nothing is left open")


def _keep(event: Event, vm: Machine, seen: list[EventKind]) -> EventKind | None:
    """Add the kind of an event to ``seen``, and return it, if it is about the machine and not only its definition."""
    if event.machine_id != vm.id or event.kind is EventKind.CHANGED:
        return None
    assert event.machine == vm.name
    seen.append(event.kind)
    return event.kind


def _threads() -> int:
    return threading.active_count()


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
