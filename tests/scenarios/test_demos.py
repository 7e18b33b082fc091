"""The demos of the README run to their end, as processes of their own, and tell what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def told(backend: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    demo = subprocess.run(
        [sys.executable, ROOT / "docs" / "demo" / f"on_{backend}.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    return demo.stdout


def test_the_mock_demo_cools_the_hot_host() -> None:
    story = told("mock")
    loads = re.findall(r"alpha +up .* (\d+)%$", story, re.MULTILINE)
    assert len(loads) == 2, story
    assert int(loads[1]) < int(loads[0]) / 2
    assert re.search(r"(\d+) of \1 moves", story), story
    assert "keeps it apart from" in story
    assert "nothing worth moving" in story


def test_the_containers_demo_moves_a_server_whose_client_stays_connected() -> None:
    story = told("containers")
    gaps = re.findall(r"(\d+) ms", story)
    assert len(gaps) >= 4, story
    assert "nothing is left" in story


def test_the_libvirt_demo_moves_a_busy_guest_off_the_hot_host() -> None:
    story = told("libvirt")
    counted = re.search(r"same count, on another host: (\d+) → (\d+)", story)
    assert counted is not None, story
    assert int(counted[1]) < int(counted[2])
    assert re.search(r"a is hot: \d+% of its processors", story)
    assert re.search(r"downtime \d+ ms", story)
    assert "nothing is left" in story
