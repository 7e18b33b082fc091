"""``vhal fleet apply``, ``drain``, ``restore``, ``evacuate``, ``resume``, ``watch``: words, output, exit codes."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import vhal_mock.world
from vhal_mock.world import World

import vhal
from tests.cli.harness import Cli
from vhal.driver.fault import Fault
from vhal.fleet.fleet import Fleet
from vhal.fleet.moves.applied import MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.moves.works import unfinished
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import FleetSnapshot
from vhal.journal import Journal

FILE = """
[hosts.a]
url = "mock:///a"
[hosts.b]
url = "mock:///b"
[hosts.c]
url = "mock:///c"
"""


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three hosts in the fleet's file, two machines on the first; a journal of the test's own."""
    spec = {"cpus": 1, "memory": "4GiB"}
    world = World.from_spec(
        {
            "hosts": [{"name": name} for name in "abc"],
            "machines": [{"host": "a", "running": True, "spec": {"name": name, **spec}} for name in ("web", "db")],
        }
    )
    vhal_mock.world.swap_default(world)
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    monkeypatch.setenv("VHAL_FLEET", str(path))
    monkeypatch.setenv("VHAL_JOURNAL", str(tmp_path / "journal.sqlite"))
    return world


def names(host: str) -> list[str]:
    with vhal.connect(f"mock:///{host}") as open_host:
        return sorted(machine.name for machine in open_host.machines())


def planned(tmp_path: Path) -> Path:
    with Fleet.load() as fleet:
        plan_drain(fleet.snapshot(), ["a"]).save(tmp_path / "plan.json")
    return tmp_path / "plan.json"


def test_a_drain_is_shown_made_and_taken_back(cli: Cli) -> None:
    shown = cli("fleet", "drain", "a", "--dry-run").stdout
    assert "a is being drained" in shown
    (plan,) = cli.items("fleet", "drain", "a", "--dry-run")
    assert plan["emptied"] == ["a"]
    assert names("a") == ["db", "web"]
    result = cli("fleet", "drain", "a", "--per-host", "1", "--bandwidth", "1GiB")
    assert [line.split()[3] for line in result.stdout.splitlines()[1:]] == ["moved", "moved"]
    # Where no bar can be drawn there is a line for each move as it ends.
    assert {line for line in result.stderr.splitlines() if line.endswith(": moved")} == {
        f"{row[0]}: {row[1]} → {row[2]}: moved" for row in map(str.split, result.stdout.splitlines()[1:])
    }
    assert "2 of 2 moves in" in result.stderr
    assert names("a") == []
    # It stays empty: another drain has only one host to go to.
    cli("fleet", "drain", "b")
    assert names("c") == ["db", "web"]
    cli("fleet", "restore", "b", "--empty")
    assert "bring" not in cli("fleet", "restore", "a", "--dry-run").stderr
    result = cli("fleet", "restore", "a", "--json")
    (applied,) = json.loads(result.stdout)["items"]
    assert [move["outcome"] for move in applied["moves"]] == ["moved", "moved"]
    assert result.stderr == ""
    assert names("a") == ["db", "web"]
    assert "nothing is to be brought back to a" in cli("fleet", "restore", "a").stderr


def test_what_stays_is_told(cli: Cli, world: World) -> None:
    world.inject(Fault(at="migration.transfer.round", machine="web", times=None))
    result = cli("fleet", "drain", "a", code=1)
    assert "1 of" in result.stderr
    assert "an injected fault" in result.stderr
    assert names("a") == ["web"]
    (applied,) = cli.items("fleet", "restore", "a")
    assert [move["move"]["machine"] for move in applied["moves"]] == ["db"]


def test_strictly_or_not_at_all(cli: Cli) -> None:
    error = cli.error("fleet", "drain", "a", "b", "c", code=4)
    assert error["code"] == "insufficient"
    assert "no other host takes machines" in error["message"]
    for name in "bc":
        with vhal.connect(f"mock:///{name}") as host:
            host.create(vhal.MachineSpec(name=f"on-{name}", memory="62GiB"))
    error = cli.error("fleet", "drain", "a", "--strict", code=4)
    assert "2 of 2 machines find no place" in error["message"]
    assert names("a") == ["db", "web"]
    assert cli.error("fleet", "drain", "z", code=3)["code"] == "not-found"
    assert cli.error("fleet", "restore", "z", code=3)["code"] == "not-found"


