"""list, show, delete, and the commands that change a machine's state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

import vhal
import vhal.cli.machine
from tests.cli.harness import Cli
from vhal.cli.app import MACHINES, app

ITEM = {"host", "id", "name", "kind", "state", "cpus", "memory", "labels", "managed", "epoch"}


def test_list_is_a_table(cli: Cli, web: vhal.Machine) -> None:
    assert cli("list").stdout.splitlines() == [
        "NAME  KIND  STATE    CPUS  MEMORY  HOST",
        "web   vm    stopped  1     1 GiB   mock:///a",
    ]


def test_list_of_nothing_is_the_headers(cli: Cli, on_a: vhal.Host) -> None:
    assert len(cli("list").stdout.splitlines()) == 1
    assert cli.items("list") == []


def test_list_for_programs(cli: Cli, web: vhal.Machine) -> None:
    (item,) = cli.items("list")
    assert set(item) == ITEM
    assert (item["name"], item["memory"], item["host"]) == ("web", 1 << 30, "mock:///a")


def test_list_by_label(cli: Cli, web: vhal.Machine, on_a: vhal.Host) -> None:
    on_a.create(vhal.MachineSpec(name="db"))
    assert [item["name"] for item in cli.items("list", "--label", "tier=front")] == ["web"]
    assert cli.items("list", "--label", "tier=back") == []


def test_options_stand_before_or_after_the_command(cli: Cli, web: vhal.Machine) -> None:
    before = cli("--json", "-H", "mock:///a", "list").stdout
    assert before == cli("list", "--json", "-H", "mock:///a").stdout
    assert before == cli("machine", "--json", "list", "-H", "mock:///a").stdout


def test_the_later_host_wins(cli: Cli, web: vhal.Machine) -> None:
    assert cli.items("-H", "mock:///b", "list", "-H", "mock:///a")


def test_show(cli: Cli, web: vhal.Machine) -> None:
    text = cli("show", "web").stdout
    assert "labels        tier=front" in text
    assert "memory        1 GiB" in text


def test_show_tells_of_disks_and_cards(cli: Cli, on_a: vhal.Host) -> None:
    on_a.create(vhal.MachineSpec(name="web", disks=[vhal.Disk(size="1GiB")], nics=[vhal.Nic(bridge="br0")]))
    text = cli("show", "web").stdout
    assert "disk 0        size=1 GiB, format=qcow2" in text
    assert "nic 0         bridge=br0" in text


def test_show_for_programs_has_the_spec(cli: Cli, web: vhal.Machine) -> None:
    (item,) = cli.items("show", "web")
    assert set(item) == {*ITEM, "spec"}
    assert item["spec"]["labels"] == {"tier": "front"}


def test_a_life(cli: Cli, web: vhal.Machine) -> None:
    for words, state in [
        (["start", "web", "--wait"], "running"),
        (["pause", "web"], "paused"),
        (["resume", "web"], "running"),
        (["reboot", "web"], "running"),
        (["save", "web"], "saved"),
        (["restore", "web", "--timeout", "1h"], "running"),
        (["wait", "web"], "running"),
        (["stop", "web", "--timeout", "30s"], "stopped"),
        (["wait", "web", "--for", "stopped"], "stopped"),
        (["start", "web"], "running"),
        (["stop", "web", "--force"], "stopped"),
    ]:
        (item,) = cli.items(*words)
        assert (item["name"], item["state"]) == ("web", state)


def test_what_happened_is_told_on_stderr(cli: Cli, web: vhal.Machine) -> None:
    result = cli("start", "web")
    assert result.stdout == ""
    assert "web is running on mock:///a" in result.stderr
    assert cli("pause", "web", "--quiet").stderr == ""


def test_delete(cli: Cli, web: vhal.Machine) -> None:
    assert cli("delete", "web", "--yes").stderr == "web is deleted from mock:///a\n"
    assert cli.items("list") == []


def test_delete_for_programs(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    (item,) = cli.items("delete", "web", "--yes", "--force")
    assert item["name"] == "web"


def test_delete_without_a_terminal_wants_yes(cli: Cli, web: vhal.Machine) -> None:
    assert cli("delete", "web", code=2).stderr == "error: deleting machine 'web' must be confirmed\nhint: give --yes\n"
    assert cli.items("list")


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("", 130, 1)])
def test_delete_asks_on_a_terminal(
    cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: int
) -> None:
    monkeypatch.setattr(vhal.cli.machine, "is_terminal", lambda stream: True)
    result = cli("delete", "web", code=code, input=typed)
    assert "Delete machine 'web' on mock:///a?" in result.stderr
    assert result.stdout == ""
    assert len(cli.items("list")) == left


def test_every_verb_is_there_twice_and_says_what_the_table_says() -> None:
    with click.Context(app, info_name="vhal") as context:
        for name, entry in app.entries.items():
            command = app.get_command(context, name)
            assert command is not None
            if name not in ("machine", "host", "snapshot"):
                assert command.name == name
                assert command.get_short_help_str(200).rstrip(".") == entry.help.rstrip(".")
        machine = app.get_command(context, "machine")
        assert isinstance(machine, click.Group)
        for name in MACHINES:
            assert machine.get_command(context, name) is app.get_command(context, name)


# several hosts


def test_list_takes_all_named_hosts(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b")
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="web"))
    vhal.connect("mock:///b").create(vhal.MachineSpec(name="db"))
    assert [(item["host"], item["name"]) for item in cli.items("list")] == [("alpha", "web"), ("beta", "db")]
    assert [item["name"] for item in cli.items("list", "-H", "beta")] == ["db"]


def test_list_with_a_dead_host_shows_the_rest(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", dead="nosuch:///x")
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="web"))
    result = cli("list", code=6)
    assert "web" in result.stdout
    assert result.stderr.startswith("warning: there is no backend 'nosuch'")
    assert len(cli.items("list", code=6)) == 1


def test_list_with_only_dead_hosts_is_an_error(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(dead="nosuch:///x", dead2="nosuch:///y")
    assert cli.error("list", code=6)["code"] == "plugin-error"


def test_a_machine_is_found_on_the_named_hosts(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", again="mock:///a", beta="mock:///b", dead="nosuch:///x")
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="web"))
    result = cli("start", "web")
    assert "warning: there is no backend 'nosuch'" in result.stderr
    assert "web is running on a" in result.stderr


def test_a_machine_on_two_hosts_is_ambiguous(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b")
    for host in ("mock:///a", "mock:///b"):
        vhal.connect(host).create(vhal.MachineSpec(name="web"))
    assert cli("show", "web", code=2).stderr == (
        "error: several hosts have a machine 'web': alpha, beta\nhint: say which: -H alpha\n"
    )
    assert cli.items("show", "web", "-H", "beta")[0]["host"] == "beta"


def test_a_machine_on_no_named_host(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b")
    assert cli.error("show", "web", code=3)["message"] == "there is no machine 'web' on alpha, beta"


def test_a_machine_that_may_be_on_a_dead_host(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", dead="nosuch:///x")
    error = cli.error("show", "web", code=6)
    assert error["code"] == "host-unreachable"
    assert "there is no backend 'nosuch'" in error["message"]


def test_the_default_host_serves_where_no_host_has_a_name(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(default="mock:///a")
    cli("create", "web", "-q")
    assert [item["host"] for item in cli.items("list")] == ["mock:///a"]
