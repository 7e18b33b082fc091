"""The installed program, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vhal

VHAL = Path(sys.executable).with_name("vhal")


def run(*words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [VHAL, *words], capture_output=True, text=True, check=False, env={**os.environ, **env}, timeout=120
    )
    assert result.returncode == code, result.stderr
    return result


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)


def test_help_shows_every_command_and_the_exit_codes() -> None:
    text = run("--help").stdout
    for word in ("create", "migrate", "hosts", "doctor", "completion", "130"):
        assert word in text


def test_version() -> None:
    assert run("--version").stdout == f"vhal {vhal.__version__}\n"


def test_schema_is_json_schema() -> None:
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "memory" in schema["properties"]


def test_backends() -> None:
    assert "vhal_mock" in run("backends").stdout


def test_a_machine_is_made() -> None:
    result = run("create", "web", "-H", "mock:///a", "--start", "--wait", "--json")
    assert json.loads(result.stdout)["items"][0]["state"] == "running"
    assert result.stderr == ""


def test_a_usage_error() -> None:
    result = run("start", code=2)
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["error: Missing argument 'NAME'.", "hint: see vhal start --help"]


def test_no_command_shows_the_help() -> None:
    assert "Usage: vhal" in run(code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    assert f"_VHAL_COMPLETE={shell}_complete" in run("completion", shell).stdout


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["completion", "zsh"], ["migrate", "--help"], ["doctor", "-h"]]
)
def test_help_imports_nothing_that_only_commands_need(words: list[str]) -> None:
    unwanted = ["pydantic", "rich", "pluggy", "yaml", "vhal.host", "vhal.registry", "importlib.metadata"]
    script = f"""
import sys
from vhal.cli.app import app
try:
    app.main({words!r}, prog_name="vhal")
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)
"""
    assert python(script).stderr == "[]\n"


def test_without_click_the_remedy_is_named() -> None:
    result = python("import sys; sys.modules['click'] = None\nfrom vhal.cli import main; main()")
    assert result.returncode == 1
    assert result.stderr.splitlines()[1] == "hint: pip install 'vhal[cli]'"
