"""Programs in machines: what is checked of a command, how output and input flow, what ends a call."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from vhal_mock.process import Invocation
from vhal_mock.world import World

import vhal
from vhal.arguments import variables, words
from vhal.driver import Context
from vhal.errors import (
    CommandFailed,
    EngineError,
    InvalidSpec,
    InvalidState,
    NotFound,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.execution import Completed, Execution, raise_failed, run_to_end
from vhal.spec import Mount, Process


@pytest.fixture
def world() -> World:
    return World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})


@pytest.fixture
def web(world: World) -> vhal.Machine:
    vm = vhal.connect(world.url("a")).create(vhal.MachineSpec(name="web", memory="1GiB"))
    vm.start()
    return vm


def plainly(function: Any, *args: Any) -> Any:
    return function(*args)


class Script:
    """A program's stream that does what a test says."""

    def __init__(
        self, *pieces: tuple[int, bytes] | Exception, code: int | None = 0, on_write: Exception | None = None
    ) -> None:
        self.pieces = list(pieces)
        self.code = code
        self.on_write = on_write
        self.written = b""
        self.closed = threading.Event()
        self.input_closed = threading.Event()
        self.waits = False

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        if self.pieces:
            piece = self.pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            return piece
        if self.waits:
            self.closed.wait(timeout_s)
        return 0, b""

    def write(self, data: bytes) -> None:
        if self.on_write is not None:
            raise self.on_write
        self.written += data

    def close_input(self) -> None:
        self.input_closed.set()

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        if self.code is None:
            self.closed.wait(timeout_s)
        return self.code

    def close(self) -> None:
        self.closed.set()


def running(script: Script) -> Execution:
    return Execution(script, "web", ("prog", "x"), plainly)


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("ls -l", "not one text"),
            (b"ls", "not one text"),
            ([], "empty"),
            ([""], "empty"),
            (["a", 1], "word 1"),
            (["a\0b"], "word 0"),
        ],
    )
    def test_that_are_none(self, command: Sequence[str], message: str) -> None:
        with pytest.raises(InvalidSpec, match=message) as caught:
            words(command)
        assert caught.value.hint
        assert caught.value.problems

    def test_a_text_is_pointed_to_a_shell(self) -> None:
        with pytest.raises(InvalidSpec) as caught:
            words("ls -l | wc")
        assert caught.value.hint == """["sh", "-c", 'ls -l | wc'] has a shell read it"""

    @pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}, {"A": 1}])
    def test_variables_that_are_none(self, env: dict[str, str]) -> None:
        with pytest.raises(InvalidSpec, match="can't be set"):
            variables(env)
        assert variables({"A": "=1"}) == {"A": "=1"}
        assert variables(None) is None


class TestToItsEnd:
    def test_output_and_errors_are_kept_apart(self) -> None:
        script = Script((1, b"a"), (2, b"!"), (1, b"b"), code=3)
        assert run_to_end(running(script), b"", Context()) == Completed(3, b"ab", b"!")
        assert script.input_closed.is_set()

    def test_what_comes_at_the_last_moment_is_kept(self) -> None:
        script = Script((1, b"a"), (0, b""), (1, b"b"))
        assert run_to_end(running(script), b"", Context()).output == b"ab"

    def test_input_is_sent_and_ended(self) -> None:
        script = Script()
        script.waits = True

        def end() -> None:
            script.input_closed.wait(30)
            script.closed.set()

        threading.Thread(target=end).start()
        run_to_end(running(script), b"x" * 200_000, Context())
        assert script.written == b"x" * 200_000

    def test_a_program_that_wants_no_input_is_no_error(self) -> None:
        assert run_to_end(running(Script(on_write=BrokenPipeError())), b"x", Context()).exit_code == 0

    def test_input_that_cant_be_sent_is_told(self) -> None:
        script = Script(code=None, on_write=EngineError("the line is cut"))
        script.waits = True
        with pytest.raises(EngineError, match="the line is cut"):
            run_to_end(running(script), b"x", Context())

    def test_after_an_abort_nothing_waits(self) -> None:
        script, ctx = Script(code=None), Context()
        script.waits = True
        threading.Thread(target=ctx.abort).start()
        with pytest.raises(OperationAborted):
            run_to_end(running(script), b"", ctx)
        assert script.closed.is_set()

    def test_a_deadline_is_told_with_the_program(self) -> None:
        script = Script(code=None)
        script.waits = True
        with pytest.raises(OperationTimeout, match="'prog' in machine 'web' didn't end in time") as caught:
            run_to_end(running(script), b"", Context(0.01))
        assert "goes on" in (caught.value.hint or "")

    def test_an_error_of_the_engine_comes_through(self) -> None:
        with pytest.raises(EngineError, match="gone"):
            run_to_end(running(Script(EngineError("gone"))), b"", Context())


