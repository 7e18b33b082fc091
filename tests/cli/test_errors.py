"""Every exit code, both ways of printing an error, and what a terminal gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import vhal
import vhal.cli.output
from tests.cli.harness import Cli
from vhal.cli import output
from vhal.cli.app import EXIT_CODES
from vhal.errors import VhalError

ERROR = {"code", "message", "hint", "retryable", "backend", "host", "machine", "native"}


def kinds(base: type[VhalError]) -> set[type[VhalError]]:
    return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))


def test_every_exit_code_of_an_error_is_documented() -> None:
    documented = {line.split()[0] for line in EXIT_CODES.splitlines()[2:]}
    assert {str(kind.exit_code) for kind in kinds(VhalError)} <= documented


def test_1_it_failed(cli: Cli, on_a: vhal.Host) -> None:
    options = {"mock": {"dirty_rate": "64GiB", "working_set": 1.0}}
    on_a.create(vhal.MachineSpec(name="busy", memory="8GiB", options=options)).start()
    assert cli.error("migrate", "busy", "--to", "mock:///b", code=1)["code"] == "migration-failed"


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["machine", "nosuch"],
        ["--nosuch"],
        ["list", "--nosuch"],
        ["show"],
        ["list", "more"],
        ["migrate", "w"],
    ],
)
def test_2_usage(cli: Cli, words: list[str]) -> None:
    error = cli.error(*words, code=2)
    assert set(error) == ERROR
    assert error["code"] == "usage"
    assert error["hint"].startswith("see vhal")


def test_2_no_host(cli: Cli) -> None:
    for words in (["list"], ["show", "web"], ["create", "web"]):
        error = cli.error(*words, code=2)
        assert error["message"] == "no host is given"
        assert error["hint"].startswith("give -H URL, set VHAL_HOST, or name hosts in ")


def test_2_a_bad_url(cli: Cli) -> None:
    assert cli.error("list", "-H", "mock://x:y:z", code=2)["code"] == "invalid-url"


def test_2_a_configuration_that_others_can_write(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a").chmod(0o666)
    assert cli.error("list", code=2)["code"] == "invalid-config"


def test_3_not_found(cli: Cli, on_a: vhal.Host) -> None:
    error = cli.error("show", "nosuch", code=3)
    assert set(error) == ERROR
    assert (error["code"], error["machine"]) == ("not-found", "nosuch")
    assert cli.error("list", "-H", "nosuch", code=3)["host"] == "nosuch"


def test_4_conflict(cli: Cli, web: vhal.Machine) -> None:
    assert cli.error("create", "web", code=4)["code"] == "already-exists"
    assert cli.error("pause", "web", code=4)["code"] == "invalid-state"
    assert cli.error("create", "big", "--memory", "1TiB", code=4)["code"] == "insufficient"


def test_5_unsupported(cli: Cli, web: vhal.Machine) -> None:
    error = cli.error("migrate", "web", "--to", "mock:///a", code=5)
    assert set(error) == {*ERROR, "blockers"}
    assert error["code"] == "migration-refused"


def test_6_unavailable(cli: Cli) -> None:
    assert cli.error("show", "web", "-H", "nosuch:///", code=6)["code"] == "plugin-error"


def test_7_timeout(cli: Cli, on_a: vhal.Host) -> None:
    cli("create", "deaf", "--option", "mock.stop_s=null", "--start")
    error = cli.error("stop", "deaf", "--timeout", "1s", code=7)
    assert (error["code"], error["retryable"]) == ("timeout", True)


def test_for_people_it_is_a_line_and_a_hint(cli: Cli, on_a: vhal.Host) -> None:
    result = cli("show", "nosuch", code=3)
    assert result.stdout == ""
    assert result.stderr == "error: there is no machine 'nosuch' on host 'a'\nhint: machines() lists them\n"


def test_an_error_is_told_even_when_quiet(cli: Cli, on_a: vhal.Host) -> None:
    assert cli("show", "nosuch", "--quiet", code=3).stderr.startswith("error: ")


def test_an_interruption_for_programs(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(host: vhal.Host, ref: str) -> vhal.Machine:
        raise KeyboardInterrupt

    monkeypatch.setattr(vhal.Host, "machine", interrupted)
    assert cli.error("show", "web", code=130)["code"] == "interrupted"


def test_a_defect_is_not_dressed_up(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhal.Host, "machine", None)
    with pytest.raises(TypeError):
        cli("show", "web")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert output.clean("a\x1b[31mb\n c\x00") == "a\N{REPLACEMENT CHARACTER}[31mb c\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_gets_colours_unless_they_are_unwanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_colour: bool
) -> None:
    monkeypatch.setattr(vhal.cli.output, "is_terminal", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    output.table(["NAME", "STATE"], [("[web]", "running")])
    output.report(VhalError("it failed", hint="try again"), as_json=False)
    printed = capsys.readouterr()
    assert "[web]" in printed.out
    assert ("\x1b[32m" in printed.out) is not no_colour
    assert ("\x1b[31m" in printed.err) is not no_colour
    assert "it failed" in printed.err


def test_columns_are_aligned_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["NAME", "N", "WHY"], [("機架", "1", "x"), ("cafe\u0301", "22", "y")], right=["N"])
    assert capsys.readouterr().out.splitlines() == ["NAME   N  WHY", "機架   1  x", "cafe\u0301  22  y"]


def test_a_program_reads_no_log_lines(on_a: vhal.Host) -> None:
    script = """
import logging
import vhal
from vhal.cli.app import app
from vhal.layers.guard import Guard
made = Guard.machines
def warns(*args, **settings):
    logging.getLogger("vhal.guard").warning("something is odd")
    return made(*args, **settings)
Guard.machines = warns
app.main({words!r}, prog_name="vhal")
"""
    fleet = ["fleet", "hosts", "--url", "mock:///a"]
    odd = "something is odd\n"
    for words, said in (["list"], odd), (["list", "--json"], ""), (fleet, odd), ([*fleet, "--json"], ""):
        result = subprocess.run(
            [sys.executable, "-c", script.format(words=words)], capture_output=True, text=True, check=True, timeout=120
        )
        assert result.stderr == said
