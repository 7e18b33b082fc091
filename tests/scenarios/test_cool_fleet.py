"""A hot host of a simulated fleet is cooled: looked at, planned, carried out, and counted."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from vhal_mock.world import World

from vhal.fleet.figures.metrics import MoveMetrics
from vhal.fleet.fleet import Fleet
from vhal.fleet.moves.apply import apply
from vhal.fleet.watch.cool import CoolSettings, cool
from vhal.fleet.watch.habit import Habit, learn
from vhal.journal import Journal


def world() -> World:
    busy = {"mock": {"load": 0.97}}
    spec = {"cpus": 2, "memory": "2GiB", "options": busy}
    machines = [
        {"host": "a", "running": True, "count": 8, "spec": {"name": "web", **spec}},
        {"host": "b", "running": True, "count": 2, "spec": {"name": "db", **spec}},
    ]
    return World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}], "machines": machines})


def test_a_hot_host_is_cooled(tmp_path: Path) -> None:
    w = world()
    registry = CollectorRegistry()
    habits: dict[str, Habit] = {}
    with Fleet([w.url("a"), w.url("b")]) as fleet, Journal(tmp_path / "journal") as journal:
        for _ in range(12):
            snapshot = fleet.snapshot(over_s=300)
            habits = learn(habits, snapshot)
        plan = cool(snapshot, habits, CoolSettings(empty=False))
        assert {move.source for move in plan.moves} == {"a"}
        apply(plan, fleet, journal=journal, on_event=MoveMetrics(registry)).check()
        after = fleet.snapshot(over_s=300)
        assert {each.name for each in after.on["b"]} == {each.name for each in snapshot.on["b"]} | {
            move.machine for move in plan.moves
        }
        assert not cool(after, learn(habits, after), CoolSettings(empty=False))
    assert registry.get_sample_value("vhal_moves_total", {"outcome": "moved"}) == len(plan.moves)
    assert registry.get_sample_value("vhal_moves_under_way") == 0
    assert (registry.get_sample_value("vhal_move_bytes_total") or 0) > 0


def test_a_host_that_isnt_needed_is_emptied(tmp_path: Path) -> None:
    w = World.from_spec(
        {
            "hosts": [{"name": "a"}, {"name": "b"}],
            "machines": [
                {"host": name, "running": True, "spec": {"name": f"on-{name}", "cpus": 2, "memory": "2GiB"}}
                for name in ("a", "b")
            ],
        }
    )
    with Fleet([w.url("a"), w.url("b")]) as fleet, Journal(tmp_path / "journal") as journal:
        snapshot = fleet.snapshot(over_s=300)
        plan = cool(snapshot, learn({}, snapshot))
        apply(plan, fleet, journal=journal).check()
        after = fleet.snapshot()
    assert sorted(len(machines) for machines in after.on.values()) == [0, 2]
