"""``vhal sim``: scenarios from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import Cli

SCENARIO = """
seed = 3
until_s = 60
[[hosts]]
name = "a"
[[hosts]]
name = "b"
[[machines]]
host = "a"
running = true
spec = {name = "web", memory = "4GiB"}
[[events]]
time_s = 10
action = "migrate"
machine = "web"
to = "b"
[[events]]
time_s = 30
action = "pause"
machine = "web"
[[events]]
time_s = 40
action = "pause"
machine = "web"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(SCENARIO)
    return path


def test_a_run_for_people(cli: Cli, file: Path) -> None:
    lines = cli("sim", "run", str(file)).stdout.splitlines()
    assert lines[0].split() == ["TIME", "HOST", "MACHINE", "WHAT", "DETAIL"]
    assert lines[1] == "10.00 s  a     web      migrate  to b"
    assert lines[3:5] == [
        "30.00 s  b     web      paused",
        "40.00 s  b     web      failed   pause: invalid-state: can't pause machine 'web': it is paused",
    ]
    assert "HOST  CPU MEAN  CPU PEAK" in lines[6]
    assert lines[-1] == "1 failed"


def test_a_run_for_programs_is_the_same_each_time(cli: Cli, file: Path) -> None:
    first, second = (cli("sim", "run", str(file), "--json").stdout for _ in range(2))
    assert first == second
    (item,) = cli.items("sim", "run", str(file))
    assert set(item) == {
        "seed", "until_s", "entries", "samples", "migrations", "failures", "unfinished", "machines",
    }  # fmt: skip
    assert item["seed"] == 3
    assert [failure["code"] for failure in item["failures"]] == ["invalid-state"]
    assert item["machines"] == [{"host": "b", "machine": "web", "state": "paused"}]


def test_another_seed_and_another_end(cli: Cli, file: Path) -> None:
    (item,) = cli.items("sim", "run", str(file), "--seed", "9", "--until", "20")
    assert (item["seed"], item["until_s"], item["failures"]) == (9, 20.0, [])


def test_a_plot(cli: Cli, file: Path, tmp_path: Path) -> None:
    for name in ("plot.png", "plot.svg"):
        cli("sim", "run", str(file), "--plot", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("plot.gif", 2, ".png or .svg"), ("plot", 2, ".png or .svg"), ("nowhere/plot.png", 3, "make it")],
)
def test_a_plot_that_cannot_be(cli: Cli, file: Path, tmp_path: Path, name: str, code: int, said: str) -> None:
    assert said in cli.error("sim", "run", str(file), "--plot", str(tmp_path / name), code=code)["hint"]


def test_a_plot_that_cannot_be_written(cli: Cli, file: Path, tmp_path: Path) -> None:
    (tmp_path / "plot.png").mkdir()
    assert cli.error("sim", "run", str(file), "--plot", str(tmp_path / "plot.png"), code=6)["code"] == "access-denied"


def test_a_plot_without_matplotlib(cli: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = cli.error("sim", "run", str(file), "--plot", str(tmp_path / "plot.png"), code=5)
    assert (error["code"], error["hint"]) == ("unsupported", "pip install 'vhal[plot]'")


def test_a_check(cli: Cli, file: Path) -> None:
    assert cli("sim", "check", str(file)).stdout == f"{file}: 2 hosts, 1 machines, 3 events in 60 s\n"
    assert cli.items("sim", "check", str(file)) == [{"hosts": 2, "machines": 1, "events": 3, "until_s": 60.0}]


def test_the_points(cli: Cli) -> None:
    assert "migration.transfer.round=N" in cli("sim", "points").stdout
    assert {item["point"] for item in cli.items("sim", "points")} >= {"create.begin", "migration.transfer.switch"}


def test_a_fleet_that_is_made_up_can_be_run(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    made = cli("sim", "generate", "--hosts", "4", "--machines", "20", "--seed", "5", "-o", str(file))
    assert made.stdout == ""
    assert "4 hosts and 20 machines" in made.stderr
    assert cli("sim", "generate", "--hosts", "4", "--machines", "20", "--seed", "5").stdout == file.read_text()
    (found,) = cli.items("sim", "check", str(file))
    assert (found["hosts"], found["machines"]) == (4, 20)
    rows = [line.split() for line in cli("sim", "run", str(file), "--until", "600").stdout.splitlines()]
    assert sum(int(row[-1]) for row in rows if row and row[0] in ("h1", "h2", "h3", "h4")) == 20


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("run", "FILE", "--seed", "-1"), "--seed"),
        (("run", "FILE", "--until", "-5"), "--until"),
        (("run", "FILE", "--until", "1e9"), "--until"),
        (("generate", "--seed", "-1"), "--seed"),
    ],
)
def test_an_option_that_no_scenario_takes(cli: Cli, file: Path, words: tuple[str, ...], option: str) -> None:
    error = cli.error("sim", *(str(file) if word == "FILE" else word for word in words), code=2)
    assert option in error["message"]


