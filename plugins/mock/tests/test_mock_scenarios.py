"""Scenarios: what happens when, what came of it, the same each time, and errors that say where."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from vhal_mock.scenario import Result, Scenario, run, timeline
from vhal_mock.scenario.plot import draw

import vhal

HOSTS = [{"name": "a"}, {"name": "b"}]
WEB = {"host": "a", "running": True, "spec": {"name": "web", "memory": "4GiB"}}


def happen(*events: dict[str, Any], **fields: Any) -> Result:
    spec = {"hosts": HOSTS, "machines": [WEB], "until_s": 300, "events": events, **fields}
    before = set(threading.enumerate())
    result = run(Scenario(**spec), vhal.connect)
    assert set(threading.enumerate()) == before
    return result


def kinds(result: Result) -> list[tuple[float, str]]:
    return [(round(entry.time_s, 1), entry.kind) for entry in result.entries if entry.kind not in timeline.HIDDEN]


class TestWhatHappens:
    def test_a_life(self) -> None:
        result = happen(
            {"action": "create", "host": "b", "start": True, "spec": {"name": "db", "memory": "1GiB"}},
            {"time_s": 1, "action": "pause", "machine": "db"},
            {"time_s": 2, "action": "resume", "machine": "db"},
            {"time_s": 3, "action": "resize", "machine": "db", "cpus": 2, "memory": "2GiB"},
            {"time_s": 4, "action": "reboot", "machine": "db"},
            {"time_s": 5, "action": "save", "machine": "db"},
            {"time_s": 9, "action": "restore", "machine": "db"},
            {"time_s": 20, "action": "stop", "machine": "db"},
            {"time_s": 30, "action": "delete", "machine": "db"},
        )
        assert result.failures == ()
        assert kinds(result) == [
            (0.0, "created"),
            (0.0, "started"),
            (1.0, "paused"),
            (2.0, "resumed"),
            (3.0, "changed"),
            (4.0, "rebooted"),
            (7.0, "saved"),
            (11.0, "restored"),
            (22.0, "stopped"),
            (30.0, "deleted"),
        ]
        assert [standing.machine for standing in result.machines] == ["web"]

    def test_a_migration(self) -> None:
        result = happen({"time_s": 10, "action": "migrate", "machine": "web", "to": "b"})
        (move,) = result.moves
        assert (move.machine, move.source, move.destination, move.begun_s) == ("web", "a", "b", 10.0)
        assert 0 < move.downtime_s < move.total_s
        assert move.live
        assert [(s.host, s.state) for s in result.machines] == [("b", "running")]

    def test_machines_that_leave_a_host_at_one_moment_share_its_link(self) -> None:
        alone = happen({"action": "migrate", "machine": "web", "to": "b"}).moves[0]
        several = happen({"action": "migrate", "host": "a", "to": "b"}, machines=[{**WEB, "count": 3}]).moves
        assert [move.machine for move in several] == ["web1", "web2", "web3"]
        assert {move.begun_s for move in several} == {0.0}
        assert all(move.total_s > 2 * alone.total_s for move in several)

    def test_a_migration_that_is_aborted(self) -> None:
        result = happen(
            {"time_s": 10, "action": "migrate", "machine": "web", "to": "b"},
            {"time_s": 11.5, "action": "abort", "machine": "web"},
        )
        (failure,) = result.failures
        assert (failure.event, failure.code, failure.ended_s) == ("events[0]", "aborted", 11.5)
        assert [(s.host, s.state) for s in result.machines] == [("a", "running")]

    def test_an_abort_without_a_migration_is_a_failure(self) -> None:
        (failure,) = happen({"action": "abort", "machine": "web"}).failures
        assert (failure.action, failure.code, failure.host) == ("abort", "invalid-state", "a")

    def test_troubles_of_a_host(self) -> None:
        result = happen(
            {"time_s": 1, "action": "host-crash", "host": "a", "seconds": 10},
            {"time_s": 5, "action": "start", "machine": "web"},
            {"time_s": 20, "action": "start", "machine": "web"},
            {"time_s": 30, "action": "partition", "host": "a"},
            {"time_s": 31, "action": "stop", "machine": "web"},
            {"time_s": 40, "action": "recover", "host": "a"},
            {"time_s": 50, "action": "machine-crash", "machine": "web"},
        )
        assert kinds(result) == [
            (1.0, "host-crash"),
            (5.0, "failed"),
            (11.0, "host-up"),
            (11.0, "crashed"),
            (20.0, "started"),
            (30.0, "partition"),
            (31.0, "failed"),
            (40.0, "recover"),
            (40.0, "mended"),
            (50.0, "machine-crash"),
            (50.0, "crashed"),
        ]
        assert {failure.code for failure in result.failures} == {"host-unreachable"}

    def test_a_failure_domain(self) -> None:
        hosts = [{"name": name, "domains": {"rack": rack}} for name, rack in (("a", "r1"), ("b", "r2"), ("c", "r2"))]
        result = happen({"time_s": 1, "action": "host-crash", "domain": {"rack": "r2"}}, hosts=hosts)
        assert [entry.host for entry in result.entries] == ["b", "c"]

    def test_a_slow_link_and_a_full_disk(self) -> None:
        move = {"time_s": 10, "action": "migrate", "machine": "web", "to": "b"}
        fast = happen(move).moves[0]
        slow = happen({"time_s": 1, "action": "slow-link", "host": "b", "factor": 0.5}, move).moves[0]
        assert slow.total_s > 1.8 * fast.total_s
        disk = {"action": "create", "host": "b", "spec": {"name": "db", "disks": [{"size": "1GiB"}]}, "time_s": 2}
        (failure,) = happen({"time_s": 1, "action": "disk-full", "host": "b"}, disk).failures
        assert failure.code == "insufficient"

    def test_a_hang_is_waited_for(self) -> None:
        result = happen(
            {"time_s": 10, "action": "hang", "host": "a", "seconds": 5},
            {"time_s": 11, "action": "pause", "machine": "web"},
        )
        assert kinds(result)[-1] == (15.0, "paused")

    def test_a_call_waits_for_a_short_one_and_not_for_a_long_one(self) -> None:
        result = happen(
            {"time_s": 10, "action": "stop", "machine": "web"},
            {"time_s": 10.5, "action": "start", "machine": "web"},
            {"time_s": 20, "action": "migrate", "machine": "web", "to": "b"},
            {"time_s": 21, "action": "stop", "machine": "web"},
        )
        assert kinds(result)[:2] == [(12.0, "stopped"), (12.0, "started")]
        assert [(failure.event, failure.code) for failure in result.failures] == [("events[3]", "busy")]

    def test_a_machine_that_is_gone(self) -> None:
        result = happen(
            {"time_s": 1, "action": "delete", "machine": "web", "force": True},
            {"time_s": 2, "action": "start", "machine": "web"},
        )
        (failure,) = result.failures
        assert (failure.code, failure.host, failure.hint) == ("not-found", "", "create it before")

    def test_a_fault_of_the_plan(self) -> None:
        result = happen(
            {"time_s": 1, "action": "migrate", "machine": "web", "to": "b"},
            faults=[{"at": "migration.transfer.round=1", "message": "the wire broke"}],
        )
        assert "the wire broke" in result.failures[0].message
        assert [kind for _, kind in kinds(result)] == ["migrate", "fault", "failed"]

    def test_what_is_under_way_at_the_end(self) -> None:
        result = happen({"time_s": 299, "action": "migrate", "machine": "web", "to": "b"})
        assert [(action.action, action.machine, action.begun_s) for action in result.unfinished] == [
            ("migrate", "web", 299.0)
        ]
        assert result.moves == ()
        assert max(entry.time_s for entry in result.entries) <= 300


class TestUsage:
    def test_is_recorded_at_each_step(self) -> None:
        spec = {**WEB["spec"], "cpus": 4, "options": {"mock": {"load": 0.5}}}  # type: ignore[dict-item]
        result = happen(machines=[{**WEB, "spec": spec}], sample_s=50)
        samples = result.as_dict()["samples"]
        assert samples["times_s"] == [0, 50, 100, 150, 200, 250, 300]
        a, b = samples["hosts"]
        assert a["cpus"] == [2.0] * 7
        assert a["memory"] == [4 << 30] * 7
        assert (a["machines"], b["machines"]) == ([1] * 7, [0] * 7)

    def test_moves_are_seen_on_the_links(self) -> None:
        result = happen({"time_s": 9, "action": "migrate", "machine": "web", "to": "b"}, sample_s=10)
        a, b = result.as_dict()["samples"]["hosts"]
        assert a["sent"][1] == b["received"][1] > 1_000_000_000
        assert a["sent"][0] == a["received"][1] == 0
        # Until it has gone over, b holds a place for it, and no machine.
        assert (a["machines"][1], b["machines"][1]) == (1, 0)

    def test_the_end_is_recorded_whatever_the_step(self) -> None:
        assert happen(sample_s=70).samples.times_s == [0, 70, 140, 210, 280, 300]


EVENTFUL = [
    {"time_s": 5, "action": "migrate", "host": "a", "to": "b"},
    {"time_s": 7, "action": "abort", "machine": "web2"},
    {"time_s": 30, "action": "hang", "host": "b", "seconds": 500},
    {"time_s": 31, "action": "stop", "machine": "web1", "timeout_s": 20},
    {"time_s": 32, "action": "migrate", "machine": "web3", "to": "a", "timeout_s": 60},
]
DEAF = {**WEB, "count": 3, "spec": {**WEB["spec"], "options": {"mock": {"stop_s": None}}}}  # type: ignore[dict-item]


def test_what_waits_for_another_at_the_end_is_left_unfinished() -> None:
    shorter = [{"action": action, "machine": "web", "time_s": 299} for action in ("stop", "start", "stop")]
    result = happen(*shorter)
    assert [action.event for action in result.unfinished] == ["events[0]", "events[1]", "events[2]"]
    assert [standing.state for standing in result.machines] == ["stopping"]


def test_the_same_seed_gives_the_same_bytes() -> None:
    def text(seed: int) -> str:
        faults = [{"at": "migration.transfer.*", "kind": "delay", "probability": 0.5, "times": None}]
        return json.dumps(happen(*EVENTFUL, machines=[DEAF], faults=faults, seed=seed).as_dict())

    assert text(1) == text(1) == text(1)
    assert text(1) != text(2)


def test_a_deadline_is_at_the_same_moment_each_time() -> None:
    def ended() -> list[tuple[str, float]]:
        found = happen({"time_s": 1, "action": "stop", "machine": "web1", "timeout_s": 20}, machines=[DEAF]).failures
        return [(failure.code, failure.ended_s) for failure in found]

    assert ended() == [("timeout", 21.0)]


def test_the_beginning_of_a_scenario() -> None:
    whole = Scenario(hosts=HOSTS, machines=[WEB], until_s=300, events=EVENTFUL[2:3])  # type: ignore[arg-type]
    assert len(whole.cut(100).events) == 1
    assert whole.cut(10).events == ()
    assert whole.cut(10).interval_s == 3.0


def test_the_tables_for_people() -> None:
    result = happen({"time_s": 10, "action": "migrate", "machine": "web", "to": "b"})
    rows = timeline.story(result)
    assert rows[0] == ("10.00 s", "a", "web", "migrate", "to b")
    assert rows[1][1:4] == ("b", "web", "moved")
    assert rows[1][4].startswith("from a in ")
    assert [row[0] for row in timeline.hosts(result)] == ["a", "b"]
    assert timeline.summary(result)[0].startswith("1 moved, in at most ")


def test_many_hosts_are_not_all_shown() -> None:
    result = happen(hosts=[*HOSTS, {"name": "n", "count": 30}])
    assert len(timeline.hosts(result)) == timeline.MOST_HOSTS
    assert timeline.summary(result) == ["12 hosts that were less busy aren't shown; --json has them"]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plot(ending: str, tmp_path: Path) -> None:
    result = happen(*EVENTFUL, machines=[DEAF])
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        draw(result, file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_a_plot_of_many_hosts_and_many_moves(tmp_path: Path) -> None:
    hosts = [{"name": "n", "count": 15}]
    machines = [{"host": "n1", "running": True, "count": 30, "spec": {"name": "w", "memory": "1GiB"}}]
    result = happen({"action": "migrate", "host": "n1", "to": "n2"}, hosts=hosts, machines=machines)
    assert len(result.moves) == 30
    draw(result, tmp_path / "many.svg")
    assert "all 15 hosts" in (tmp_path / "many.svg").read_text()


def test_a_plot_of_nothing(tmp_path: Path) -> None:
    draw(happen(machines=[]), tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 1000
