"""Fleets, snapshots and plans that are wrong: a typed error with a hint, its exit code, and nothing is moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vhal_mock.world
from vhal_mock.world import World

import vhal
from tests.cli.harness import Cli
from vhal.fleet.fleet import Fleet
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import FleetSnapshot

FILE = """
[defaults]
overcommit = 4
[hosts.a]
url = "mock:///a"
[hosts.b]
url = "mock:///b"
"""
DEAD = """
[hosts.dead]
url = "mock://nowhere/x"
"""
TOGETHER = """
[[rules]]
kind = "together"
machines = "team=blue"
[[rules]]
kind = "apart"
machines = "team=blue"
"""


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two hosts, two machines on the first; whatever a test does, each is where it was after it."""
    spec = {"cpus": 1, "memory": "4GiB", "labels": {"team": "blue"}}
    world = World.from_spec(
        {
            "hosts": [{"name": name} for name in "abc"],
            "machines": [{"host": "a", "running": True, "spec": {"name": name, **spec}} for name in ("web", "db")],
        }
    )
    vhal_mock.world.swap_default(world)
    monkeypatch.setenv("VHAL_JOURNAL", str(tmp_path / "journal.sqlite"))
    monkeypatch.delenv("VHAL_FLEET", raising=False)
    yield world
    with vhal.connect("mock:///a") as host:
        assert sorted(machine.name for machine in host.machines()) == ["db", "web"]


@pytest.fixture
def fleet_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "fleet.toml"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return write


EVERY = [("plan",), ("drain", "a"), ("create", "SPEC"), ("watch", "--looks", "1"), ("apply", "PLAN"), ("restore", "a")]


def words(command: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    spec, plan = tmp_path / "spec.toml", tmp_path / "plan.json"
    spec.write_text('name = "new"\nmemory = "1GiB"\n')
    with Fleet({"a": "mock:///a", "b": "mock:///b"}) as fleet:
        fleet.plan_drain("a").save(plan)
    return tuple({"SPEC": str(spec), "PLAN": str(plan)}.get(word, word) for word in command)


@pytest.mark.parametrize("command", EVERY, ids=[command[0] for command in EVERY])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[hosts.c]\nurl = "mock:///a"\n', "'a' and 'c' are one host"),
        (TOGETHER, "contradict each other"),
        ('[hosts.c]\nurl = "nobody"\n', "no host named 'nobody'"),
        ("[[rules]]\nkind = 'apart'\nmachines = 'team'\ndomain = 'rack'\n", "is no label of any host"),
        ("[[rules]]\nkind = 'only'\nmachines = 'team'\nhosts = 'name=z'\n", "leaves no host for machines 'team'"),
    ],
)
def test_a_file_that_makes_no_sense_stops_every_command(
    cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str], command: tuple[str, ...], more: str, said: str
) -> None:
    code = 3 if "nobody" in more else 2
    error = cli.error("fleet", *words(command, tmp_path), "--fleet", fleet_file(FILE + more), code=code)
    assert error["code"] == ("not-found" if code == 3 else "invalid-config")
    assert said in error["message"]
    assert error["hint"]


def test_a_host_that_is_there_under_another_address(cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str]) -> None:
    fleet = fleet_file(FILE + '[hosts.again]\nurl = "mock:///"\n')
    for command in [("hosts",), *EVERY]:
        if "watch" not in command:
            error = cli.error("fleet", *words(command, tmp_path), "--fleet", fleet, code=2)
            assert error["code"] == "invalid-config"
            assert "'a' and 'again' are one host: both have the uuid" in error["message"]
            assert error["hint"].startswith("leave one of them out of the fleet")
    # Who watches a fleet goes on watching: its hosts may be mended.
    look = json.loads(cli("fleet", "watch", "--looks", "1", "--fleet", fleet, "--json").stdout)
    assert (look["decision"], "'a' and 'again' are one host" in look["reason"]) == ("failed", True)


def test_a_dead_host_is_told_of_and_nothing_is_planned_with_it(cli: Cli, fleet_file: Callable[[str], str]) -> None:
    fleet = fleet_file(FILE + DEAD)
    (plan,) = cli.items("fleet", "plan", "--fleet", fleet)
    warned = cli("fleet", "plan", "--fleet", fleet).stderr
    assert "warning: dead doesn't answer: there is no mock world" in warned
    assert {move["destination"] for move in plan["moves"]} <= {"b"}
    for command, code, named in (("drain", 2, "invalid-spec"), ("restore", 6, "host-unreachable")):
        error = cli.error("fleet", command, "dead", "--fleet", fleet, code=code)
        assert error["code"] == named
        assert "there is no mock world" in error["message"]
        assert error["hint"]


def test_where_no_host_answers_there_is_nothing_to_plan(cli: Cli, fleet_file: Callable[[str], str]) -> None:
    error = cli.error("fleet", "plan", "--fleet", fleet_file(DEAD), code=6)
    assert error["code"] == "host-unreachable"
    assert "no host of the fleet answers: dead: there is no mock world" in error["message"]
    assert error["hint"]


def test_a_host_that_is_not_in_the_fleet(cli: Cli, fleet_file: Callable[[str], str]) -> None:
    for command in ("drain", "restore"):
        error = cli.error("fleet", command, "z", "--fleet", fleet_file(FILE), code=3)
        assert (error["code"], error["hint"]) == ("not-found", "there are a, b")


