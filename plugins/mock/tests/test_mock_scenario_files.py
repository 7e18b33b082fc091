"""Scenarios that are wrong: the error names the file, the path in it, and the nearest name that there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vhal_mock.scenario import Scenario, run

import vhal
from vhal.errors import InvalidSpec

GOOD: dict[str, Any] = {
    "hosts": [{"name": "alpha", "domains": {"rack": "r1"}}, {"name": "beta"}],
    "machines": [{"host": "alpha", "running": True, "spec": {"name": "web"}}],
}


def event(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "events": [{"action": "start", "machine": "web", "time_s": 1}, fields]}


def guest(**options: Any) -> dict[str, Any]:
    return {"host": "alpha", "spec": {"name": "db", "options": {"mock": options}}}


WRONG: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "an unknown host": (
        event(action="hang", host="alfa"),
        "events[1].host",
        "there is no host 'alfa'",
        "did you mean 'alpha'?",
    ),
    "an unknown destination": (
        event(action="migrate", machine="web", to="bet"),
        "events[1].to",
        "there is no host 'bet'",
        "did you mean 'beta'?",
    ),
    "an unknown machine": (
        event(action="stop", machine="wbe"),
        "events[1].machine",
        "there is no machine 'wbe'",
        "did you mean 'web'?",
    ),
    "an unknown action": (
        event(action="migrat", machine="web", to="beta"),
        "events[1]",
        "there is no action 'migrat'",
        "did you mean 'migrate'?",
    ),
    "an unknown field of an event": (
        event(action="stop", machine="web", timeout=3),
        "events[1].timeout",
        "there is no such field",
        "did you mean 'timeout_s'?",
    ),
    "an unknown field of a policy": (
        event(action="migrate", machine="web", to="beta", policy={"postcopy": True}),
        "events[1].policy.postcopy",
        "there is no such field",
        "did you mean 'post_copy'?",
    ),
    "an unknown field of the scenario": (
        {**GOOD, "sample": 5},
        "sample",
        "there is no such field",
        "did you mean 'sample_s'?",
    ),
    "an unknown field of a host": (
        {**GOOD, "hosts": [{"name": "alpha", "cpu": 4}]},
        "hosts[0].cpu",
        "there is no such field",
        "did you mean 'cpus'?",
    ),
    "an unknown failure domain": (
        event(action="hang", domain={"rack": "r2"}),
        "events[1].domain.rack",
        "there is no rack 'r2'",
        "did you mean 'r1'?",
    ),
    "an unknown kind of failure domain": (
        event(action="hang", domain={"rak": "r1"}),
        "events[1].domain",
        "there is no kind of failure domain 'rak'",
        "did you mean 'rack'?",
    ),
    "a host and a domain": (
        event(action="hang", host="alpha", domain={"rack": "r1"}),
        "events[1]",
        "give it a 'host' or a 'domain'",
        "",
    ),
    "neither machine nor host": (event(action="migrate", to="beta"), "events[1]", "give it a 'machine', or", ""),
    "a resize to nothing": (event(action="resize", machine="web"), "events[1]", "give it 'cpus', 'memory' or both", ""),
    "a machine on an unknown host": (
        {**GOOD, "machines": [{"host": "gamma", "spec": {"name": "db"}}]},
        "machines[0].host",
        "there is no host 'gamma'",
        "alpha",
    ),
    "an unknown fault point": (
        {**GOOD, "faults": [{"at": "migration.transfr"}]},
        "faults[0].at",
        "there is no fault point",
        "did you mean 'migration.transfer.",
    ),
    "an unknown kind of fault": (
        {**GOOD, "faults": [{"at": "create.begin", "kind": "hots-crash"}]},
        "faults[0].kind",
        "'host-crash'",
        "did you mean 'host-crash'?",
    ),
    "an unknown profile": (
        {**GOOD, "machines": [guest(workload={"profile": "perodic"})]},
        "machines[0]",
        "there is no profile 'perodic'",
        "did you mean 'periodic'?",
    ),
    "an unknown profile of a machine to come": (
        event(action="create", **guest(workload={"profile": "brust"})),
        "events[1].spec",
        "there is no profile 'brust'",
        "did you mean 'burst'?",
    ),
    "an unknown option": (
        event(action="create", **guest(dirtyrate="1MiB")),
        "events[1].spec",
        "options.mock.dirtyrate: there is no such field",
        "did you mean 'dirty_rate'?",
    ),
    "an unknown progression": (
        {**GOOD, "progression": {"boots": {}}},
        "progression.boots",
        "'boot' or 'stop'",
        "did you mean 'boot'?",
    ),
    "a negative size": ({**GOOD, "hosts": [{"name": "alpha", "memory": -1}]}, "hosts[0].memory", "between 0 and", ""),
    "an absurd size": (
        {**GOOD, "hosts": [{"name": "alpha", "memory": "9999999TiB"}]},
        "hosts[0].memory",
        "",
        "",
    ),
    "a size without a unit": ({**GOOD, "hosts": [{"name": "alpha", "memory": 64}]}, "hosts[0].memory", "", ""),
    "no processors": ({**GOOD, "hosts": [{"name": "alpha", "cpus": 0}]}, "hosts[0].cpus", "greater than", ""),
    "a negative time": (event(action="start", machine="web", time_s=-1), "events[1].time_s", "greater than", ""),
    "an absurd time": (event(action="start", machine="web", time_s=1e12), "events[1].time_s", "less than", ""),
    "a time that is none": (
        event(action="start", machine="web", time_s=float("nan")),
        "events[1].time_s",
        "",
        "",
    ),
    "a time after the end": (
        {**event(action="start", machine="web", time_s=99), "until_s": 50},
        "events[1].time_s",
        "it is after the end, which is at 50 s",
        "let 'until_s' be later",
    ),
    "a duration of nothing": (event(action="hang", host="alpha", seconds=0), "events[1].seconds", "greater than", ""),
    "no time at all": ({**GOOD, "until_s": 0}, "until_s", "greater than", ""),
    "an endless time": ({**GOOD, "until_s": float("inf")}, "until_s", "", ""),
    "too many samples": ({**GOOD, "sample_s": 0.0001}, "", "more than 100,000 samples", ""),
    "a negative seed": ({**GOOD, "seed": -1}, "seed", "greater than", ""),
    "an unknown scheme of a GPU": (
        {**GOOD, "hosts": [{"name": "alpha", "gpus": [{"scheme": "migs"}]}]},
        "hosts[0].gpus[0].scheme",
        "'vgpu'",
        "did you mean 'mig'?",
    ),
    "partitions of an unknown GPU": (
        {**GOOD, "hosts": [{"name": "alpha", "gpus": [{"model": "T4", "scheme": "mig"}]}]},
        "hosts[0].gpus[0]",
        "partitions are known of A100, A30 and H100 only",
        "",
    ),
    "a link of hosts, and of a domain that there isn't": (
        {**GOOD, "links": [{"name": "up", "hosts": ["alpha"], "domain": {"rak": "r9"}, "bandwidth": "1GB"}]},
        "links[0].domain",
        "no host is in rak = 'r9'",
        "",
    ),
    "a workload that changes all the time": (
        {**GOOD, "machines": [guest(workload={"profile": "periodic", "period_s": 1e-6})]},
        "machines[0]",
        "greater than or equal to 0.1",
        "",
    ),
    "two hosts with one name": (
        {**GOOD, "hosts": [{"name": "alpha"}, {"name": "alpha"}]},
        "hosts[1].name",
        "two hosts are named 'alpha'",
        "rename it",
    ),
    "two machines with one name": (
        {**GOOD, "machines": GOOD["machines"] * 2},
        "machines[1]",
        "there is a machine 'web' on host 'alpha'",
        "choose another name",
    ),
    "a machine that is too large": (
        {**GOOD, "machines": [{"host": "alpha", "spec": {"name": "db", "memory": "1TiB"}}]},
        "machines[0]",
        "host 'alpha' has",
        "choose a larger host",
    ),
    "no hosts": ({"hosts": []}, "hosts", "a world needs a host", "add one"),
    "a name that is none": ({"hosts": [{"name": "../x"}]}, "hosts[0].name", "must match", ""),
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[dict[str, Any]], InvalidSpec]:
    """Writes a scenario down, and returns the error that running it is."""

    def wrong(data: dict[str, Any]) -> InvalidSpec:
        file = tmp_path / "fleet.json"
        file.write_text(json.dumps(data))
        with pytest.raises(InvalidSpec) as caught:
            run(Scenario.load(file), vhal.connect, file)
        assert str(file) in caught.value.message
        return caught.value

    return wrong


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named(what: str, load: Callable[[dict[str, Any]], InvalidSpec]) -> None:
    data, path, reason, hint = WRONG[what]
    error = load(data)
    assert path in dict(error.problems)
    assert reason in dict(error.problems)[path]
    assert path in error.message
    assert hint in (error.hint or "")
    assert error.hint


TRACES = {
    "a hole": ("time_s,cpu\n0,0.1\n10,0.2\n30,0.3\n", "row 4", "the others are 10 s apart"),
    "an empty value": ("time_s,cpu\n0,0.1\n10,\n", "row 3", "cpu is empty"),
    "a missing value": ("time_s,cpu\n0,0.1\n10\n", "row 3", "it has 1 values, not 2"),
    "no number": ("time_s,cpu\n0,0.1\n10,lots\n", "row 3", "no number"),
    "more than all": ("time_s,cpu\n0,0.1\n10,20\n", "row 3", "a level is 0 to 1"),
    "another column": ("time_s,cpus\n0,0.1\n10,0.2\n", "cpu", "there is no column 'cpu'"),
}


@pytest.mark.parametrize("what", TRACES)
@pytest.mark.parametrize("place", ["machines[0]", "events[1].spec"])
def test_a_trace_that_is_wrong(
    what: str, place: str, tmp_path: Path, load: Callable[[dict[str, Any]], InvalidSpec]
) -> None:
    text, where, reason = TRACES[what]
    (tmp_path / "day.csv").write_text(text)
    machine = guest(workload={"profile": "trace", "file": "day.csv"})
    error = load({**GOOD, "machines": [machine]} if place.startswith("machines") else event(action="create", **machine))
    assert place in error.message
    assert where in error.message
    assert reason in error.message
    assert error.hint
