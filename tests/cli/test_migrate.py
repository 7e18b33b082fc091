"""migrate, its progress, and what Ctrl-C and --abort-after do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
import vhal.cli.progress
from tests.cli.harness import Cli
from vhal.cli.context import Session
from vhal.cli.progress import amount, bar, lines
from vhal.driver.context import Progress

GIB = 1 << 30


@pytest.fixture
def slow() -> Iterator[World]:
    """A world in which no migration ends within a test."""
    world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}], "speed": 0.0001})
    with vhal.connect(world.url("a")) as host:
        host.create(vhal.MachineSpec(name="web")).start()
        yield world


def state(world: World, host: str) -> list[str]:
    with vhal.connect(world.url(host)) as opened:
        return [vm.seen.state for vm in opened.machines()]


def interrupt(operation: vhal.Operation[Any]) -> Iterator[Progress]:
    raise KeyboardInterrupt
    yield


def test_a_sentence_for_people(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    result = cli("migrate", "web", "--to", "mock:///b")
    assert result.stdout.startswith("web: mock:///a → mock:///b in ")
    assert "downtime" in result.stdout


def test_every_field_for_programs(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    (item,) = cli.items("migrate", "web", "--to", "mock:///b")
    assert set(item) == set(vhal.MigrationResult.model_fields)
    assert item["live"] is True
    assert item["transferred"] > 0


def test_the_flags_are_the_policy(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[vhal.MigrationPolicy] = []

    def preflight(self: vhal.Machine, to: vhal.Host, policy: vhal.MigrationPolicy) -> vhal.Answer:
        seen.append(policy)
        return vhal.Answer()

    monkeypatch.setattr(vhal.Machine, "preflight", preflight)
    cli("migrate", "web", "--to", "mock:///b", "--dry-run")
    cli(
        *("migrate", "web", "--to", "mock:///b", "--dry-run", "--cold", "--bandwidth", "100MiB"),
        *("--max-downtime", "50ms", "--auto-converge", "--post-copy", "--parallel", "4", "--route", "managed"),
        *("--allow-plaintext", "--allow-unsafe", "--option", "mock.x=1"),
    )
    assert seen == [
        vhal.MigrationPolicy(),
        vhal.MigrationPolicy(
            live=False,
            bandwidth="100MiB",
            max_downtime_s=0.05,
            auto_converge=True,
            post_copy=True,
            parallel=4,
            route="managed",
            allow_plaintext=True,
            allow_unsafe=True,
            options={"mock": {"x": 1}},
        ),
    ]


def test_dry_run(cli: Cli, web: vhal.Machine) -> None:
    assert cli("migrate", "web", "--to", "mock:///b", "--dry-run").stdout == (
        "web can move from mock:///a to mock:///b\n"
    )
    (item,) = cli.items("migrate", "web", "--to", "mock:///b", "--dry-run")
    assert item == {
        "machine": "web",
        "source": "mock:///a",
        "destination": "mock:///b",
        "can": True,
        "note": None,
        "blockers": [],
    }


def test_dry_run_prints_what_stands_against_it(cli: Cli, web: vhal.Machine) -> None:
    text = cli("migrate", "web", "--to", "mock:///a", "--dry-run", code=5).stdout
    assert "same-host" in text
    assert "choose another destination" in text
    (item,) = cli.items("migrate", "web", "--to", "mock:///a", "--dry-run", code=5)
    assert item["can"] is False
    assert item["blockers"][0]["code"] == "same-host"


def test_abort_after(cli: Cli, slow: World) -> None:
    error = cli.error("migrate", "web", "-H", slow.url("a"), "--to", slow.url("b"), "--abort-after", "1ms", code=1)
    assert error["code"] == "aborted"
    assert (state(slow, "a"), state(slow, "b")) == (["running"], [])


def test_ctrl_c_undoes_it(cli: Cli, slow: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhal.Operation, "updates", interrupt)
    result = cli("migrate", "web", "-H", slow.url("a"), "--to", slow.url("b"), code=130)
    assert result.stdout == ""
    aborting, error, _hint = result.stderr.splitlines()
    assert aborting == "aborting; what was begun is undone first"
    assert error == "error: the operation was aborted on request"
    assert (state(slow, "a"), state(slow, "b")) == (["running"], [])


def test_ctrl_c_that_comes_too_late(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(operation: vhal.Operation[Any]) -> Iterator[Progress]:
        operation.wait()
        yield from interrupt(operation)

    monkeypatch.setattr(vhal.Operation, "updates", late)
    assert cli("start", "web").stderr.splitlines() == [
        "aborting; what was begun is undone first",
        "it was too late to abort",
        "web is running on mock:///a",
    ]


def test_a_line_for_each_phase_and_pass(capsys: pytest.CaptureFixture[str]) -> None:
    show = lines(Session())
    show(Progress("prepare"))
    for done in (GIB, 2 * GIB):
        show(Progress("transfer", done=done, total=4 * GIB, rate=GIB, iteration=1))
    show(Progress("wait", message="web is running"))
    assert capsys.readouterr().err.splitlines() == [
        "prepare",
        "transfer: 25%, 1 GiB of 4 GiB, 1 GiB/s, pass 1",
        "wait: web is running",
    ]


def test_an_amount_that_nobody_knows_the_end_of() -> None:
    assert amount(Progress("copy", done=GIB)) == "1 GiB"
    assert amount(Progress("copy")) == ""


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ExitStack() as stack:
        show = bar(stack)
        show(Progress("prepare"))
        show(Progress("transfer", done=GIB, total=2 * GIB))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "transfer" in printed.err
    assert "50%, 1 GiB of 2 GiB" in printed.err


@pytest.mark.parametrize(("words", "bars"), [([], 1), (["--quiet"], 0), (["--json"], 0)])
def test_a_terminal_gets_the_bar(
    cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch, words: list[str], bars: int
) -> None:
    drawn: list[ExitStack] = []

    def fake(stack: ExitStack) -> Any:
        drawn.append(stack)
        return lambda progress: None

    monkeypatch.setattr(vhal.cli.progress, "is_terminal", lambda stream: True)
    monkeypatch.setattr(vhal.cli.progress, "bar", fake)
    cli("migrate", "web", "--to", "mock:///b", *words)
    assert len(drawn) == bars
