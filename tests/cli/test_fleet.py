"""``vhal fleet``: which fleet is meant, what is printed, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import vhal
from tests.cli.harness import Cli
from vhal.fleet.snapshot import FleetSnapshot

FILE = """
[hosts.alpha]
url = "mock:///a"
labels = { rack = "r1" }

[hosts.beta]
url = "mock:///b"
status = "cordoned"
reason = "a fan is broken"
"""

GONE = """
[hosts.gone]
url = "mock://nowhere/x"
"""


@pytest.fixture(autouse=True)
def fleet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the file that is used when none is named; before that there is none."""
    monkeypatch.delenv("VHAL_FLEET", raising=False)

    def write(text: str) -> Path:
        path = tmp_path / "fleet.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "web.toml"
    path.write_text('name = "web"\ncpus = 2\nmemory = "4GiB"\nlabels = { team = "blue" }\n')
    return str(path)


# which fleet


def test_the_file_beside_the_named_hosts_is_the_fleet(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    fleet_file(FILE)
    assert [item["name"] for item in cli.items("fleet", "hosts")] == ["alpha", "beta"]


def test_a_file_can_be_named(
    cli: Cli, fleet_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fleet_file(GONE).rename(tmp_path / "other.toml")
    assert [item["name"] for item in cli.items("fleet", "hosts", "--fleet", str(other))] == ["gone"]
    monkeypatch.setenv("VHAL_FLEET", str(other))
    assert [item["name"] for item in cli.items("fleet", "hosts")] == ["gone"]


def test_urls_can_be_named(cli: Cli) -> None:
    found = cli.items("fleet", "hosts", "--url", "mock:///a", "--url", "mock:///b")
    assert [item["name"] for item in found] == ["a", "b"]
    assert [item["name"] for item in cli.items("fleet", "hosts", "-H", "mock:///b")] == ["b"]


def test_else_the_named_hosts_are_the_fleet(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(one="mock:///a", two="mock:///b")
    assert [item["name"] for item in cli.items("fleet", "hosts")] == ["one", "two"]


def test_no_fleet_and_two_fleets(cli: Cli) -> None:
    error = cli.error("fleet", "hosts", code=2)
    assert error["message"] == "no fleet is given"
    assert "fleet.toml" in error["hint"]
    assert "more than one" in cli.error("fleet", "hosts", "--url", "mock:///a", "--fleet", "f", code=2)["message"]


def test_a_file_that_is_wrong_is_named(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    path = fleet_file(FILE + "rak = 1\n")
    error = cli.error("fleet", "hosts", code=2)
    assert error["code"] == "invalid-config"
    assert f"{path}: hosts.beta.rak: there is no such field" in error["message"]
    assert cli.error("fleet", "hosts", "--fleet", "nowhere.toml", code=3)["code"] == "not-found"


# what is printed


def test_hosts(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    fleet_file(FILE + GONE)
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="db", cpus=3, memory="2GiB"))
    lines = [" ".join(line.split()) for line in cli("fleet", "hosts").stdout.splitlines()]
    assert lines[:3] == [
        "NAME STATUS MACHINES CPUS MEMORY LABELS WHY",
        "alpha up 1 3/64 2 GiB/64 GiB rack=r1",
        "beta cordoned 0 0/64 0 B/64 GiB a fan is broken",
    ]
    assert lines[3].startswith("gone unreachable there is no mock world")
    assert [item["name"] for item in cli.items("fleet", "hosts", "--select", "status!=up,!rack")] == ["beta", "gone"]
    assert cli.error("fleet", "hosts", "--select", "a==b", code=2)["code"] == "invalid-spec"


def test_machines(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    fleet_file(FILE)
    host = vhal.connect("mock:///a")
    busy = {"mock": {"workload": {"profile": "constant", "level": 0.5}}}
    host.create(vhal.MachineSpec(name="web", cpus=2, labels={"team": "blue"}, options=busy)).start()
    host.create(vhal.MachineSpec(name="db"))
    lines = [line.split() for line in cli("fleet", "machines").stdout.splitlines()]
    assert lines[1][:4] == ["web", "running", "2", "1.00"]
    assert lines[2][:4] == ["db", "stopped", "1", "-"]
    (item,) = cli.items("fleet", "machines", "--select", "team=blue", "--over", "2s")
    assert (item["name"], item["host"], item["load"]["cpus"]) == ("web", "alpha", 1.0)


def test_machines_of_hosts_that_do_not_answer(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    fleet_file(FILE + GONE)
    assert "warning: gone doesn't answer: there is no mock world" in cli("fleet", "machines", code=6).stderr


def test_report(cli: Cli, fleet_file: Callable[[str], Path]) -> None:
    fleet_file(FILE)
    busy = {"mock": {"workload": {"profile": "constant", "level": 0.5}}}
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="db", cpus=4, memory="2GiB", options=busy)).start()
    lines = [" ".join(line.split()) for line in cli("fleet", "report").stdout.splitlines()]
    assert lines[1].startswith("alpha up 1/1 16 4 2 2 60 64 GiB 2 GiB")
    (item,) = cli.items("fleet", "report")
    assert item["fleet"]["cpus"] == {"bought": 32.0, "allocated": 4.0, "free": 60.0, "used": 2.0}
    assert item["fleet"]["wasted"]["cpus"] == 2.0


def test_explain_and_create(cli: Cli, fleet_file: Callable[[str], Path], spec: str) -> None:
    fleet_file(FILE)
    lines = cli("fleet", "explain", spec).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["HOST", "alpha", "beta"]
    assert lines[2].endswith("status: it is cordoned: a fan is broken")
    (item,) = cli.items("fleet", "explain", spec, "--policy", "pack")
    assert item["chosen"] == "alpha"
    assert "web is running on mock:///a" in cli("fleet", "create", spec, "--start").stderr
    (item,) = cli.items("fleet", "create", spec, "--name", "web2")
    assert item["name"] == "web2"


def test_no_host_can_take_it(cli: Cli, fleet_file: Callable[[str], Path], spec: str) -> None:
    fleet_file(FILE)
    result = cli("fleet", "explain", spec, "--on", "rack=r9", code=4)
    assert "no host can take machine 'web': alpha isn't rack=r9; beta is cordoned" in result.stderr
    error = cli.error("fleet", "create", spec, "--on", "rack=r9", code=4)
    assert error["code"] == "placement-refused"
    assert error["explanation"]["verdicts"][0]["against"] == {"labels": "isn't rack=r9"}


def test_capture(cli: Cli, fleet_file: Callable[[str], Path], tmp_path: Path) -> None:
    fleet_file(FILE + GONE)
    labels = {"team": "blue", "password": "correct-horse-battery"}
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="db", labels=labels))
    path = tmp_path / "fleet.json"
    result = cli("fleet", "capture", str(path))
    assert result.stdout.strip() == f"{path}: 3 hosts, 1 machines"
    assert "gone doesn't answer" in result.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert "correct-horse" not in path.read_text()
    found = FleetSnapshot.load(path)
    assert (found.machines[0].labels["team"], found.host("gone").status) == ("blue", "unreachable")
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(vhal.VhalError, match="format 9, and this vhal reads 1"):
        FleetSnapshot.load(path)
