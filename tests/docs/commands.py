"""How a ``console`` block is judged.

``vhal`` commands that touch nothing, or only simulated hosts or the page's folder, are run, all of a block in one
process, and what is shown below them is what they print. Other ``vhal`` commands must be understood by the command
line: the command, its options and their values exist. Of other programs' commands, those are looked up that can be:
targets of make, verbs of the test bed, files given to pytest. Where the page has written tests, ``pytest`` runs them,
and prints what is shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
HARMLESS = {"backends", "new-backend", "schema", "completion", "sim", "--help", "--version"}
OFFLINE = {("fleet", "show")}
"""Commands of a group that only read files."""
VERBS = {"up", "down", "status", "exec"}


def judge(block: str, folder: Path) -> list[str]:
    """Return what is wrong with a block, whose page has written its files to ``folder``."""
    return [problem for command, shown in steps(block) for problem in _problems(command, shown, folder)]


def steps(block: str) -> Iterator[tuple[list[str], str]]:
    """Yield each command's words, and what is shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, shown = part.replace("\\\n", " ").partition("\n")
        # What a shell does with the output is the shell's business.
        yield shlex.split(re.sub(r" [|>] .*", "", command), comments=True), shown


def _problems(words: list[str], shown: str, folder: Path) -> Iterator[str]:
    text = shlex.join(words)
    while words and "=" in words[0]:
        words = words[1:]
    if not words:
        return
    program, *rest = words
    if program == "vhal":
        if "mock:///" in text or rest[0] in HARMLESS or tuple(rest[:2]) in OFFLINE:
            yield from _run(rest, shown)
        else:
            yield from _understood(rest)
    elif program == "make":
        wanted = {word for word in rest if "=" not in word}
        known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
        yield from (f"the Makefile has no {target!r}" for target in sorted(wanted - known))
    elif rest[:2] == ["-m", "tests.testbed"] and rest[2] not in VERBS:
        yield f"the test bed has no {rest[2]!r}"
    elif "/" in program and not program.startswith(".venv/") and not (ROOT / program).exists():
        yield f"there is no {program}"
    elif program == "pytest" and any(folder.glob("test_*.py")):
        yield from _tested(rest, shown, folder)
    elif program.endswith("pytest"):
        yield from (f"there is no {path}" for path in rest if "/" in path and not (ROOT / path).exists())


def _run(arguments: list[str], shown: str) -> Iterator[str]:
    from tests.docs.examples import same
    from vhal.cli.app import app

    result = CliRunner().invoke(app, arguments, prog_name="vhal", env={"COLUMNS": "100"})
    if result.exit_code != 0 and "error:" not in shown:
        yield f"vhal {shlex.join(arguments)} ended with {result.exit_code}: {result.output}"
    if shown.strip() and not same(shown, result.output):
        yield f"vhal {shlex.join(arguments)}\nshown:\n{shown}\nprinted:\n{result.output}"


def _tested(arguments: list[str], shown: str, folder: Path) -> Iterator[str]:
    """Run a page's tests as a reader would, who hasn't the plugins that these tests need. They leave nothing behind."""
    from tests.docs.examples import same

    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    plain = {**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:asyncio", "PYTHONDONTWRITEBYTECODE": "1"}
    plain["TMPDIR"] = str(scratch)
    command = [sys.executable, "-m", "pytest", *arguments]
    ran = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, timeout=120, check=False)
    if not same(shown, ran.stdout):
        yield f"pytest {shlex.join(arguments)}\nshown:\n{shown}\nprinted:\n{ran.stdout}{ran.stderr}"
    # pytest keeps its own folder for whoever wants to look into it.
    yield from (f"{path} is left" for path in scratch.iterdir() if not path.name.startswith("pytest-of-"))
    yield from (f"process {words!r} is left" for words in _running() if str(scratch).encode() in words)


def _running() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield process.read_bytes()


def _understood(arguments: list[str]) -> Iterator[str]:
    """Yield why the command line wouldn't take the arguments; nothing is run."""
    from vhal.cli.app import app

    try:
        context = app.make_context("vhal", list(arguments))
        command: click.Command = app
        while isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
            context = command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:
        return
    except click.ClickException as error:
        yield f"vhal {shlex.join(arguments)}: {error.format_message()}"
