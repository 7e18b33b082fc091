"""The part of the suite that is about the inside of a machine: programs and files.

The machine of the harness has the usual ``true``, ``false``, ``echo``, ``cat`` and ``sleep``, and a folder ``/tmp``.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from vhal.driver.capability import EXEC, FILES
from vhal.errors import CommandFailed, InvalidSpec, InvalidState, NotFound, OperationAborted, OperationTimeout
from vhal.host import Host
from vhal.machine import Machine
from vhal.operation import begin
from vhal.spec.state import MachineState
from vhal.testing.conformance.needs import needs
from vhal.testing.harness import Harness


class GuestsSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # EXEC: programs

    def test_exec_001_a_program_runs_to_its_end(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        done = running.exec(["echo", "a  b", "$HOME"])
        assert (done.exit_code, done.output, done.errors) == (0, b"a  b $HOME\n", b"")
        assert running.exec(["false"]).exit_code == 1
        assert running.state() is MachineState.RUNNING

    def test_exec_002_its_input_is_what_is_given(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        data = bytes(range(256)) * 1024
        assert running.exec(["cat"], input=data).output == data
        assert running.exec(["cat"]).output == b""

    def test_exec_003_a_failure_is_told_when_asked_for(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        assert running.exec(["true"], check=True).exit_code == 0
        with pytest.raises(CommandFailed) as caught:
            running.exec(["cat", "/not/there"], check=True)
        assert caught.value.exit_code == 1
        assert b"/not/there" in caught.value.errors

    def test_exec_004_what_is_not_there(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        with pytest.raises(NotFound):
            running.exec(["no-such-program"])
        with pytest.raises(NotFound):
            running.exec(["true"], cwd="/no/such/folder")
        assert running.state() is MachineState.RUNNING

    def test_exec_005_one_talks_to_it_while_it_runs(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        patience_s = self.harness.patience_s
        with running.spawn(["cat"]) as program:
            for line in (b"one\n", b"two\n"):
                program.write(line)
                heard = b""
                while len(heard) < len(line):
                    descriptor, data = program.read(patience_s)
                    assert descriptor == 1
                    heard += data
                assert heard == line
            assert program.exit_code is None
            program.close_input()
            assert program.wait(patience_s) == 0
            assert program.read(0) == (0, b"")
            assert program.exit_code == 0

    def test_exec_006_a_deadline_ends_the_call(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        with pytest.raises(OperationTimeout):
            running.exec(["sleep", "3600"], timeout_s=0.5)
        assert running.exec(["echo", "on"]).output == b"on\n"

    def test_exec_007_an_abort_ends_the_call(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        with running.spawn(["cat"]) as program:
            waiting = begin(program.wait)
            waiting.abort()
            with pytest.raises(OperationAborted):
                waiting.result(self.harness.patience_s)
            assert program.exit_code is None
            program.close_input()
            assert program.wait(self.harness.patience_s) == 0

    def test_exec_008_only_in_a_machine_that_runs(self, host: Host, vm: Machine) -> None:
        needs(host, EXEC)
        with pytest.raises(InvalidState) as caught:
            vm.exec(["true"])
        assert caught.value.hint
        assert vm.state() is MachineState.STOPPED

    def test_exec_009_its_environment_and_its_folder(self, host: Host, running: Machine) -> None:
        needs(host, EXEC)
        needs(host, FILES)
        running.write_file("/tmp/here.txt", "found")  # noqa: S108
        assert running.exec(["cat", "here.txt"], cwd="/tmp", env={"KIT": "1"}).output == b"found"  # noqa: S108

    # FILE: files

    def test_file_001_a_file_is_written_and_read(self, host: Host, running: Machine) -> None:
        needs(host, FILES)
        data = bytes(range(256)) * 2048
        running.write_file("/tmp/kit.bin", data)  # noqa: S108
        assert running.read_file("/tmp/kit.bin") == data  # noqa: S108
        running.write_file("/tmp/kit.bin", "")  # noqa: S108
        assert running.read_file("/tmp/kit.bin") == b""  # noqa: S108

    def test_file_002_a_folder_goes_in_and_comes_out(self, host: Host, running: Machine, tmp_path: Path) -> None:
        needs(host, FILES)
        origin = tmp_path / "site"
        (origin / "deep" / "er").mkdir(parents=True)
        (origin / "deep" / "er" / "a").write_bytes(b"a" * 100_000)
        (origin / "run").write_text("#!")
        (origin / "run").chmod(0o755)
        (origin / "deep" / "link").symlink_to("er/a")
        running.copy_in(origin, "/tmp/www")  # noqa: S108
        running.copy_out("/tmp/www", tmp_path / "back")  # noqa: S108
        back = tmp_path / "back"
        assert (back / "deep" / "er" / "a").read_bytes() == b"a" * 100_000
        assert (back / "deep" / "link").readlink() == Path("er/a")
        assert (back / "run").stat().st_mode & 0o777 == 0o755
        assert sorted(path.name for path in back.rglob("*")) == ["a", "deep", "er", "link", "run"]

    def test_file_003_what_is_not_there(self, host: Host, running: Machine, tmp_path: Path) -> None:
        needs(host, FILES)
        with pytest.raises(NotFound):
            running.read_file("/tmp/not-there")  # noqa: S108
        with pytest.raises(NotFound):
            running.copy_out("/not/there", tmp_path / "x")
        with pytest.raises(NotFound):
            running.write_file("/not/there/file", b"x")
        assert list(tmp_path.iterdir()) == []

    def test_file_004_a_folder_is_no_file(self, host: Host, running: Machine) -> None:
        needs(host, FILES)
        with pytest.raises(InvalidSpec):
            running.read_file("/tmp")  # noqa: S108
