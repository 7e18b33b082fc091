"""``vhal fleet plan``: what people and programs are told of a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import Cli
from vhal.fleet import ganeti
from vhal.fleet.sample import sample


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "fleet.json"
    sample(6, 40, seed=1).save(path)
    return str(path)


def test_people_see_moves_hosts_and_how_far_it_is_from_the_best(cli: Cli, saved: str) -> None:
    shown = cli("fleet", "plan", "--from", saved, "--max-moves", "3").stdout
    for word in ("balance: 3 moves", "the fleet's mean is", "HOST", "LOAD BEFORE", "bound: no placement scores below"):
        assert word in shown


def test_programs_get_the_plan(cli: Cli, saved: str) -> None:
    (plan,) = cli.items("fleet", "plan", "--from", saved, "--max-memory", "32GiB")
    assert plan["moves"]
    assert sum(move["memory"] for move in plan["moves"]) <= 32 << 30
    assert plan["score"][1] < plan["score"][0]


def test_ganetis_format_is_read_too(cli: Cli, tmp_path: Path) -> None:
    data, util = tmp_path / "f.data", tmp_path / "f.util"
    ganeti.write(sample(6, 40, seed=1), data, util)
    for options in (("--objective", "ganeti"), ("--util", str(util), "--objective", "ganeti-util")):
        (plan,) = cli.items("fleet", "plan", "--from", str(data), *options)
        assert plan["moves"]


def test_nothing_worth_moving_is_said(cli: Cli, saved: str) -> None:
    assert "nothing worth moving: every rule holds" in cli("fleet", "plan", "--from", saved, "--mode", "minimal").stdout


def test_a_file_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    assert cli.error("fleet", "plan", "--from", str(tmp_path / "none"), code=2)["hint"]
    (tmp_path / "odd").write_text('{"format": 99, "hosts": []}')
    assert "take it anew, or update" in cli.error("fleet", "plan", "--from", str(tmp_path / "odd"), code=2)["message"]


def test_without_numpy_it_is_said_what_to_install(cli: Cli, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "vhal.fleet.balance.planner", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    error = cli.error("fleet", "plan", "--from", saved, code=5)
    assert error["hint"] == "pip install 'vhal[fleet]'"
