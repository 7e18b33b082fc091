"""Programs in machines on a real engine."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from vhal_containers.execution import ContainerProcess

from tests.testbed import wait_until
from vhal.driver import Context
from vhal.errors import AccessDenied, EngineError, HostUnreachable, InvalidState, NotFound
from vhal.machine import Machine
from vhal.spec import MachineState

from . import containers_place
from .containers_place import Place

place = containers_place.place

SAID_S = 20.0


@pytest.fixture
def running(place: Place) -> Machine:
    machine = place.host.create(place.spec("m"))
    machine.start()
    return machine


def sh(machine: Machine, script: str) -> tuple[int, bytes, bytes]:
    done = machine.exec(["sh", "-c", script], timeout_s=SAID_S)
    return done.exit_code, done.output, done.errors


def test_streams_and_exit_codes(running: Machine) -> None:
    assert sh(running, "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")
    assert sh(running, "kill -9 $$")[0] == 128 + 9
    assert sh(running, "kill -TERM $$")[0] == 128 + 15


@pytest.mark.parametrize("code", [125, 126, 127])
def test_codes_that_the_runtime_has_too(running: Machine, code: int) -> None:
    # The words are nearly the runtime's.
    assert sh(running, f"echo Error: OCI; exit {code}") == (code, b"Error: OCI\n", b"")
    assert sh(running, f"exit {code}") == (code, b"", b"")


@pytest.mark.parametrize("command", ["no-such-program", "/bin/no-such-program", "/tmp/x/y"])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_program_that_is_not_there(running: Machine, command: str, terminal: bool) -> None:
    with pytest.raises(NotFound, match="has no program") as caught:
        running.spawn([command], terminal=terminal)
    assert caught.value.hint
    assert "OCI" in str(caught.value.native)


@pytest.mark.parametrize("program", ["/etc/passwd", "/etc"])
def test_what_is_no_program(running: Machine, program: str) -> None:
    with pytest.raises(AccessDenied, match="no program"):
        running.exec([program])


@pytest.mark.parametrize("folder", ["/no/such", "/etc/passwd"])
def test_a_folder_that_is_none(running: Machine, folder: str) -> None:
    with pytest.raises(NotFound, match="no folder"):
        running.exec(["true"], cwd=folder)


@pytest.mark.parametrize("user", ["nobody-knows", "root:nobody-knows"])
def test_a_user_that_is_not_there(running: Machine, user: str) -> None:
    with pytest.raises(NotFound, match="no user"):
        running.exec(["true"], user=user)


def test_user_folder_and_environment(running: Machine) -> None:
    done = running.exec(["sh", "-c", "id -u; id -g; pwd; echo $A"], user="12:34", cwd="/srv", env={"A": "b=c d"})
    assert done.output == b"12\n34\n/srv\nb=c d\n"


def test_input_that_nobody_reads_is_no_error(running: Machine) -> None:
    assert running.exec(["true"], input=b"x" * 1_000_000, timeout_s=SAID_S).exit_code == 0


def test_input_and_output_of_any_bytes(running: Machine) -> None:
    data = os.urandom(3_000_000)
    assert running.exec(["cat"], input=data, timeout_s=60).output == data


def test_writing_to_one_that_has_ended(place: Place, running: Machine) -> None:
    program = start(place, running, "true")
    assert program.exit_code(SAID_S) == 0

    def write_until_refused() -> bool:
        try:
            program.write(b"x")
        except BrokenPipeError:
            return True
        return False

    wait_until(write_until_refused, deadline=SAID_S, what="it takes no more")
    program.close()


def test_a_terminal(running: Machine) -> None:
    with running.spawn(["sh", "-c", "tty; read line; echo got $line >&2"], terminal=True) as program:
        said = b""
        while not said.endswith(b"\n") and (piece := program.read(SAID_S)[1]):
            said += piece
        # Only now: what is typed is shown when it comes, before or after what the program says.
        program.write(b"it\n")
        while piece := program.read(SAID_S)[1]:
            said += piece
        assert said.startswith(b"/dev/pts")
        assert said.endswith(b"got it\r\n")
        assert program.wait(SAID_S) == 0


def start(place: Place, machine: Machine, *command: str) -> ContainerProcess:
    parts = place.driver.parts
    return parts["exec"].execute(machine.id, command, Context(SAID_S))  # type: ignore[attr-defined, no-any-return]


def test_killed_from_outside(place: Place, running: Machine) -> None:
    program = start(place, running, "sh", "-c", "echo $$; exec sleep 1000")
    pid = program.read(SAID_S)[1].decode().strip()
    assert program.exit_code(0) is None
    assert program.read(0.05) == (0, b"")
    running.exec(["kill", "-9", pid], check=True)
    assert program.read(SAID_S) == (0, b"")
    assert program.exit_code(SAID_S) == 137
    program.close()


def test_its_machine_ends_under_it(place: Place, running: Machine) -> None:
    known = start(place, running, "sleep", "1000")
    forgotten = start(place, running, "sleep", "1000")
    running.stop(force=True)
    assert known.read(SAID_S) == (0, b"")
    assert known.exit_code(SAID_S) == 137
    running.start()
    assert known.exit_code(0) == 137
    with pytest.raises(EngineError, match="forgotten"):
        forgotten.exit_code(SAID_S)
    running.delete(force=True)
    assert forgotten.exit_code(SAID_S) == 137
    known.close()
    forgotten.close()


def test_let_go_of_it_goes_on(place: Place, running: Machine) -> None:
    with running.spawn(["sh", "-c", "while ! test -e /tmp/go; do sleep 0.05; done; echo x; touch /tmp/done"]):
        pass
    running.exec(["touch", "/tmp/go"])
    wait_until(lambda: running.exec(["test", "-e", "/tmp/done"]).exit_code == 0, deadline=SAID_S, what="it goes on")


def test_closing_ends_a_read_that_waits(place: Place, running: Machine) -> None:
    program = start(place, running, "sleep", "1000")
    heard: list[tuple[int, bytes]] = []
    reading = threading.Thread(target=lambda: heard.append(program.read()))
    reading.start()
    program.close()
    reading.join(SAID_S)
    assert heard == [(0, b"")]


def test_nothing_is_left_open(place: Place, running: Machine) -> None:
    def once() -> None:
        running.exec(["cat"], input=b"x")
        with pytest.raises(NotFound):
            running.exec(["no-such-program"])
        with pytest.raises(NotFound):
            running.exec(["true"], user="nobody-knows")
        running.spawn(["sleep", "0"]).close()

    once()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        once()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
    wait_until(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "vhal-input"],
        deadline=SAID_S,
        what="the threads end",
    )


def test_only_in_a_machine_that_runs(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    with pytest.raises(InvalidState):
        machine.exec(["true"])
    machine.start()
    machine.pause()
    with pytest.raises(InvalidState, match="paused"):
        machine.exec(["true"])
    assert machine.state() is MachineState.PAUSED


def test_the_engine_goes_away(place: Place, running: Machine) -> None:
    program = running.spawn(["sh", "-c", "echo $$; exec sleep 1000"])
    pid = program.read(SAID_S)[1].decode().strip()
    place.node.signal_service(signal.SIGKILL)
    try:
        assert program.read(SAID_S) == (0, b"")
        with pytest.raises(HostUnreachable):
            program.wait(SAID_S)
    finally:
        place.node.start_service()
    assert program.exit_code is None
    running.exec(["kill", pid], check=True)
    program.close()
