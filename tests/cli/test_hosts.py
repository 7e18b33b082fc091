"""hosts, host show, backends, doctor, events: what is looked at from outside the machines."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import vhal_mock.world
from click.testing import CliRunner

import vhal
from tests.cli.harness import Cli
from vhal.cli.app import app
from vhal.driver.backend import Backend, Finding
from vhal.driver.driver import Driver
from vhal.driver.url import HostUrl
from vhal.errors import HostUnreachable
from vhal.fleet.members.ask import ask
from vhal.registry import Registry


def unreachable(url: HostUrl) -> Driver:
    raise HostUnreachable("it doesn't answer", hint="switch it on")


def test_hosts(cli: Cli, name_hosts: Callable[..., Path], registry: Registry) -> None:
    registry.add(Backend(name="dead", summary="never there", open=unreachable))
    name_hosts(alpha="mock:///a", broken="nonsense", gone="dead:///")
    vhal.connect("mock:///a").create(vhal.MachineSpec(name="web", cpus=2, memory="16GiB")).start()
    rows = [line.split(maxsplit=3) for line in cli("hosts").stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        ["NAME", "URL", "STATUS"],
        ["alpha", "mock:///a", "ok"],
        ["broken", "nonsense", "problem"],
        ["gone", "dead:///", "unreachable"],
    ]
    assert rows[1][3] == "2/64  16 GiB/64 GiB"
    assert rows[3][3] == "it doesn't answer (switch it on)"
    assert [(item["name"], item["ok"]) for item in cli.items("hosts")] == [
        ("alpha", True),
        ("broken", False),
        ("gone", False),
    ]


def test_a_host_for_programs(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", gone="nosuch:///")
    alpha, gone = cli.items("hosts")
    assert set(alpha) == set(gone) == {"name", "url", "ok", "info", "error"}
    assert alpha["info"]["capacity"]["memory"] == 64 << 30
    assert alpha["error"] is None
    assert gone["error"]["code"] == "plugin-error"
    assert gone["info"] is None


def test_hosts_takes_the_one_that_is_given(cli: Cli) -> None:
    assert [item["url"] for item in cli.items("hosts", "-H", "mock:///b")] == ["mock:///b"]


def test_no_named_hosts(cli: Cli) -> None:
    assert "no host has a name; name some in" in cli("hosts").stderr
    assert cli.items("host", "list") == []


def test_a_host_that_is_silent_counts_as_unreachable() -> None:
    done = threading.Event()
    answers = ask(["quick", "silent"], lambda place: place == "quick" or done.wait(), patience_s=0.0)
    done.set()
    assert isinstance(answers["silent"], HostUnreachable)
    assert "gave no answer" in str(answers["silent"])


def test_a_defect_is_not_hidden() -> None:
    def broken(place: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(["a", "b"], broken)


def test_host_show(cli: Cli) -> None:
    text = cli("host", "show", "mock:///b").stdout
    assert "memory        64 GiB" in text
    assert "migration   yes" in text
    assert cli("host", "show", "-H", "mock:///b").stdout == text


def test_host_show_for_programs(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(default="beta", beta="mock:///b")
    (item,) = cli.items("host", "show")
    assert (item["name"], item["url"], item["info"]["name"]) == ("beta", "mock:///b", "b")
    assert item["capabilities"]["pause"] == {"can": True, "note": None, "blockers": []}


def test_backends_runs_no_plugin(cli: Cli, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setattr(registry, "backend", None)
    (mock,) = [item for item in cli.items("backends") if item["name"] == "mock"]
    assert set(mock) == {"name", "distribution", "version", "module", "location"}
    assert "vhal-mock" in cli("backends").stdout


def test_backends_loaded(cli: Cli) -> None:
    (mock,) = [item for item in cli.items("backends", "--load") if item["name"] == "mock"]
    assert mock["summary"] == "simulated hosts in this process, with virtual time"
    assert mock["schemes"] == ["mock"]
    assert mock["error"] is None
    assert "mock:///a" in cli("backends", "--load").stdout


def test_backends_says_which_cannot_be_loaded(cli: Cli, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    def fail(name: str) -> Backend:
        raise vhal.errors.PluginError("it is broken")

    monkeypatch.setattr(registry, "backend", fail)
    assert "can't be loaded: it is broken" in cli("backends", "--load").stdout
    assert {item["error"]["code"] for item in cli.items("backends", "--load")} == {"plugin-error"}


def test_a_blocked_backend_is_left_out_everywhere(cli: Cli) -> None:
    assert "mock" not in [item["name"] for item in cli.items("backends", "--no-plugin", "mock")]
    error = cli.error("--no-plugin", "mock", "list", "-H", "mock:///a", "--no-plugin", "other", code=6)
    assert error["message"] == "backend 'mock' is blocked"


def test_doctor_of_one(cli: Cli) -> None:
    assert cli("doctor", "mock").stdout == "mock\n  ok       simulator: needs nothing but Python\n"
    assert cli.items("doctor", "mock") == [
        {
            "backend": "mock",
            "ok": True,
            "findings": [
                {"ok": True, "subject": "simulator", "message": "needs nothing but Python", "remedy": ""},
            ],
            "error": None,
        }
    ]


def test_doctor_of_all_is_content_with_one(cli: Cli) -> None:
    assert "mock" in [item["backend"] for item in cli.items("doctor")]


def test_doctor_of_what_is_not_there(cli: Cli) -> None:
    text = cli("doctor", "nosuch", "mock", code=6).stdout
    assert "problem  plugin: there is no backend 'nosuch'" in text
    assert "→ check the scheme of the URL" in text
    nosuch, mock = cli.items("doctor", "nosuch", "mock", code=6)
    assert (nosuch["ok"], nosuch["error"]["code"], mock["ok"]) == (False, "plugin-error", True)


def test_doctor_with_problems(cli: Cli, registry: Registry) -> None:
    def fails() -> list[Finding]:
        raise ZeroDivisionError("oops")

    missing = [Finding(False, "kvm", "/dev/kvm is missing", "load the module")]
    registry.add(Backend(name="poor", summary="", open=unreachable, doctor=lambda: missing))
    registry.add(Backend(name="broken", summary="", open=unreachable, doctor=fails))
    text = cli("doctor", "poor", "broken", code=6).stdout
    assert "  problem  kvm: /dev/kvm is missing\n           → load the module\n" in text
    assert "its doctor failed: ZeroDivisionError: oops" in text


def test_doctor_of_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setattr(registry, "plugins", list)
    assert cli("doctor", code=6).stdout == ""


class Eager(list[Callable[[vhal.Event], None]]):
    """Listeners of a simulated host; as soon as there is one, something happens."""

    def __init__(self, happen: Callable[[], None]) -> None:
        self.happen = happen

    def append(self, listener: Callable[[vhal.Event], None]) -> None:
        super().append(listener)
        self.happen()


@pytest.fixture
def lively(web: vhal.Machine) -> vhal.Machine:
    def happen() -> None:
        web.start()
        web.stop()

    vhal_mock.world.find(None).host("a").listeners = Eager(happen)
    return web


def test_events(cli: Cli, lively: vhal.Machine) -> None:
    lines = cli("events", "--count", "2").stdout.splitlines()
    assert [line.split()[1:] for line in lines] == [["a", "web", "started"], ["a", "web", "stopped"]]


def test_events_for_programs_are_one_a_line(cli: Cli, lively: vhal.Machine) -> None:
    lines = cli("events", "--count", "2", "--json").stdout.splitlines()
    first = json.loads(lines[0])
    assert set(first) == {"kind", "machine", "machine_id", "host", "time", "detail"}
    assert [json.loads(line)["kind"] for line in lines] == ["started", "stopped"]


def test_events_of_all_named_hosts(
    cli: Cli, lively: vhal.Machine, name_hosts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VHAL_HOST")
    name_hosts(alpha="mock:///a", beta="mock:///b", dead="nosuch:///")
    result = cli("events", "--count", "2")
    assert "started" in result.stdout
    assert result.stderr.startswith("warning: there is no backend 'nosuch'")


def test_events_end_when_the_time_has_passed(cli: Cli, web: vhal.Machine) -> None:
    assert cli("events", "--for", "0").stdout == ""


def test_events_of_dead_hosts(cli: Cli) -> None:
    assert cli.error("events", "-H", "nosuch:///", code=6)["code"] == "plugin-error"


def test_events_are_interrupted(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(event: object) -> str:
        raise KeyboardInterrupt

    def happen() -> None:
        web.start()

    vhal_mock.world.find(None).host("a").listeners = Eager(happen)
    monkeypatch.setattr("vhal.cli.events._line", interrupted)
    assert cli("events", code=130).stderr == "\nerror: interrupted\n"


def test_schema(cli: Cli) -> None:
    schema = json.loads(cli("schema").stdout)
    assert schema["required"] == ["name"]
    assert cli("schema", "--json").stdout == cli("schema").stdout


# completion


def test_completion_of_commands(cli: Cli) -> None:
    assert cli.complete("vhal", "s") == [
        "show", "start", "stop", "save", "snapshot", "stats", "schema", "sim",
    ]  # fmt: skip
    assert cli.complete("vhal", "machine", "mi") == ["migrate"]
    assert "--json" in cli.complete("vhal", "list", "--")


def test_completion_of_machines(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.complete("vhal", "start", "w") == ["web"]
    monkeypatch.delenv("VHAL_HOST")
    assert cli.complete("vhal", "-H", "mock:///a", "machine", "migrate", "") == ["web"]
    assert cli.complete("vhal", "stop", "-H", "mock:///b", "") == []


def test_completion_of_machines_on_named_hosts(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b", dead="nosuch:///")
    vhal.connect("mock:///b").create(vhal.MachineSpec(name="db"))
    assert cli.complete("vhal", "console", "") == ["db"]


def test_completion_of_hosts(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b")
    assert cli.complete("vhal", "migrate", "web", "--to", "") == ["alpha", "beta"]
    assert cli.complete("vhal", "list", "-H", "b") == ["beta"]
    assert cli.complete("vhal", "host", "show", "a") == ["alpha"]


def test_completion_is_silent_about_errors(cli: Cli, name_hosts: Callable[..., Path]) -> None:
    assert cli.complete("vhal", "start", "") == []
    name_hosts().write_text("not toml")
    assert cli.complete("vhal", "start", "") == []
    assert cli.complete("vhal", "list", "-H", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = CliRunner().invoke(app, ["completion", shell], prog_name="vhal")
    assert "_VHAL_COMPLETE" in result.stdout
