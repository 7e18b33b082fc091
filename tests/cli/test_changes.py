"""resize, snapshot and stats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import vhal_mock.world

import vhal
from tests.cli.harness import Cli


def test_resize(cli: Cli, web: vhal.Machine) -> None:
    assert cli("resize", "web", "--cpus", "2").stderr == "web has 2 processors and 1 GiB of memory\n"
    (item,) = cli.items("machine", "resize", "web", "--memory", "2GiB")
    assert (item["cpus"], item["memory"]) == (2, 2 << 30)
    assert cli.error("resize", "web", code=2)["code"] == "invalid-spec"
    assert cli.error("resize", "web", "--memory", "2 apples", code=2)["problems"][0]["path"] == "memory"
    assert cli.error("resize", "web", "--memory", "1TiB", code=4)["code"] == "insufficient"


def test_snapshots(cli: Cli, web: vhal.Machine) -> None:
    assert cli("snapshot", "create", "web", "one").stderr == "web is kept as one on mock:///a\n"
    web.start()
    (item,) = cli.items("snapshot", "create", "web", "two", "--memory")
    assert (item["machine"], item["name"], item["memory"]) == ("web", "two", True)
    lines = cli("snapshot", "list", "web").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["SNAPSHOT", "MEMORY"], ["one", "no"], ["two", "yes"]]
    assert [item["name"] for item in cli.items("snapshot", "list", "web")] == ["one", "two"]
    assert "stop() it first" in cli.error("snapshot", "revert", "web", "one", code=4)["hint"]
    web.stop(force=True)
    assert "web is stopped" in cli("snapshot", "revert", "web", "one").stderr
    assert "web is running" in cli("snapshot", "revert", "web", "two").stderr
    assert "is deleted" in cli("snapshot", "delete", "web", "one").stderr
    assert cli.items("snapshot", "delete", "web", "two")[0]["name"] == "two"
    assert cli.error("snapshot", "delete", "web", "two", code=3)["code"] == "not-found"
    assert cli.error("snapshot", "create", "web", "a/b", code=2)["code"] == "invalid-spec"
    assert "revert" in cli("snapshot", "--help").stdout


class TestStats:
    def test_once(self, cli: Cli, web: vhal.Machine) -> None:
        assert cli.items("stats") == []
        web.start()
        vhal_mock.world.find(None).clock.spend(20)
        header, row = cli("stats", "web").stdout.splitlines()
        assert header.split()[:3] == ["NAME", "CPU", "MEMORY"]
        assert row.split() == ["web", "2.0", "s", "256", "MiB", *["0", "B"] * 4, "0", "mock:///a"]
        (item,) = cli.items("stats")
        assert (item["name"], item["cpu_s"], item["read"]) == ("web", 2.0, 0)
        assert cli.error("stats", "nobody", code=3)["code"] == "not-found"

    def test_again_and_again(self, cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        web.start()
        monkeypatch.setattr("time.sleep", vhal_mock.world.find(None).clock.spend)
        lines = cli("stats", "--watch", "--count", "2", "--every", "4s").stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["CPU", "-", "CPU", "0.10"]
        told = [json.loads(line) for line in cli("stats", "--watch", "--count", "2", "--json").stdout.splitlines()]
        assert told[0]["rates"] is None
        assert told[1]["rates"]["cpus"] == pytest.approx(0.1)

    def test_a_dead_host_doesnt_keep_the_others(
        self, cli: Cli, name_hosts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name_hosts(a="mock:///a", gone="mock://nowhere/x")
        vhal.connect("mock:///a").create(vhal.MachineSpec(name="web")).start()
        result = cli("stats")
        assert "web" in result.stdout
        assert "warning:" in result.stderr
