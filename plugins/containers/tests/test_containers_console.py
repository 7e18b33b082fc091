"""Consoles of machines on a real engine."""

from __future__ import annotations

import threading

import pytest

from tests.testbed import wait_until
from vhal.errors import InvalidState, Unsupported
from vhal.spec import MachineState

from . import containers_place
from .containers_place import Place

place = containers_place.place

SAID_S = 20.0
COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
ECHO = ("/bin/sh", "-c", "while read line; do echo heard $line; done")


def test_what_it_says_from_now_on_until_it_ends(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=COUNT))
    machine.start()
    wait_until(lambda: "\n5\n" in place.run("podman", "logs", "m"), deadline=SAID_S, what="five counts")
    with machine.console() as console:
        first = int(console.read(SAID_S).split()[0])
        assert first > 5
        assert int(console.read(SAID_S).split()[0]) == first + 1
        machine.stop(force=True)
        while console.read(SAID_S):
            pass


def test_one_with_a_terminal_is_talked_to(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=ECHO, process={"terminal": True}))
    machine.start()
    with machine.console() as console:
        console.write(b"one\n")
        said = b""
        while b"heard one" not in said:
            said += console.read(SAID_S)
    # Its input isn't closed with the console.
    with machine.console() as console:
        console.write(b"two\n")
        said = b""
        while b"heard two" not in said:
            said += console.read(SAID_S)
    assert machine.state() is MachineState.RUNNING


def test_one_without_an_input_says_so(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    with machine.console() as console, pytest.raises(Unsupported, match="reads its console"):
        console.write(b"x")
    assert machine.state() is MachineState.RUNNING


def test_one_that_does_not_run_has_none_and_is_left_alone(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    with pytest.raises(InvalidState):
        machine.console()
    # The engine itself would make it ready to start.
    with pytest.raises(InvalidState, match="doesn't run"):
        place.driver.parts["console"].console(machine.id)  # type: ignore[attr-defined]
    assert place.driver.inventory.find("m").container.state.status in ("created", "configured")


def test_one_of_somebody_else_that_is_paused_and_resumed(place: Place) -> None:
    place.run("podman", "run", "-d", "--net=none", "--name", "theirs", "localhost/counter:1", *COUNT)
    machine = place.host.machine("theirs")
    with machine.console() as console:
        assert console.read(SAID_S)
        machine.pause()
        with pytest.raises(InvalidState, match="paused") as caught:
            machine.console()
        assert "resume()" in (caught.value.hint or "")
        while console.read(0.2):
            pass
        machine.resume()
        assert int(console.read(SAID_S).split()[0]) >= 1


def test_closing_ends_a_read_that_waits(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    console = machine.console()
    heard: list[bytes] = []
    reading = threading.Thread(target=lambda: heard.append(console.read()))
    reading.start()
    console.close()
    reading.join(SAID_S)
    assert heard == [b""]
    console.close()
