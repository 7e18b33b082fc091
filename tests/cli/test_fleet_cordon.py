"""``vhal fleet cordon`` and ``uncordon``: what they print, and who heeds them."""

from __future__ import annotations

from pathlib import Path

import pytest
import vhal_mock.world
from vhal_mock.world import World

import vhal
from tests.cli.harness import Cli

FILE = """
[hosts.a]
url = "mock:///a"
[hosts.b]
url = "mock:///b"
[hosts.c]
url = "mock:///c"
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fleet's: three hosts, two machines on the first."""
    world = World.from_spec(
        {
            "hosts": [{"name": name} for name in "abc"],
            "machines": [
                {"host": "a", "running": True, "spec": {"name": name, "cpus": 1, "memory": "4GiB"}}
                for name in ("web", "db")
            ],
        }
    )
    vhal_mock.world.swap_default(world)
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    monkeypatch.setenv("VHAL_FLEET", str(path))
    return path


def shown(cli: Cli) -> dict[str, tuple[str, str]]:
    return {host["name"]: (host["status"], host["reason"]) for host in cli.items("fleet", "hosts")}


def test_it_is_said_and_shown(cli: Cli) -> None:
    result = cli("fleet", "cordon", "b", "c", "--reason", "a fan is broken")
    assert result.stdout == "b is cordoned: a fan is broken\nc is cordoned: a fan is broken\n"
    lines = [" ".join(line.split()) for line in cli("fleet", "hosts").stdout.splitlines()]
    assert lines[2].startswith("b cordoned 0 ")
    assert lines[2].endswith(" a fan is broken")
    assert "cordoned" in cli("top", "--once").stdout
    assert cli("fleet", "uncordon", "b", "a").stdout == "b is used again\na wasn't cordoned\n"
    assert shown(cli) == {"a": ("up", ""), "b": ("up", ""), "c": ("cordoned", "a fan is broken")}


def test_as_json(cli: Cli) -> None:
    assert cli.items("fleet", "cordon", "b") == [{"host": "b", "cordoned": True, "reason": ""}]
    assert cli.items("fleet", "uncordon", "b", "c") == [
        {"host": "b", "cordoned": False},
        {"host": "c", "cordoned": False},
    ]


def test_the_other_commands_heed_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text('name = "new"\nmemory = "1GiB"\n')
    spec = str(tmp_path / "new.toml")
    cli("fleet", "cordon", "b", "--reason", "a fan")
    assert "status: it is cordoned: a fan" in cli("fleet", "explain", spec).stdout
    (plan,) = cli.items("fleet", "plan")
    assert {move["destination"] for move in plan["moves"]} == {"c"}
    (plan,) = cli.items("fleet", "drain", "a", "--dry-run")
    assert {move["destination"] for move in plan["moves"]} == {"c"}
    cli("fleet", "cordon", "c", "a")
    error = cli.error("fleet", "create", spec, code=4)
    assert error["code"] == "placement-refused"
    error = cli.error("fleet", "drain", "a", code=4)
    assert (error["code"], "'vhal fleet uncordon'" in error["hint"]) == ("insufficient", True)


def test_a_drained_host_is_used_again(cli: Cli) -> None:
    cli("fleet", "drain", "a")
    status, reason = shown(cli)["a"]
    assert status == "draining"
    assert reason.startswith("work ")
    assert cli("fleet", "uncordon", "a").stdout == "a is used again\n"
    assert shown(cli)["a"] == ("up", "")
    with vhal.connect("mock:///a") as host:
        assert host.machines() == []


def test_a_restored_host_is_no_longer_cordoned(cli: Cli) -> None:
    cli("fleet", "cordon", "a", "--reason", "a fan")
    cli("fleet", "drain", "a")
    assert shown(cli)["a"][1].startswith("a fan; work ")
    cli("fleet", "restore", "a")
    assert shown(cli)["a"] == ("up", "")


def test_what_it_refuses(cli: Cli, file: Path) -> None:
    for command in ("cordon", "uncordon"):
        error = cli.error("fleet", command, "b", "z", code=3)
        assert (error["code"], error["hint"]) == ("not-found", "there are a, b, c")
        assert cli("fleet", command, code=2).stderr
    assert shown(cli)["b"] == ("up", "")
    file.write_text(FILE + 'status = "cordoned"\nreason = "not ours"\n')
    error = cli.error("fleet", "uncordon", "c", code=4)
    assert error["code"] == "invalid-state"
    assert "'c' is cordoned where the fleet is described: not ours" in error["message"]
    assert error["hint"] == "take the status of c out there"