@pytest.mark.parametrize("verb", ["run", "check"])
@pytest.mark.parametrize(
    ("change", "path", "hint"),
    [
        (("to = \"b\"", "to = \"bb\""), "events[0].to", "did you mean 'b'?"),
        (("action = \"pause\"", "action = \"puase\""), "events[1]", "did you mean 'pause'?"),
        (("machine = \"web\"\nto", "machin = \"web\"\nto"), "events[0].machin", "did you mean 'machine'?"),
        (("time_s = 30", "time_s = -30"), "events[1].time_s", "'vhal schema'"),
        (("4GiB", "lots"), "machines[0].spec.memory.size", "'vhal schema'"),
        (("name = \"b\"", "name = \"a\""), "hosts[1].name", "rename it"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file(
    cli: Cli, file: Path, verb: str, change: tuple[str, str], path: str, hint: str
) -> None:
    file.write_text(SCENARIO.replace(*change, 1))
    error = cli.error("sim", verb, str(file), code=2)
    assert error["code"] == "invalid-spec"
    assert str(file) in error["message"]
    assert path in error["message"]
    assert hint in error["hint"]
    assert f"error: {error['message']}" in cli("sim", verb, str(file), code=2).stderr


@pytest.mark.parametrize(
    "words", [["--until", "-1"], ["--until", "nan"], ["--until", "soon"], ["--seed", "-1"], ["--seed", "x"]]
)
def test_what_is_wrong_on_the_command_line(cli: Cli, file: Path, words: list[str]) -> None:
    assert cli.error("sim", "run", str(file), *words, code=2)["hint"]


def test_a_file_that_is_not_there_or_none(cli: Cli, file: Path, tmp_path: Path) -> None:
    assert cli.error("sim", "run", str(tmp_path / "no.toml"), code=3)["code"] == "not-found"
    file.write_text("hosts = [")
    assert "not well-formed TOML" in cli.error("sim", "run", str(file), code=2)["message"]
    assert "unknown kind of file" in cli.error("sim", "run", str(tmp_path), code=2)["message"]


def test_traces_lie_beside_the_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("time_s,cpu\n0,0.5\n30,1\n")
    guest = {"name": "web", "cpus": 4, "options": {"mock": {"workload": {"profile": "trace", "file": "day.csv"}}}}
    world = {"hosts": [{"name": "a"}], "machines": [{"host": "a", "running": True, "spec": guest}], "until_s": 59}
    (tmp_path / "fleet.json").write_text(json.dumps(world))
    (item,) = cli.items("sim", "run", str(tmp_path / "fleet.json"))
    assert set(item["samples"]["hosts"][0]["cpus"]) == {2.0, 4.0}


def test_a_blocked_backend_is_blocked_here_too(cli: Cli, file: Path) -> None:
    (item,) = cli.items("--no-plugin", "mock", "sim", "run", str(file))
    assert {failure["code"] for failure in item["failures"]} == {"plugin-error"}


def test_no_file(cli: Cli, name_hosts: Callable[..., Any]) -> None:
    assert cli.error("sim", "run", code=2)["code"] == "usage"
