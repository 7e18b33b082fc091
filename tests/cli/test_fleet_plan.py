"""``vhal fleet plan``: what people and programs are told of a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vhal_mock.world import World, swap_default

from tests.cli.harness import Cli
from vhal.driver.fault import Fault
from vhal.fleet.formats import ganeti
from vhal.fleet.formats.sample import sample
from vhal.fleet.plan import Plan


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


def test_a_plan_of_less_memory_can_be_asked_for(cli: Cli, saved: str) -> None:
    quick, thorough = (
        cli.items("fleet", "plan", "--from", saved, "--max-moves", "8", *more)[0] for more in ((), ("--thorough",))
    )
    assert thorough["settings"]["thorough"]
    assert len(thorough["moves"]) <= 8
    assert sum(move["memory"] for move in thorough["moves"]) <= sum(move["memory"] for move in quick["moves"])


def test_ganetis_format_is_read_too(cli: Cli, tmp_path: Path) -> None:
    data, util = tmp_path / "f.data", tmp_path / "f.util"
    ganeti.write(sample(6, 40, seed=1), data, util)
    for options in (("--objective", "ganeti"), ("--util", str(util), "--objective", "ganeti-util")):
        (plan,) = cli.items("fleet", "plan", "--from", str(data), *options)
        assert plan["moves"]


def test_nothing_worth_moving_is_said(cli: Cli, saved: str) -> None:
    assert "nothing worth moving: every rule holds" in cli("fleet", "plan", "--from", saved, "--mode", "minimal").stdout


def test_the_wrong_kind_of_file_is_told_briefly(cli: Cli, tmp_path: Path, saved: str) -> None:
    plan = tmp_path / "plan.json"
    cli("fleet", "plan", "--from", saved, "-o", str(plan))
    taken = cli.error("fleet", "plan", "--from", str(plan), code=2)
    assert taken["hint"] == "name a file of 'vhal fleet capture', or make one anew"
    shown = cli.error("fleet", "show", saved, code=2)
    assert shown["hint"] == "name a file of 'vhal fleet plan --output FILE', or make one anew"
    assert "more" in shown["message"]
    assert len(shown["problems"]) > 6


def test_what_is_hot_is_said_in_mode_hot_only(cli: Cli, saved: str) -> None:
    (plan,) = cli.items("fleet", "plan", "--from", saved, "--hot", "0.9")
    assert (plan["settings"]["mode"], plan["settings"]["hot"]) == ("hot", 0.9)
    error = cli.error("fleet", "plan", "--from", saved, "--hot", "0.9", "--mode", "full", code=2)
    assert error["hint"] == "it belongs to --mode hot"


def test_a_file_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    assert cli.error("fleet", "plan", "--from", str(tmp_path / "none"), code=3)["hint"]
    (tmp_path / "odd").write_text('{"format": 99, "hosts": []}')
    assert "make it anew, or update" in cli.error("fleet", "plan", "--from", str(tmp_path / "odd"), code=2)["message"]


def test_without_numpy_it_is_said_what_to_install(cli: Cli, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "vhal.fleet.balance.planner", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    error = cli.error("fleet", "plan", "--from", saved, code=5)
    assert error["hint"] == "pip install 'vhal[fleet]'"


# of a live fleet


@pytest.fixture
def world() -> World:
    """Two hosts, of which one has all machines."""
    spec = {"cpus": 4, "memory": "8GiB", "options": {"mock": {"workload": {"profile": "constant", "level": 0.5}}}}
    world = World.from_spec(
        {
            "hosts": [{"name": name, "cpus": 16} for name in "ab"],
            "machines": [{"host": "a", "running": True, "count": 4, "spec": {"name": "web", **spec}}],
        }
    )
    swap_default(world)
    return world


URLS = ("--url", "mock:///a", "--url", "mock:///b")


@pytest.mark.usefixtures("world")
def test_a_live_fleet_is_planned_for_shown_and_carried_out(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VHAL_JOURNAL", str(tmp_path / "journal.sqlite"))
    path, page, picture = (str(tmp_path / name) for name in ("plan.json", "plan.html", "plan.svg"))
    shown = cli("fleet", "plan", *URLS, "-o", path, "--html", page, "--plot", picture).stdout
    assert "balance: 2 moves" in shown
    assert "a     4 → 2     ██████████            50%" in shown
    for written in (page, picture):
        assert Path(written).stat().st_size
    (again,) = cli.items("fleet", "apply", path, *URLS, "--dry-run")
    assert len(again["moves"]) == 2
    assert "2 of 2 moves" in cli("fleet", "apply", path, *URLS, "--html", page).stderr
    assert [item["host"] for item in cli.items("fleet", "machines", *URLS)].count("b") == 2
    assert "nothing worth moving" in cli("fleet", "plan", *URLS).stdout


def test_after_a_move_that_failed_the_balancer_plans_the_rest(
    cli: Cli, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VHAL_JOURNAL", str(tmp_path / "journal.sqlite"))
    path = str(tmp_path / "plan.json")
    cli("fleet", "plan", *URLS, "-o", path)
    planned = [move.machine for move in Plan.load(path).moves]
    world.inject(Fault(at="migration.transfer.round", machine=planned[0], times=None))
    result = cli("fleet", "apply", path, *URLS, "--at-once", "1", "--json", code=1)
    (applied,) = json.loads(result.stdout)["items"]
    arrived = [move["move"]["machine"] for move in applied["moves"] if move["outcome"] == "moved"]
    assert len(arrived) == 2
    assert planned[0] not in arrived
