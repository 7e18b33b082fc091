"""What a world is made from: files, and what is said of those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
from vhal.errors import InvalidSpec, NotFound

pytestmark = pytest.mark.timeout(30)

RIGHT: dict[str, Any] = {
    "seed": 3,
    "hosts": [
        {"name": "alpha", "memory": "32GiB", "domains": {"rack": "r1"}},
        {"name": "beta", "count": 2, "gpus": [{"scheme": "mig", "count": 2}]},
    ],
    "links": [{"name": "uplink", "domain": {"rack": "r1"}, "hosts": ["beta2"], "bandwidth": "1GB"}],
    "machines": [{"host": "alpha", "running": True, "count": 3, "spec": {"name": "web", "memory": "1GiB"}}],
    "faults": [{"at": "start.begin", "host": "alpha", "skip": 10}],
    "progression": {"boot": {"by": "immediate"}},
}

TOML = """
seed = 3
[[hosts]]
name = "alpha"
memory = "32GiB"
domains = {rack = "r1"}
[[hosts]]
name = "beta"
count = 2
gpus = [{scheme = "mig", count = 2}]
[[links]]
name = "uplink"
domain = {rack = "r1"}
hosts = ["beta2"]
bandwidth = "1GB"
[[machines]]
host = "alpha"
running = true
count = 3
spec = {name = "web", memory = "1GiB"}
[[faults]]
at = "start.begin"
host = "alpha"
skip = 10
[progression.boot]
by = "immediate"
"""


@pytest.mark.parametrize("name", ["w.toml", "w.json"])
def test_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TOML if name == "w.toml" else json.dumps(RIGHT))
    world = World.load(path)
    assert list(world.hosts) == ["alpha", "beta1", "beta2"]
    assert list(world.host("alpha").running) == [world.machine(f"web{n}").id for n in (1, 2, 3)]
    assert len(world.host("beta1").gpus) == 2
    assert [link.name for link in world.network.path("alpha", "beta1")] == ["alpha out", "uplink out", "beta1 in"]
    assert world.seed == 3
    assert [fault.at for fault in world.faults.faults] == ["start.begin"]
    assert [host.name for host in world.in_domain(rack="r1")] == ["alpha"]
    vhal.connect(world.url("alpha")).machine("web1").wait("ready")
    assert world.clock.now_s == 0


WRONG: list[tuple[dict[str, Any], str, str, str]] = [
    ({"hosts": [{"name": "a"}, {"name": "a"}]}, "hosts[1].name", "two hosts are named 'a'", "hosts[0]"),
    ({"hosts": [{"name": "a1"}, {"name": "a", "count": 2}]}, "hosts[1].name", "two hosts are named 'a1'", "rename"),
    ({"machines": [{"host": "alhpa", "spec": {"name": "x"}}]}, "machines[0].host", "no host 'alhpa'", "'alpha'"),
    ({"faults": [{"at": "start.begin", "host": "gamma"}]}, "faults[0].host", "no host 'gamma'", ""),
    ({"faults": [{"at": "strat.begin"}]}, "faults[0].at", "no fault point 'strat.begin'", "'start.begin'"),
    ({"links": [{"name": "l", "hosts": ["alpa"], "bandwidth": "1GB"}]}, "links[0].hosts[0]", "no host", "'alpha'"),
    ({"links": [{"name": "l", "bandwidth": "1GB"}]}, "links[0].hosts", "no host shares", "name the hosts"),
    (
        {"links": [{"name": "l", "domain": {"rack": "r2"}, "bandwidth": "1GB"}]},
        "links[0].domain",
        "no host is in rack = 'r2'",
        "did you mean rack = 'r1'?",
    ),
    ({"hosts": [{"name": "a", "memory": "-1GiB"}]}, "hosts[0].memory", "", ""),
    ({"hosts": [{"name": "a", "memory": "1000000PiB"}]}, "hosts[0].memory", "", ""),
    ({"hosts": [{"name": "a", "cpus": -4}]}, "hosts[0].cpus", "", ""),
    ({"hosts": [{"name": "a", "cpus": 10**9}]}, "hosts[0].cpus", "", ""),
    ({"hosts": [{"name": "a", "bandwidth": 0}]}, "hosts[0].bandwidth", "", ""),
    ({"hosts": [{"name": "a", "latency_s": -1}]}, "hosts[0].latency_s", "", ""),
    ({"hosts": [{"name": "a", "cpu_overcommit": 0.5}]}, "hosts[0].cpu_overcommit", "", ""),
    ({"hosts": [{"name": "a", "gpus": [{"scheme": "mgi"}]}]}, "hosts[0].gpus[0].scheme", "'mig'", ""),
    ({"hosts": [{"name": "a", "quirks": ["loses"]}]}, "hosts[0].quirks[0]", "post-copy-parallel-loses", ""),
    ({"seed": -1}, "seed", "", ""),
    ({"speed": 0}, "speed", "", ""),
    ({"progression": {"boot": {"by": "looks"}}}, "progression.boot", "looks", ""),
    ({"progression": {"sleep": {}}}, "progression.sleep", "'boot' or 'stop'", ""),
    ({"faults": [{"at": "start.begin", "probability": 2}]}, "faults[0].probability", "", ""),
    ({"faults": [{"at": "start.begin", "kind": "meteor"}]}, "faults[0].kind", "host-crash", ""),
    ({"machines": [{"host": "alpha", "spec": {"name": "x", "memory": "99GiB"}}]}, "machines[0]", "32 GiB", "larger"),
    (
        {"machines": [{"host": "alpha", "running": True, "count": 40, "spec": {"name": "x", "memory": "1GiB"}}]},
        "machines[0]",
        "is full",
        "",
    ),
    (
        {"machines": [{"host": "alpha", "spec": {"name": "x"}}, {"host": "alpha", "spec": {"name": "x"}}]},
        "machines[1]",
        "there is a machine 'x'",
        "another name",
    ),
    (
        {"machines": [{"host": "beta1", "spec": {"name": "x", "gpus": [{"profile": "4g.10gb"}]}}]},
        "machines[0]",
        "1g.10gb",
        "did you mean '4g.40gb'?",
    ),
    (
        {
            "machines": [
                {"host": "alpha", "spec": {"name": "x", "options": {"mock": {"workload": {"profile": "brust"}}}}}
            ]
        },
        "machines[0]",
        "options.mock.workload: there is no profile 'brust'; there are ",
        "did you mean 'burst'?",
    ),
]


@pytest.mark.parametrize(("change", "path", "reason", "hint"), WRONG)
def test_what_is_wrong_is_said_with_file_and_path(
    tmp_path: Path, change: dict[str, Any], path: str, reason: str, hint: str
) -> None:
    base = {key: value for key, value in RIGHT.items() if key in ("hosts",)}
    file = tmp_path / "w.json"
    file.write_text(json.dumps({**base, **change}))
    with pytest.raises(InvalidSpec) as caught:
        World.load(file)
    error = caught.value
    assert str(file) in error.message
    assert path in dict(error.problems)
    assert reason in error.message
    assert error.hint
    assert hint in error.hint


def test_a_file_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.toml"):
        World.load(tmp_path / "no.toml")


def test_a_trace_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,cpu\n0,0.5\n60,\n")
    workload = {"profile": "trace", "file": "t.csv"}
    spec = {"name": "x", "options": {"mock": {"workload": workload}}}
    (tmp_path / "w.json").write_text(json.dumps({"hosts": [{"name": "a"}], "machines": [{"host": "a", "spec": spec}]}))
    with pytest.raises(InvalidSpec, match=r"machines\[0\].*t\.csv, row 3: cpu is empty"):
        World.load(tmp_path / "w.json")


class TestProgression:
    def test_by_looks_one_sees_each_state_so_often(self) -> None:
        looks = {"by": "looks", "looks": 3}
        world = World.from_spec({"hosts": [{"name": "a"}], "progression": {"boot": looks, "stop": looks}})
        vm = vhal.connect(world.url()).create(vhal.MachineSpec(name="web"))
        vm.start()
        vm.wait("ready")
        assert world.clock.now_s == 0
        vm.stop()
        assert [str(vm.state()) for _ in range(4)] == ["stopping", "stopping", "stopped", "stopped"]
        assert [entry.kind for entry in world.log] == ["created", "started", "stopped"]
        assert world.clock.now_s == 0

    def test_a_machine_that_is_stopping_by_looks_can_be_forced(self) -> None:
        looks = {"by": "looks", "looks": 9}
        world = World.from_spec({"hosts": [{"name": "a"}], "progression": {"stop": looks}})
        vm = vhal.connect(world.url()).create(vhal.MachineSpec(name="web"))
        vm.start()
        vm.stop()
        vm.stop(force=True)
        assert [str(vm.state()) for _ in range(2)] == ["stopped", "stopped"]
        vm.start()
        assert str(vm.state()) == "running"

    def test_in_its_time_or_in_anothers(self) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}], "progression": {"boot": {"by": "time", "seconds": 77}}})
        vm = vhal.connect(world.url()).create(vhal.MachineSpec(name="web"))
        vm.start()
        vm.wait("ready")
        assert world.clock.now_s == 77
        vm.stop()
        assert world.clock.now_s == 79

    def test_the_rungs_come_in_their_order(self) -> None:
        from vhal_mock.boot import Boot, Rung

        boot = Boot(100, 10)
        seen = [boot.rung(100 + tenth) for tenth in range(11)]
        assert list(dict.fromkeys(seen)) == [
            *(Rung.POWERED, Rung.FIRMWARE, Rung.KERNEL, Rung.NETWORK, Rung.AGENT, Rung.READY)
        ]
        assert boot.left_s(100, Rung.AGENT) == pytest.approx(8)
        assert boot.left_s(200) == 0