class TestExecution:
    def test_wait_and_exit_code(self) -> None:
        script = Script(code=None)
        with running(script) as program:
            assert program.exit_code is None
            with pytest.raises(OperationTimeout):
                program.wait(0.01)
            script.code = 7
            assert program.wait() == program.exit_code == 7
            assert repr(program) == "<Execution of 'prog' in 'web'>"
        assert script.closed.is_set()

    def test_texts_are_written_too(self) -> None:
        script = Script()
        running(script).write("ä")
        assert script.written == "ä".encode()


def test_a_failure_has_the_end_of_the_errors() -> None:
    raise_failed(("x",), Completed(0, b"", b"warning"))
    with pytest.raises(CommandFailed, match="'x' ended with 3") as caught:
        raise_failed(("x",), Completed(3, b"", b"a" * 5000 + b"no space\n"), machine="web")
    error = caught.value
    assert (error.exit_code, error.machine, len(error.errors)) == (3, "web", 2048)
    assert (error.hint or "").endswith("no space'")
    assert error.as_dict()["exit_code"] == 3
    assert error.as_dict()["errors"].endswith("no space\n")
    with pytest.raises(CommandFailed) as silent:
        raise_failed(("x",), Completed(1, b"", b""))
    assert "nothing" in (silent.value.hint or "")