def test_who_switches_a_host_off_by_a_script_is_told_that_it_is_not_empty(cli: Cli, world: World) -> None:
    with vhal.connect("mock:///a") as host:
        host.create(vhal.MachineSpec(name="huge", memory="55GiB"))
        for name in "bc":
            with vhal.connect(f"mock:///{name}") as other:
                other.create(vhal.MachineSpec(name=f"on-{name}", memory="35GiB"))
    assert cli("fleet", "drain", "a", "--dry-run").exit_code == 0
    result = cli("fleet", "drain", "a", "--json", code=4)
    assert [move["outcome"] for move in json.loads(result.stdout)["items"][0]["moves"]] == ["moved", "moved"]
    error = json.loads(result.stderr)
    assert error["code"] == "insufficient"
    assert "1 machines are still there: huge stays on a: no host takes it" in error["message"]
    assert names("a") == ["huge"]


def test_a_plan_from_a_file(cli: Cli, tmp_path: Path) -> None:
    path = planned(tmp_path)
    assert "web" in cli("fleet", "apply", str(path), "--dry-run").stdout
    (applied,) = cli.items("fleet", "apply", str(path), "--cold", "--at-once", "1")
    assert [move["outcome"] for move in applied["moves"]] == ["moved", "moved"]
    error = cli.error("fleet", "apply", str(path), code=4)
    assert error["code"] == "plan-outdated"
    assert any("machine web was on a and is on" in line for line in error["differences"])
    assert cli.error("fleet", "apply", str(path), "--dry-run", code=4)["code"] == "plan-outdated"
    assert (
        "'--at-once': 0 is not in the range"
        in cli.error("fleet", "apply", str(path), "--at-once", "0", code=2)["message"]
    )
    error = cli.error("fleet", "apply", str(planned(tmp_path)), "--bandwidth", "lots", code=2)
    assert error["hint"].endswith("live-migration.md has every setting")