def test_a_machine_that_is_larger_than_any_host(cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str]) -> None:
    (tmp_path / "huge.toml").write_text('name = "huge"\nmemory = "4TiB"\n')
    error = cli.error("fleet", "create", str(tmp_path / "huge.toml"), "--fleet", fleet_file(FILE), code=4)
    assert error["code"] == "placement-refused"
    assert "larger than any host: it wants 4 TiB of memory, and the largest has 64 GiB" in error["message"]
    assert "make it smaller" in error["hint"]
    told = cli("fleet", "explain", str(tmp_path / "huge.toml"), "--fleet", fleet_file(FILE), code=4).stderr
    assert "larger than any host" in told
    assert "hint: make it smaller, or add a larger host to the fleet" in told


def test_rules_that_leave_no_host_say_what_there_is_to_choose_from(cli: Cli, fleet_file: Callable[[str], str]) -> None:
    rule = "[[rules]]\nkind = 'only'\nmachines = 'team'\nhosts = 'rack=r9'\n"
    many = "".join(f'[hosts.h{n}]\nurl = "mock:///h{n}"\nlabels = {{ rack = "r{n}" }}\n' for n in range(3, 12))
    said = [
        cli.error("fleet", "hosts", "--fleet", fleet_file(FILE + hosts + rule.replace("r9", "r99")), code=2)["hint"]
        for hosts in ("", many)
    ]
    assert said[0] == "let at least one be left: there are a, b, with backend=mock, status=up"
    assert said[1].startswith("let at least one be left: there are a, b, h3, h4, h5, h6, h7, h8, h9, h10, …, with ")
    assert "rack=r3" in said[1]


def test_a_dead_host_is_said_to_be_cordoned_too(cli: Cli, fleet_file: Callable[[str], str]) -> None:
    fleet = fleet_file(FILE + DEAD)
    cli("fleet", "cordon", "dead", "--fleet", fleet)
    seen = {host["name"]: host["reason"] for host in cli.items("fleet", "hosts", "--fleet", fleet)}
    assert seen["dead"].endswith("; it is cordoned, too")


@pytest.mark.parametrize("format", [0, 2, "x"])
def test_a_snapshot_of_another_version(cli: Cli, tmp_path: Path, format: object) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps({"format": format, "hosts": []}))
    error = cli.error("fleet", "plan", "--from", str(path), code=2)
    assert error["code"] == "invalid-spec"
    assert f"it is of format {format}, and this vhal reads 1: make it anew, or update" in error["message"]
    assert error["hint"]


@pytest.mark.parametrize("format", [0, 2, "x"])
@pytest.mark.parametrize("command", ["apply", "show"])
def test_a_plan_of_another_version(cli: Cli, tmp_path: Path, format: object, command: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"format": format, "snapshot": ""}))
    error = cli.error("fleet", command, str(path), code=2)
    assert error["code"] == "invalid-spec"
    assert f"it is of format {format}, and this vhal reads 1: make it anew, or update" in error["message"]
    assert "'vhal fleet plan --output FILE'" in error["hint"]


def test_snapshots_and_plans_say_of_which_version_they_are(
    cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str]
) -> None:
    snapshot, plan, drain = (tmp_path / f"{name}.json" for name in ("fleet", "plan", "drain"))
    cli("fleet", "capture", str(snapshot), "--fleet", fleet_file(FILE))
    cli("fleet", "plan", "--from", str(snapshot), "--output", str(plan))
    with Fleet({"a": "mock:///a", "b": "mock:///b"}) as fleet:
        made = fleet.plan_drain("a")
    made.save(drain)
    assert [json.loads(path.read_text())["format"] for path in (snapshot, plan, drain)] == [1, 1, 1]
    assert Plan.load(drain) == made


def test_a_snapshot_whose_rules_contradict_each_other(
    cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str]
) -> None:
    path = tmp_path / "fleet.json"
    cli("fleet", "capture", str(path), "--fleet", fleet_file(FILE))
    data = FleetSnapshot.load(path).model_dump(mode="json", exclude_defaults=True)
    rules = [{"kind": kind, "machines": "team=blue"} for kind in ("together", "apart")]
    path.write_text(json.dumps({**data, "rules": rules}))
    error = cli.error("fleet", "plan", "--from", str(path), code=2)
    assert error["code"] == "invalid-config"
    assert "contradict each other" in error["message"]


def test_a_plan_whose_fleet_has_changed(
    cli: Cli, tmp_path: Path, fleet_file: Callable[[str], str], world: World
) -> None:
    _, plan = words(("apply", "PLAN"), tmp_path)
    with vhal.connect("mock:///b") as host:
        host.create(vhal.MachineSpec(name="late", memory="1GiB"))
    for more in ((), ("--dry-run",)):
        error = cli.error("fleet", "apply", plan, "--fleet", fleet_file(FILE), *more, code=4)
        assert error["code"] == "plan-outdated"
        assert "host b had 0 machines and has 1" in error["message"]
        assert error["differences"] == ["host b had 0 machines and has 1"]
        assert "plan again" in error["hint"]


def test_two_sources_of_a_fleet(cli: Cli, tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.json")
    error = cli.error("fleet", "plan", "--from", path, "--url", "mock:///a", code=2)
    assert "a file and a live fleet" in error["message"]
    assert "--util is given without" in cli.error("fleet", "plan", "--util", path, code=2)["message"]
