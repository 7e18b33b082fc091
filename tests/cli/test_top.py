"""``vhal top``, ``vhal fleet show`` and ``vhal fleet metrics``."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vhal
from tests.cli.harness import Cli
from tests.unit.fleets import fleet, host, machine
from vhal.fleet.moves.carrier import steps
from vhal.fleet.moves.works import PLAN
from vhal.fleet.plan import HostChange, Move, Plan
from vhal.journal import Journal, StepState
from vhal.spec.units import Bytes

VHAL = Path(sys.executable).with_name("vhal")
TWO = ("--url", "mock:///a", "--url", "mock:///b")


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VHAL_FLEET", raising=False)
    path = tmp_path / "journal.sqlite"
    monkeypatch.setenv("VHAL_JOURNAL", str(path))
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    move = Move(machine="web", id="1", source="a", destination="b", reason="a is hot", memory=Bytes("1GiB"),
                transferred=Bytes("1GiB"), total_s=1.0, downtime_s=0.1)  # fmt: skip
    change = HostChange(host="a", machines=(2, 1), cpus=(1, 0.5), memory=(0.5, 0.25), load=(0.95, 0.5))
    path = tmp_path / "plan.json"
    path.write_text(Plan(snapshot="x", moves=(move,), hosts=(change,)).model_dump_json())
    return path


# top


def test_one_frame_where_stdout_is_no_terminal(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VHAL_HOST")
    web.start()
    lines = cli("top", *TWO).stdout.splitlines()
    assert lines[0].endswith(", 2 hosts, 1 machines")
    assert lines[2].split() == ["HOST", "STATUS", "MACHINES", "CPUS", "MEM", "LOAD"]
    assert [line.split()[0] for line in lines[3:5]] == ["a", "b"]
    assert lines[-1].startswith("web      a     running")
    assert "\x1b" not in "".join(lines)


def test_a_dead_host_is_shown_as_such(cli: Cli) -> None:
    lines = cli("top", "--once", "--url", "mock:///a", "--url", "mock://nowhere/x").stdout.splitlines()
    assert "2 hosts (1 without an answer)" in lines[0]
    dead = next(line for line in lines if "unreachable" in line)
    assert re.search(r"unreachable +-  \S", dead)


def test_top_for_programs(cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VHAL_HOST")
    (item,) = cli.items("top", *TWO)
    assert [each["name"] for each in item["hosts"]] == ["a", "b"]
    assert item["machines"][0]["name"] == web.name
    assert item["moves"] == []


def test_moves_that_a_plan_is_at_are_shown(cli: Cli, journal: Path) -> None:
    moves = [
        Move(machine=name, id=name, source="a", destination="b", reason=f"{name} is why", memory=Bytes("1GiB"),
             transferred=Bytes("1GiB"), total_s=1.0, downtime_s=0.1)
        for name in ("web", "db")
    ]  # fmt: skip
    with Journal(journal) as book, book.begin(PLAN, {"emptied": [], "restored": []}, steps(moves)) as held:
        held.mark(0, StepState.BEGUN)
        assert [move["machine"] for move in cli.items("top", *TWO)[0]["moves"]] == ["web"]
        lines = cli("top", *TWO).stdout.splitlines()
        assert lines[0].endswith(", 1 moving")
        assert lines[lines.index("MOVES UNDER WAY") + 1] == "web  a → b  1 GiB  web is why"
    assert cli.items("top", *TWO)[0]["moves"] == []


def test_a_name_cant_repaint_the_terminal(cli: Cli, tmp_path: Path) -> None:
    hostile = Plan(snapshot="", notes=("\x1b[2J",))
    (tmp_path / "p.json").write_text(hostile.model_dump_json())
    assert "\x1b" not in cli("fleet", "show", str(tmp_path / "p.json")).stdout


@contextmanager
def terminal(*words: str, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the program in a terminal of its own; give it and the terminal's other end."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", "PYTHONUTF8": "1", **env}
    process = subprocess.Popen([VHAL, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def until(terminal: int, said: str, deadline_s: float = 120) -> str:
    """Read what the program prints until it has said something."""
    seen, end = b"", time.monotonic() + deadline_s
    while said not in seen.decode("utf-8", "replace"):
        left = end - time.monotonic()
        assert left > 0, seen.decode("utf-8", "replace")
        if select.select([terminal], [], [], left)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the program has ended, and with it its end of the terminal
                break
    return seen.decode("utf-8", "replace")


def test_a_live_table_is_drawn_and_q_ends_it() -> None:
    with terminal("top", *TWO, "--interval", "1s") as (process, screen):
        shown = until(screen, "MACHINES")
        assert "\x1b[?1049h" in shown
        until(screen, "q quit")
        os.write(screen, b"n")
        os.write(screen, b"q")
        assert "\x1b[?1049l" in until(screen, "\x1b[?1049l")
        assert process.wait(120) == 0


def test_no_colours_where_they_arent_wanted() -> None:
    with terminal("top", "--once", *TWO, NO_COLOR="1") as (process, screen):
        shown = until(screen, "STATE")
        assert process.wait(120) == 0
    assert "\x1b[3" not in shown
    with terminal("top", "--once", *TWO, NO_COLOR="") as (process, screen):
        assert "\x1b[32m" in until(screen, "STATE")
        assert process.wait(120) == 0


# show


def test_a_plan_is_shown(cli: Cli, plan: Path) -> None:
    lines = cli("fleet", "show", str(plan)).stdout.splitlines()
    assert lines[0] == "balance: 1 move, 1 GiB of memory, 1 s one after the other"
    assert lines[1:3] == ["  1. web  a → b  1 GiB, 1.0 s, 100 ms of downtime", "     a is hot"]


def test_a_plan_for_programs(cli: Cli, plan: Path) -> None:
    assert cli.items("fleet", "show", str(plan))[0]["moves"][0]["machine"] == "web"


def test_a_plan_as_a_picture_and_as_a_page(cli: Cli, plan: Path, tmp_path: Path) -> None:
    fleet(host("a"), host("b"), machines=[machine("web", "a", 1.0)]).save(tmp_path / "fleet.json")
    files = ("--plot", str(tmp_path / "p.svg"), "--html", str(tmp_path / "p.html"))
    cli("fleet", "show", str(plan), "--from", str(tmp_path / "fleet.json"), *files)
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")
    page = (tmp_path / "p.html").read_text()
    assert "a is hot" in page
    assert "The fleet before" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "JSON"), ("[]", "object"), ('{"snapshot": "", "moves": 1}', "moves")],
)
def test_what_is_no_plan_is_refused(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.json").write_text(text)
    error = cli.error("fleet", "show", str(tmp_path / "p.json"), code=2)
    assert said in error["message"]


def test_a_plan_that_isnt_there(cli: Cli, tmp_path: Path) -> None:
    error = cli.error("fleet", "show", str(tmp_path / "p.json"), code=3)
    assert error["code"] == "not-found"
    assert error["hint"] == "name a file of 'vhal fleet plan --output FILE'"


def test_files_that_cant_be_written(cli: Cli, plan: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none" / "p.html")
    assert cli.error("fleet", "show", str(plan), "--html", nowhere, code=3)["code"] == "not-found"
    assert cli.error("fleet", "show", str(plan), "--html", str(tmp_path), code=6)["code"] == "access-denied"
    assert cli.error("fleet", "show", str(plan), "--plot", str(tmp_path / "p.gif"), code=2)["code"] == "invalid-spec"


# metrics


def test_metrics_once(cli: Cli, journal: Path) -> None:
    text = cli("fleet", "metrics", "--once", *TWO).stdout
    assert 'vhal_host_cpus{host="b"} 16.0' in text
    assert "vhal_moves_under_way 0.0" in text
    assert not journal.exists()


@pytest.mark.parametrize("address", ["", "here", "127.0.0.1:", "127.0.0.1:99999", ":80"])
def test_an_address_that_is_none(cli: Cli, address: str) -> None:
    assert "is no address" in cli.error("fleet", "metrics", "--listen", address, *TWO, code=2)["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_metrics_are_served_until_interrupted(number: signal.Signals) -> None:
    words = [str(VHAL), "fleet", "metrics", "--listen", "127.0.0.1:0", *TWO]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.stderr.readline())
            assert found is not None
            with urllib.request.urlopen(found[0], timeout=120) as answer:  # noqa: S310 - it is on loopback
                assert b"vhal_host_status" in answer.read()
            process.send_signal(number)
            assert process.wait(120) == 0
        finally:
            process.kill()


def test_a_simulated_day_as_a_page(cli: Cli, tmp_path: Path) -> None:
    hosts = [{"name": "a"}, {"name": "b"}]
    machines = [{"host": "a", "running": True, "spec": {"name": "web", "memory": "4GiB"}}]
    events = [
        {"time_s": 10, "action": "migrate", "machine": "web", "to": "b"},
        {"time_s": 50, "action": "start", "machine": "web"},
        {"time_s": 55, "action": "host-crash", "host": "b"},
    ]
    file = tmp_path / "<script>.json"
    file.write_text(json.dumps({"until_s": 60, "hosts": hosts, "machines": machines, "events": events}))
    cli("sim", "run", str(file), "--html", str(tmp_path / "day.html"))
    page = (tmp_path / "day.html").read_text()
    assert "<script" not in page
    for said in ("web: a → b", "host-crash b", "invalid-state", "Memory promised", "longest downtime"):
        assert said in page
    assert cli.error("sim", "run", str(file), "--html", str(tmp_path / "no" / "x.html"), code=3)["code"] == "not-found"