@pytest.mark.parametrize("text", ["{}", "no json", '{"snapshot": "x", "moves": [{}]}'])
def test_what_is_no_plan(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    error = cli.error("fleet", "apply", str(tmp_path / "plan.json"), code=2)
    assert error["code"] == "invalid-spec"
    assert error["hint"] == "name a file of 'vhal fleet plan --output FILE', or make one anew"
    assert cli.error("fleet", "apply", str(tmp_path / "none.json"), code=3)["hint"]


def test_what_json_prints_is_no_file_of_a_plan(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(cli("fleet", "drain", "a", "--dry-run", "--json").stdout)
    error = cli.error("fleet", "apply", str(tmp_path / "plan.json"), code=2)
    assert error["hint"] == "that is what --json prints; 'vhal fleet plan --output FILE' writes the file"


class Killed(BaseException):
    pass


def killed(tmp_path: Path) -> str:
    """Let a process die after the first of two moves; return the work's id."""

    def die(event: MoveEvent) -> None:
        if event.kind == "ended":
            raise Killed

    from vhal.fleet.moves.applied import ApplySettings

    with Fleet.load() as fleet, Journal() as journal:
        plan = Plan.load(planned(tmp_path))
        with pytest.raises(Killed):
            apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=die)
        (work,) = unfinished(journal)
    return work.id


def test_what_was_left_in_the_middle_is_listed_and_gone_on_with(cli: Cli, tmp_path: Path) -> None:
    assert cli.items("fleet", "resume") == []
    work = killed(tmp_path)
    (listed,) = cli.items("fleet", "resume")
    assert sorted(listed.pop("hosts")) == ["a", "b", "c"]
    assert listed == {"work": work, "kind": "drain", "moves": 2, "open": 1}
    assert cli("fleet", "resume").stdout.splitlines()[1].split() == [work, "drain", "a,b,c", "2", "1"]
    (applied,) = cli.items("fleet", "resume", work)
    assert [move["outcome"] for move in applied["moves"]] == ["moved", "moved"]
    assert names("a") == []
    assert cli.error("fleet", "resume", work, code=3)["code"] == "not-found"


def test_a_dead_host_is_evacuated_only_when_it_is_fenced(cli: Cli, tmp_path: Path, world: World) -> None:
    last, specs = tmp_path / "last.json", tmp_path / "specs"
    (captured,) = cli.items("fleet", "capture", str(last), "--specs", str(specs))
    assert captured["specs"] == 2
    assert stat.S_IMODE((specs / "a" / "web.json").stat().st_mode) == 0o600
    (specs / "a" / "db.json").unlink()
    words = ("fleet", "evacuate", "a", "--last", str(last), "--specs", str(specs / "a"))
    assert cli.error(*words[:-1], str(tmp_path / "none"), code=3)["code"] == "not-found"
    assert cli.error(*words, "--fenced", "power cut", code=5)["code"] == "not-fenced"
    world.inject(Fault(at="describe.begin", kind="host-crash", host="a"))
    shown = cli(*words, "--dry-run").stdout
    assert "1. web  a → " in shown
    assert "db isn't started elsewhere: what it was made from isn't known here" in " ".join(shown.split())
    assert cli.error(*words, code=5)["code"] == "not-fenced"
    # Who evacuates by a script must not believe that all machines run again.
    told = cli(*words, "--fenced", "power cut at the switch", "--json", code=4)
    (applied,) = json.loads(told.stdout)["items"]
    assert [move["outcome"] for move in applied["moves"]] == ["moved"]
    assert applied["notes"][0].startswith("left: db isn't started elsewhere")
    assert "1 machines that ran on a run nowhere: db isn't" in json.loads(told.stderr)["message"]
    assert "web" in names("b") + names("c")
    (specs / "a" / "db.toml").write_text('name = "db"\nmemory = "4GiB"\n')
    cli(*words, "--fenced", "power cut at the switch")
    assert "db" in names("b") + names("c")


def test_two_specs_of_one_machine(cli: Cli, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text('name = "web"\n')
    words = ("fleet", "evacuate", "a", "--last", str(tmp_path / "last.json"), "--specs", str(tmp_path))
    (tmp_path / "fleet.toml").unlink()
    error = cli.error(*words, code=2)
    assert error["message"] == f"{tmp_path / 'one.toml'} and {tmp_path / 'two.toml'} are both of machine 'web'"
    assert error["hint"]


def test_a_machine_that_leaves_while_specs_are_kept(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = vhal.Machine.info

    def leave(each: vhal.Machine) -> vhal.MachineInfo:
        if each.name == "web":
            each.delete(force=True)
        return told(each)

    monkeypatch.setattr(vhal.Machine, "info", leave)
    words = ("fleet", "capture", str(tmp_path / "last.json"), "--specs", str(tmp_path / "specs"))
    assert cli.items(*words)[0]["specs"] == 1
    assert [path.name for path in (tmp_path / "specs" / "a").iterdir()] == ["db.json"]


def test_specs_of_machines_that_vhal_did_not_make(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = vhal.Machine.info
    monkeypatch.setattr(vhal.Machine, "info", lambda each: told(each).model_copy(update={"spec": None}))
    words = ("fleet", "capture", str(tmp_path / "last.json"), "--specs")
    printed = cli(*words, str(tmp_path / "specs"))
    assert printed.stdout.endswith("3 hosts, 2 machines, 0 specs\n")
    assert "warning: vhal didn't make " in printed.stderr
    error = cli.error(*words, str(tmp_path / "last.json" / "specs"), code=6)
    assert (error["code"], "can't be made" in error["message"]) == ("access-denied", True)


# a plan in a file


def test_a_drain_is_planned_by_one_and_carried_out_by_another(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "drain.json"
    with vhal.connect("mock:///a") as host:
        host.create(vhal.MachineSpec(name="huge", memory="55GiB"))
    for name in "bc":
        with vhal.connect(f"mock:///{name}") as other:
            other.create(vhal.MachineSpec(name=f"on-{name}", memory="35GiB"))
    cli("fleet", "drain", "a", "--dry-run", "--output", str(path))
    assert names("a") == ["db", "huge", "web"]
    error = json.loads(cli("fleet", "apply", str(path), "--json", code=4).stderr)
    assert "1 machines are still there: huge stays on a" in error["message"]
    with vhal.connect("mock:///b") as other:
        other.create(vhal.MachineSpec(name="late", memory="24GiB"))
    (back,) = cli.items("fleet", "restore", "a", "--dry-run", "-o", str(path))
    assert Plan.load(path).kind == "restore"
    (applied,) = cli.items("fleet", "apply", str(path))
    assert applied["notes"] == back["notes"] == []
    assert names("a") == ["db", "huge", "web"]


# watching


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Callable[[FleetSnapshot], Plan]:
    """A stand-in for the balancer, which moves everything off a."""

    def plan(now: FleetSnapshot) -> Plan:
        return plan_drain(now, ["a"]).model_copy(update={"kind": "balance", "emptied": ()})

    monkeypatch.setattr("vhal.fleet.watch.watch.plan_balance", lambda now, settings: plan(now))
    return plan


def test_a_cool_fleet_is_watched(cli: Cli) -> None:
    assert cli("fleet", "watch", "--looks", "1").stdout.split(maxsplit=1)[1] == "cool: no load is known yet\n"
    told = json.loads(cli("fleet", "watch", "--looks", "1", "--json").stdout)
    assert (told["decision"], told["hot"], told["moves"]) == ("cool", [], [])


@pytest.mark.usefixtures("planner")
def test_a_hot_fleet_is_cooled(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal.fleet.watch.watch.heats", lambda snapshot: {"a": 0.95})
    policy = tmp_path / "policy.toml"
    policy.write_text("hold = 1\nevery_s = 1\n")
    told = json.loads(cli("fleet", "watch", "--policy", str(policy), "--looks", "1", "--dry-run", "--json").stdout)
    assert (told["decision"], len(told["moves"])) == ("planned", 2)
    lines = cli("fleet", "watch", "--policy", str(policy), "--looks", "1").stdout.splitlines()
    assert lines[0].endswith("moved: 2 of 2 moves in " + lines[0].split()[-2] + " s")
    assert names("a") == []


def test_what_a_watch_could_not_move_is_told(
    cli: Cli, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vhal.fleet.watch.watch.heats", lambda snapshot: {"a": 0.95})
    monkeypatch.setattr(
        "vhal.fleet.watch.watch.plan_balance",
        lambda now, settings: plan_drain(now, ["a"]).replace(kind="balance", emptied=()),
    )
    world.inject(Fault(at="migration.transfer.round", machine="web", times=None))
    policy = tmp_path / "policy.toml"
    policy.write_text("hold = 1\ncool_down_s = 0\n[apply]\nreplans = 0\n")
    words = ("fleet", "watch", "--policy", str(policy), "--looks", "1")
    lines = cli(*words).stdout.splitlines()
    assert "moved: 1 of 2 moves in " in lines[0]
    assert "web: failed: machine 'web' could not be moved" in lines[-1]
    assert "an injected fault" in lines[-1]
    applied = json.loads(cli(*words, "--json").stdout)["applied"]
    assert [(each["move"]["machine"], each["outcome"]) for each in applied["moves"]] == [("web", "failed")]


def test_a_policy_that_makes_no_sense(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("hot = 7")
    assert cli.error("fleet", "watch", "--policy", str(tmp_path / "policy.toml"), code=2)["code"] == "invalid-spec"
    assert cli.error("fleet", "watch", "--policy", str(tmp_path / "none.toml"), code=3)["code"] == "not-found"


def test_a_policy_of_habits_is_watched_by(cli: Cli, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('policy = "cool"\nevery_s = 1\n[cool]\nempty = false\n')
    lines = cli("fleet", "watch", "--policy", str(policy), "--looks", "2", "--dry-run").stdout.splitlines()
    assert lines[0].endswith("cool: no load is known yet")
    policy.write_text('policy = "cool"\nhot = 0.9\n')
    error = cli.error("fleet", "watch", "--policy", str(policy), code=2)
    assert 'hot: it is a setting of policy = "balance", and the policy is "cool"' in error["message"]


def test_handlers_of_signals_are_put_back(cli: Cli) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli("fleet", "watch", "--looks", "1")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_watch_serves_its_moves(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is served while a look is made is read where the line of that look is printed."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    from vhal.cli.fleet import watch

    served: list[str] = []
    notes: list[str] = []
    monkeypatch.setattr("vhal.cli.context.Session.note", lambda _, text: notes.append(text))
    monkeypatch.setattr("vhal.fleet.watch.watch.heats", lambda snapshot: {"a": 0.95})
    monkeypatch.setattr(
        "vhal.fleet.watch.watch.plan_balance",
        lambda now, settings: plan_drain(now, ["a"]).replace(kind="balance", emptied=()),
    )

    def read(*_: object) -> None:
        where = urlsplit(notes[0].removeprefix("serving "))
        connection = HTTPConnection(where.netloc, timeout=60)
        connection.request("GET", where.path)
        served.append(connection.getresponse().read().decode())
        connection.close()

    monkeypatch.setattr(watch, "_tell", read)
    (tmp_path / "policy.toml").write_text("hold = 1\nevery_s = 1\n")
    cli("fleet", "watch", "--policy", str(tmp_path / "policy.toml"), "--looks", "1", "--metrics", "127.0.0.1:0")
    assert 'vhal_moves_total{outcome="moved"} 2.0' in served[0]
    assert 'vhal_host_status{host="a",status="up"} 1.0' in served[0]
    assert "is no address" in cli.error("fleet", "watch", "--metrics", "here", code=2)["message"]