class TestOnTheMock:
    def test_a_program_of_the_test(self, world: World, web: vhal.Machine) -> None:
        seen: list[Invocation] = []

        def deploy(run: Invocation) -> int:
            seen.append(run)
            run.write(run.read())
            run.write_error("careful")
            run.files.write("/etc/deployed", b"1")
            return 300

        world.program("deploy", deploy)
        done = web.exec(["/usr/bin/deploy", "now"], env={"A": "1"}, user="app", cwd="/etc", input="in")
        assert done == Completed(300 & 0xFF, b"in", b"careful")
        assert (seen[0].args, seen[0].env, seen[0].user, seen[0].cwd, seen[0].machine) == (
            ("now",), {"A": "1"}, "app", "/etc", "web",
        )  # fmt: skip
        assert web.read_file("/etc/deployed") == b"1"

    def test_a_program_that_raises_fails(self, world: World, web: vhal.Machine) -> None:
        world.program("bad", lambda run: 1 // 0)
        done = web.exec(["bad"])
        assert done.exit_code == 1
        assert b"ZeroDivisionError" in done.errors

    @pytest.mark.parametrize("exit_code", [0, 3, None])
    def test_a_program_may_exit(self, world: World, web: vhal.Machine, exit_code: int | None) -> None:
        world.program("leave", lambda run: sys.exit(exit_code))
        assert web.exec(["leave"], timeout_s=30).exit_code == (exit_code or 0)

    def test_a_program_that_returns_no_number_fails(self, world: World, web: vhal.Machine) -> None:
        world.program("odd", lambda run: "done")  # type: ignore[arg-type, return-value]
        done = web.exec(["odd"], timeout_s=30)
        assert done.exit_code == 1
        assert b"TypeError" in done.errors

    def test_sleep_passes_virtual_time(self, world: World, web: vhal.Machine) -> None:
        web.wait()
        booted_s = world.clock.now_s
        assert web.exec(["sleep", "100"]).exit_code == 0
        assert world.clock.now_s == booted_s + 100
        with pytest.raises(OperationTimeout):
            web.exec(["sleep", "3600"], timeout_s=10)
        assert 109 < world.clock.now_s - booted_s <= 110
        assert web.exec(["sleep", "x"]).exit_code == 1
        assert web.exec(["sleep", "-1"]).exit_code == 1
        assert web.exec(["sleep", "nan"], timeout_s=10).exit_code == 1

    def test_time_that_others_spend_counts_too(self, world: World, web: vhal.Machine) -> None:
        with web.spawn(["sleep", "5"]) as program:
            assert program.exit_code is None
            with pytest.raises(OperationTimeout):
                program.wait(2)
            world.clock.spend(3.5)
            assert program.wait(0.5) == 0

    def test_a_slow_world_can_be_closed_and_waited_for(self) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}], "speed": 1000})
        vm = vhal.connect(world.url()).create(vhal.MachineSpec(name="web", options={"mock": {"boot_s": 0}}))
        vm.start()
        assert vm.exec(["sleep", "10"], timeout_s=60).exit_code == 0
        assert world.clock.now_s == pytest.approx(10)

    @pytest.mark.parametrize("end", ["stop", "migrate"])
    def test_programs_end_with_their_machine(self, world: World, web: vhal.Machine, end: str) -> None:
        with web.spawn(["cat"]) as program, web.spawn(["sleep", "9"]) as other:
            assert web.usage().processes == 2
            if end == "stop":
                web.stop(force=True)
            else:
                web.migrate(vhal.connect(world.url("b")))
            assert program.wait(5) == other.wait(5) == 137
            assert program.read(5) == (0, b"")
            with pytest.raises(VhalError):
                program.write(b"x")

    def test_files_and_input_of_cat(self, web: vhal.Machine) -> None:
        web.write_file("/tmp/a", "A")
        done = web.exec(["cat", "a", "-", "/b"], cwd="/tmp", input="-")
        assert (done.exit_code, done.output) == (1, b"A-")
        assert b"/b" in done.errors

    def test_a_terminal_has_one_stream(self, world: World, web: vhal.Machine) -> None:
        world.program("warn", lambda run: run.write_error("oh"))
        with web.spawn(["warn"], terminal=True) as program:
            assert program.read(5) == (1, b"oh")

    def test_wrong_states_and_names(self, web: vhal.Machine) -> None:
        with pytest.raises(NotFound) as caught:
            web.exec(["nope"])
        assert "world.program('nope', function)" in (caught.value.hint or "")
        with pytest.raises(NotFound):
            web.exec(["true"], cwd="/nowhere")
        web.pause()
        with pytest.raises(InvalidState, match="can't exec") as paused:
            web.exec(["true"])
        assert paused.value.hint == "resume() it first"

    def test_an_operation_can_be_aborted(self, web: vhal.Machine) -> None:
        # What another end of a pipe never sends is waited for.
        with web.spawn(["cat"]) as program:
            waiting = vhal.begin(program.wait)
            waiting.abort()
            with pytest.raises(OperationAborted):
                waiting.result(30)

    def test_what_a_container_runs_says_where_others_begin(self, world: World) -> None:
        spec = vhal.MachineSpec(
            name="box",
            kind="container",
            process=Process(env={"A": "1", "B": "1"}, user="app", cwd="/srv"),
            mounts=[Mount(target="/srv", tmpfs="1MiB")],
        )
        box = vhal.connect(world.url("a")).create(spec)
        box.start()
        seen: list[Invocation] = []
        world.program("look", seen.append)
        box.exec(["look"], env={"B": "2"})
        assert (seen[0].env, seen[0].user, seen[0].cwd) == ({"A": "1", "B": "2"}, "app", "/srv")
        assert box.info().spec == spec
