"""What a real engine tells, and what is made of it."""

from __future__ import annotations

import signal
import threading
import time

from vhal.driver import Event, EventKind
from vhal.spec import MachineState

from . import containers_place
from .containers_place import DEAF, Place, settle

place = containers_place.place

KIND = EventKind


class Heard:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self, machine: str) -> list[EventKind]:
        return [event.kind for event in self.events if event.machine_id == machine]


def test_a_life_as_it_is_told(place: Place) -> None:
    heard = Heard()
    cancel = place.driver.subscribe(heard)
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.pause()
    machine.resume()
    machine.reboot()
    machine.stop(timeout_s=30)
    machine.delete()
    wanted = [KIND.CREATED, KIND.STARTED, KIND.PAUSED, KIND.RESUMED, KIND.REBOOTED, KIND.STOPPED, KIND.DELETED]
    settle(lambda: heard.kinds(machine.id)[-1:] == [KIND.DELETED], "the last event")
    cancel()
    assert heard.kinds(machine.id) == wanted
    assert {event.host for event in heard.events} == {place.node.name}
    assert {event.machine for event in heard.events} == {"m"}


def test_one_that_is_made_ready_and_ended_was_never_started(place: Place) -> None:
    heard = Heard()
    machine = place.host.create(place.spec("m"))
    machine.start()
    place.run("podman", "container", "checkpoint", "m")
    cancel = place.driver.subscribe(heard)
    machine.stop(force=True)
    machine.delete()
    settle(lambda: heard.kinds(machine.id)[-1:] == [KIND.DELETED], "the last event")
    cancel()
    assert heard.kinds(machine.id) == [KIND.DELETED]


def test_containers_of_others_tell_too(place: Place) -> None:
    heard = Heard()
    cancel = place.driver.subscribe(heard)
    id_ = place.run("podman", "run", "-d", "--name", "theirs", "counter:1", *DEAF)
    place.run("podman", "container", "checkpoint", "theirs")
    place.run("podman", "container", "restore", "theirs")
    place.run("podman", "rm", "-f", "-t", "0", "theirs")
    settle(lambda: heard.kinds(id_)[-1:] == [KIND.DELETED], "the last event")
    cancel()
    kinds = heard.kinds(id_)
    assert kinds[:2] == [KIND.CREATED, KIND.STARTED]
    assert KIND.SAVED in kinds
    assert KIND.RESTORED in kinds


def test_after_the_cancel_nothing_is_told(place: Place) -> None:
    heard = Heard()
    cancel = place.driver.subscribe(heard)
    cancel()
    cancel()
    place.host.create(place.spec("m"))
    assert heard.events == []
    assert not [thread for thread in threading.enumerate() if thread.name == "vhal-containers-events"]


def test_a_listener_may_cancel(place: Place) -> None:
    seen = threading.Event()

    def listener(event: Event) -> None:
        cancel()
        seen.set()

    cancel = place.driver.subscribe(listener)
    place.host.create(place.spec("m"))
    assert seen.wait(30)


def test_the_engine_may_be_restarted(place: Place) -> None:
    heard = Heard()
    cancel = place.driver.subscribe(heard)
    machine = place.host.create(place.spec("m"))
    machine.start()
    settle(lambda: heard.kinds(machine.id) == [KIND.CREATED, KIND.STARTED], "what came before")
    place.node.signal_service(signal.SIGKILL)
    place.run("podman", "pause", "m")  # nobody listens
    place.node.start_service()
    assert machine.state() is MachineState.PAUSED
    machine.resume()
    settle(lambda: heard.kinds(machine.id)[-1:] == [KIND.RESUMED], "what came after")
    cancel()
    assert heard.kinds(machine.id) == [KIND.CREATED, KIND.STARTED, KIND.PAUSED, KIND.RESUMED]


def test_closing_ends_it_while_the_engine_is_away(place: Place) -> None:
    cancel = place.driver.subscribe(Heard())
    place.node.signal_service(signal.SIGKILL)
    started = time.monotonic()
    try:
        place.driver.close()
        cancel()
        assert time.monotonic() - started < 30
    finally:
        place.node.start_service()
