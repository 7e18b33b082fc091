"""The backend that the tutorial builds is as small as it says, and clean. That it works, the page itself tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.examples import FENCE, FILE
from tests.docs.generated import DOCS

PAGE = DOCS / "tutorial" / "write-a-backend.md"
LINES = 200
"""Of a backend that passes the required tier: those that aren't blank, imports and comments counted."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that the page shows."""
    for block in FENCE.finditer(PAGE.read_text()):
        named = FILE.match(block["body"])
        if named is not None:
            file = tmp_path / named["name"]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block["body"].removeprefix(named[0]))
    return tmp_path


def test_it_is_as_small_as_the_page_says(project: Path) -> None:
    lines = [
        line for file in (project / "vhal_qmp").glob("*.py") for line in file.read_text().splitlines() if line.strip()
    ]
    assert 100 < len(lines) <= LINES
    assert f"{LINES} lines" in PAGE.read_text()


@pytest.mark.parametrize(
    "check", ["ruff format --check", "ruff check --select A,B,E,F,I,PTH,RET,SIM,UP,W --ignore A002", "mypy --strict"]
)
def test_it_is_clean(project: Path, check: str) -> None:
    command = [sys.executable, "-m", *check.split()]
    if "ruff" in check:
        command += ["--line-length", "120", "--no-cache"]
    ran = subprocess.run([*command, "."], cwd=project, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
