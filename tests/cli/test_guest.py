"""exec and cp: what goes into machines and comes out of them."""

from __future__ import annotations

import io
import os
import sys
import termios
from pathlib import Path

import pytest
import vhal_mock.world
from vhal_mock.process import Invocation

import vhal
import vhal.cli.execute
from tests.cli.harness import Cli
from tests.testbed import wait_until


@pytest.fixture
def up(web: vhal.Machine) -> vhal.Machine:
    web.start()
    return web


class TestExec:
    def test_streams_and_exit_code(self, cli: Cli, up: vhal.Machine) -> None:
        def warn(run: Invocation) -> int:
            run.write("out")
            run.write_error("err")
            return 42

        vhal_mock.world.find(None).program("warn", warn)
        result = cli("exec", "web", "--", "warn", code=42)
        assert (result.stdout, result.stderr) == ("out", "err")
        result = cli("exec", "--timeout", "5s", "web", "warn", code=42)
        assert (result.stdout, result.stderr) == ("out", "err")
        result = cli("exec", "--json", "web", "warn", code=42)
        assert '"exit_code": 42' in result.stdout

    def test_what_follows_belongs_to_the_program(self, cli: Cli, up: vhal.Machine) -> None:
        assert cli("exec", "web", "echo", "-i", "--host", "x").stdout == "-i --host x\n"
        assert cli("exec", "web", "--", "echo", "--json").stdout == "--json\n"

    def test_its_input(self, cli: Cli, up: vhal.Machine) -> None:
        assert cli("exec", "-i", "web", "--", "cat", input="abc").stdout == "abc"
        assert cli("exec", "-i", "--timeout", "5s", "web", "--", "cat", input="abc").stdout == "abc"
        assert cli("exec", "web", "--", "cat", input="abc").stdout == ""

    def test_its_surroundings(self, cli: Cli, up: vhal.Machine) -> None:
        def tell(run: Invocation) -> int:
            run.write(f"{run.user} {run.cwd} {run.env['A']}")
            return 0

        vhal_mock.world.find(None).program("tell", tell)
        assert cli("exec", "--env", "A=1", "--user", "app", "--cwd", "/etc", "web", "tell").stdout == "app /etc 1"

    def test_errors(self, cli: Cli, web: vhal.Machine) -> None:
        result = cli("exec", "--json", "web", "true", code=4)
        assert "invalid-state" in result.stderr
        web.start()
        assert "there is no program 'nope'" in cli("exec", "web", "--", "nope", "--json", code=3).stderr
        assert "hint:" in cli("exec", "web", "--", "nope", "--json", code=3).stderr
        assert "didn't end in time" in cli("exec", "--timeout", "1s", "web", "sleep", "60", code=7).stderr
        assert "leave out --terminal" in cli("exec", "-t", "--json", "web", "true", code=2).stderr
        cli("exec", "web", code=2)

    def test_a_terminal_is_raw_meanwhile_and_then_as_before(
        self, cli: Cli, up: vhal.Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, program = os.openpty()
        before = termios.tcgetattr(program)
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))

        def shell(run: Invocation) -> int:
            raw = lambda: not termios.tcgetattr(program)[3] & termios.ECHO  # noqa: E731
            wait_until(raw, deadline=30, what="the raw terminal")
            os.write(person, b"x\x03")
            run.write(b"got " + run.read())
            return 5

        vhal_mock.world.find(None).program("shell", shell)
        try:
            with up.spawn(["shell"], terminal=True) as running, os.fdopen(program, "rb", closefd=False) as keyboard:
                assert vhal.cli.execute.join(running, keyboard, raw=True) == 5
            assert written.getvalue() == b"got x\x03"
            assert termios.tcgetattr(program) == before
        finally:
            os.close(person)
            monkeypatch.undo()
            os.close(program)


class TestCp:
    def test_in_and_out(self, cli: Cli, web: vhal.Machine, tmp_path: Path) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "index.html").write_text("hello")
        assert "copied" in cli("cp", str(tmp_path / "site"), "web:/tmp/www").stderr
        assert web.read_file("/tmp/www/index.html") == b"hello"
        cli("cp", "web:/tmp/www/index.html", f"{tmp_path}/")
        assert (tmp_path / "index.html").read_text() == "hello"
        (item,) = cli.items("cp", "web:/tmp/www", str(tmp_path / "back"))
        assert item["machine"] == "web"
        assert (tmp_path / "back" / "index.html").exists()

    def test_errors(self, cli: Cli, web: vhal.Machine, tmp_path: Path) -> None:
        for words in (("a", "b"), ("web:/a", "web:/b"), ("./web:/a", "b"), ("a", "web:relative")):
            assert "MACHINE:/PATH" in cli.error("cp", *words, code=2)["hint"]
        assert cli.error("cp", str(tmp_path / "no"), "web:/tmp/x", code=3)["code"] == "not-found"
        assert cli.error("cp", "web:/no", str(tmp_path / "x"), code=3)["code"] == "not-found"
        assert cli.error("cp", "nobody:/x", "y", code=3)["code"] == "not-found"
