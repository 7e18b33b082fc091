"""Balancing: what a plan is like, when there is none, and that it breaks nothing on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vhal.fleet.balance import cheapest, plan_balance, planner, search
from vhal.fleet.balance.descend import descend
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.order import Step, dependencies, order
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.score import even, ganeti
from vhal.fleet.balance.verify import verify
from vhal.fleet.formats.sample import sample
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.plan import Move, Plan
from vhal.fleet.rules import Apart, Never, Only, Rule, Stay, Together
from vhal.fleet.selector import Selector
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.units import Bytes

GIB = 1 << 30


def host(name: str, **facts: Any) -> SeenHost:
    return SeenHost(**{"name": name, "uuid": name, "cpus": 8, "memory": 32 * GIB, "overcommit": 4.0, **facts})


def machine(name: str, on: str, **facts: Any) -> SeenMachine:
    return SeenMachine(**{"id": name, "name": name, "host": on, "cpus": 2, "memory": 4 * GIB, **facts})


def fleet(hosts: Iterable[SeenHost], machines: Iterable[SeenMachine], *rules: Rule) -> FleetSnapshot:
    return FleetSnapshot(hosts=tuple(hosts), machines=tuple(machines), rules=rules)


def move(name: str, source: str, destination: str, after: tuple[int, ...] = ()) -> Move:
    return Move.trusted(
        machine=name, id=name, source=source, destination=destination, reason="", memory=Bytes(0), transferred=Bytes(0),
        total_s=0.0, downtime_s=0.0, after=after, gain=0.0,
    )  # fmt: skip


def after(snapshot: FleetSnapshot, plan: Plan) -> FleetSnapshot:
    at = {move.id: move.destination for move in plan.moves}
    return snapshot.replace(machines=tuple(each.replace(host=at.get(each.id, each.host)) for each in snapshot.machines))


def crowd(count: int = 6, **facts: Any) -> FleetSnapshot:
    return fleet([host("a"), host("b"), host("c")], [machine(f"m{n}", "a", **facts) for n in range(count)])


def test_a_crowded_host_is_relieved_evenly_and_every_move_says_why() -> None:
    snapshot = crowd()
    plan = plan_balance(snapshot)
    assert verify(plan, snapshot) == []
    assert {name: len(there) for name, there in after(snapshot, plan).on.items()} == {"a": 2, "b": 2, "c": 2}
    assert plan.score[1] == pytest.approx(0)
    assert all(each.source == "a" and "→" in each.reason for each in plan.moves)
    assert plan.bound is not None
    assert plan.bound.transferred <= plan.memory == 16 * GIB
    assert {change.host: change.machines for change in plan.hosts} == {"a": (6, 2), "b": (0, 2), "c": (0, 2)}


def test_the_same_snapshot_gives_the_same_plan() -> None:
    snapshot = sample(12, 100, seed=4, apart=5)
    assert plan_balance(snapshot) == plan_balance(FleetSnapshot.read(snapshot.model_dump_json()))


def test_an_even_fleet_is_left_alone_and_it_is_said_why() -> None:
    plan = plan_balance(fleet([host("a"), host("b")], [machine("m", "a"), machine("n", "b")]))
    assert not plan
    assert plan.notes == ("nothing worth moving: an imbalance of 0.0000 is within the band of 0.02",)


def test_what_gains_too_little_isnt_moved() -> None:
    plan = plan_balance(crowd(), BalanceSettings(margin=1.0))
    assert plan.moves or "isn't worth it" in plan.notes[0]
    plan = plan_balance(crowd(4), BalanceSettings(margin=0.9))
    assert not plan
    assert "less than 90% isn't worth it" in plan.notes[0]


@pytest.mark.parametrize(
    "held",
    [
        {"movable": False},
        {"state": "stopped"},
        {"moved_s": 0.0},
    ],
)
def test_machines_that_cant_or_may_not_move_stay(held: dict[str, Any]) -> None:
    assert plan_balance(crowd(**held)).notes == (
        "nothing worth moving: no machine may move, or there is no second host that takes machines",
    )


def test_machines_that_somebody_holds_stay() -> None:
    snapshot = crowd()
    rule = Stay(machines=Selector("name=m0"))
    for plan in (
        plan_balance(snapshot, BalanceSettings(stay=(Selector("name=m0"),))),
        plan_balance(snapshot.replace(rules=(rule,))),
    ):
        assert plan.moves
        assert "m0" not in {move.machine for move in plan.moves}


def test_limits_are_kept() -> None:
    snapshot = sample(15, 150, seed=1)
    assert len(plan_balance(snapshot, BalanceSettings(max_moves=7)).moves) <= 7
    assert plan_balance(snapshot, BalanceSettings(max_memory=Bytes(20 * GIB))).memory <= 20 * GIB
    assert not plan_balance(snapshot, BalanceSettings(max_moves=0))


@pytest.mark.parametrize("status", [HostStatus.CORDONED, HostStatus.DRAINING, HostStatus.UNREACHABLE])
def test_only_a_host_that_is_up_gets_machines(status: HostStatus) -> None:
    snapshot = crowd()
    hosts = (*snapshot.hosts[:2], snapshot.hosts[2].replace(status=status))
    plan = plan_balance(snapshot.replace(hosts=hosts))
    assert {move.destination for move in plan.moves} == {"b"}


def test_a_broken_rule_is_mended_and_nothing_else_in_mode_minimal() -> None:
    rules: tuple[Rule, ...] = (
        Apart(name="pair", machines=Selector("name=p*")),
        Only(machines=Selector("name=x"), hosts=Selector("name=b")),
        Never(machines=Selector("name=y"), hosts=Selector("name=a")),
        Together(machines=Selector("name=t*")),
    )
    names = ("p1", "p2", "x", "y", "m1", "m2")
    machines = [machine(name, "a") for name in names] + [machine("t1", "b"), machine("t2", "b"), machine("t3", "c")]
    snapshot = fleet([host("a"), host("b"), host("c")], machines, *rules)
    plan = plan_balance(snapshot, BalanceSettings(mode="minimal"))
    assert plan.kind == "repair"
    assert verify(plan, snapshot) == []
    assert {move.machine: move.destination for move in plan.moves}.items() >= {"x": "b", "t3": "b"}.items()
    assert {move.machine for move in plan.moves} <= {"p1", "p2", "x", "y", "t3"}
    assert len(plan.moves) == 4
    assert any("'pair' keeps it apart from p1" in move.reason for move in plan.moves)
    assert plan_balance(after(snapshot, plan), BalanceSettings(mode="minimal")).notes == (
        "nothing worth moving: every rule holds",
    )


def test_a_rule_that_cant_be_mended_is_told_of() -> None:
    rule = Only(machines=Selector("name=x"), hosts=Selector("name=b"))
    for facts, why in (({"movable": False, "reason": "it has a GPU"}, "it has a GPU"), ({"memory": 33 * GIB}, "room")):
        snapshot = fleet([host("a", memory=64 * GIB), host("b")], [machine("x", "a", **facts)], rule)
        plan = plan_balance(snapshot, BalanceSettings(mode="minimal"))
        assert not plan
        assert plan.notes[0].startswith("x stays, though a rule doesn't let it be on a")
        assert why in plan.notes[0]


def test_a_hot_host_is_cooled_and_no_more() -> None:
    busy = [machine(f"m{n}", "a", load=Load(cpus=2), memory=(n + 1) * GIB) for n in range(4)]
    snapshot = fleet([host("a"), host("b")], [*busy, machine("n", "b", load=Load(cpus=1))])
    plan = plan_balance(snapshot, BalanceSettings(mode="hot", hot=0.8))
    assert [(move.machine, move.destination) for move in plan.moves] == [("m0", "b")]
    assert plan.moves[0].reason == "a is hot: 100% of its processors, and 80% is the limit; b has 12%"
    assert plan_balance(after(snapshot, plan), BalanceSettings(mode="hot")).notes == (
        "nothing worth moving: no host is above 80% of its processors",
    )


def test_a_host_that_stays_hot_is_told_of() -> None:
    snapshot = fleet([host("a"), host("b")], [machine(n, n[0], load=Load(cpus=7.5)) for n in ("a1", "b1")])
    plan = plan_balance(snapshot, BalanceSettings(mode="hot"))
    assert not plan
    assert plan.notes[0] == "a stays hot at 94%: nothing on it may move to a host that has room for it and stays cool"


def test_a_hot_host_is_cooled_further_than_it_must_and_nothing_else_is() -> None:
    hosts = [host(name) for name in "abc"]
    busy = {"a": 0.9, "b": 0.75, "c": 0.1}
    there = [machine(f"{at}{n}", at, load=Load(cpus=share * 8 / 4)) for at, share in busy.items() for n in range(4)]
    wanted = BalanceSettings(mode="hot", hot=0.8, cooled=0.5)
    plan = plan_balance(fleet(hosts, there), wanted)
    assert [(move.source, move.destination) for move in plan.moves] == [("a", "c")]
    assert plan.notes == ()


def test_two_full_hosts_change_places_through_a_third() -> None:
    hosts = [host("a"), host("b"), host("c", memory=40 * GIB)]
    machines = [machine("m", "a", memory=32 * GIB), machine("n", "b", memory=32 * GIB)]
    problem = Problem.of(fleet(hosts, machines))
    steps, stays = order(even(problem), np.array([1, 0]))
    assert not stays
    assert [(step.machine, step.source, step.destination, step.aside) for step in steps] == [
        (0, 0, 2, True),
        (1, 1, 0, False),
        (0, 2, 1, False),
    ]
    assert dependencies(problem, steps) == [(), (0,), (0, 1)]


def test_where_there_is_no_way_a_machine_stays() -> None:
    machines = [machine("m", "a", memory=32 * GIB), machine("n", "b", memory=32 * GIB)]
    steps, stays = order(even(Problem.of(fleet([host("a"), host("b")], machines))), np.array([1, 0]))
    assert steps == []
    assert sorted(stays) == [0, 1]


def test_a_rules_member_waits_until_the_other_has_gone() -> None:
    rule = Apart(machines=Selector())
    problem = Problem.of(fleet([host("a"), host("b"), host("c")], [machine("m", "a"), machine("n", "b")], rule))
    steps, _ = order(even(problem), np.array([1, 2]))
    assert steps == [Step(1, 1, 2), Step(0, 0, 1)]
    assert dependencies(problem, steps) == [(), (0,)]


@pytest.mark.parametrize("objective", ["even", "ganeti", "ganeti-util", "ganeti-default"])
def test_a_layout_keeps_the_score_that_would_be_computed_anew(objective: str) -> None:
    from vhal.fleet.balance.score import objective as named

    problem = Problem.of(sample(8, 60, seed=2, sizes=(0.5, 1, 2)))
    layout = Layout(named(problem, objective))
    draw = np.random.default_rng(3)
    for _ in range(50):
        first, second = draw.choice(60, 2, replace=False)
        to, there = (layout.at[[first, second]] + draw.integers(1, 8, size=2)) % 8
        sums, squares = layout.changes_of_two(*(np.array([each]) for each in (first, to, second, there)))
        expected = float(layout.score_of(layout.sums + sums, layout.squares + squares)[0])
        layout.place(int(first), int(to))
        layout.place(int(second), int(there))
        assert layout.score == pytest.approx(expected, abs=1e-9)
        assert layout.score == pytest.approx(layout.objective.score(layout.at), abs=1e-9)


@pytest.mark.parametrize("fill", [0.6, 0.85, 0.93])
def test_within_a_limit_no_plan_is_worse_than_the_best_single_moves(fill: float) -> None:
    snapshot = sample(10, 90, seed=1, fill=fill)
    problem = Problem.of(snapshot)
    single = Layout(ganeti(problem))
    made = descend(single, np.flatnonzero(problem.movable))
    plan = plan_balance(snapshot, BalanceSettings(objective="ganeti", max_moves=len(made), margin=0))
    assert verify(plan, snapshot) == []
    assert len(plan.moves) <= len(made)
    assert plan.score[1] <= single.score + 1e-9
    assert plan.memory <= sum(problem.machines[each].memory for each, _ in made)


@pytest.mark.parametrize("objective", ["even", "ganeti-util"])
def test_each_of_the_best_single_moves_is_the_best(objective: str) -> None:
    from vhal.fleet.balance.score import objective as named

    problem = Problem.of(sample(8, 60, seed=6, sizes=(0.5, 1, 2), apart=4))
    layout = Layout(named(problem, objective))
    made = descend(Layout(layout.objective), np.flatnonzero(problem.movable))
    assert made
    for moved, to in made:
        scores = []
        for one in np.flatnonzero(problem.movable).tolist():
            hosts = np.flatnonzero(layout.may(one))
            sums, squares = layout.changes(np.full(len(hosts), one), hosts)
            scores += layout.score_of(layout.sums + sums, layout.squares + squares).tolist()
        layout.place(moved, to)
        assert layout.score == pytest.approx(min(scores), abs=1e-9)


def test_one_machine_changes_places_with_two_where_nothing_less_helps() -> None:
    large = [machine(f"l{n}", "a", cpus=0, memory=10 * GIB) for n in range(2)]
    small = [machine(f"s{n}", "b", cpus=0, memory=4 * GIB) for n in range(2)]
    snapshot = fleet([host("a"), host("b")], [*large, *small, machine("f", "b", cpus=0, memory=8 * GIB, movable=False)])
    plan = plan_balance(snapshot)
    assert plan.score[1] == pytest.approx(0)
    assert sorted(move.source for move in plan.moves) == ["a", "b", "b"]
    assert verify(plan, snapshot) == []


@pytest.mark.parametrize("limit", [None, 40])
def test_a_fleet_too_large_to_look_at_every_change_is_planned_from_samples(
    limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in ((planner, "SMALL", 10), (planner, "CELLS", 1000), (cheapest, "LARGE", 1000)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(search, "CELLS", 1000)
    monkeypatch.setattr(search, "SAMPLE", 8)
    snapshot = sample(30, 300, seed=1)
    plan = plan_balance(snapshot, BalanceSettings(max_moves=limit))
    assert verify(plan, snapshot) == []
    assert 0 < len(plan.moves) <= (limit or 300)
    assert plan.score[1] < 0.5 * plan.score[0]


def test_a_fleet_comes_to_rest_and_stays_at_it() -> None:
    for seed in range(3):
        snapshot, counts = sample(12, 100, seed=seed, fill=0.7), []
        for _ in range(6):
            plan = plan_balance(snapshot)
            counts.append(len(plan.moves))
            snapshot = after(snapshot, plan)
        assert counts[0]
        assert not any(counts[3:]), counts


def test_a_host_is_emptied() -> None:
    snapshot = sample(10, 80, seed=5, apart=5)
    plan = plan_drain(snapshot, ["h00003"])
    assert {move.id for move in plan.moves} == {each.id for each in snapshot.on["h00003"]}
    assert verify(plan, snapshot) == []


@st.composite
def fleets(draw: st.DrawFn) -> FleetSnapshot:
    count = draw(st.integers(1, 6))
    gpus = st.sampled_from([{}, {}, {"x": 2}, {"x": 1, "y": 2}])
    status = st.sampled_from([*[HostStatus.UP] * 5, *HostStatus])
    hosts = [
        host(
            f"h{n}",
            cpus=draw(st.integers(1, 8)),
            memory=draw(st.integers(2, 24)) * GIB,
            overcommit=draw(st.sampled_from([1.0, 2.0])),
            gpus=FrozenDict(draw(gpus)),
            status=draw(status),
            labels=FrozenDict({"rack": draw(st.sampled_from("rs"))} if draw(st.booleans()) else {}),
        )
        for n in range(count)
    ]
    machines = [
        machine(
            f"m{n}",
            f"h{draw(st.integers(0, count - 1))}",
            cpus=draw(st.integers(0, 4)),
            memory=draw(st.integers(0, 8)) * GIB,
            gpus=FrozenDict(draw(st.sampled_from([{}, {}, {}, {"x": 1}, {"": 1}]))),
            movable=draw(st.sampled_from([True, True, True, False])),
            load=draw(st.none() | st.builds(Load, cpus=st.floats(0, 4))),
            labels=FrozenDict({"team": draw(st.sampled_from("abc"))}),
        )
        for n in range(draw(st.integers(0, 14)))
    ]
    team = st.sampled_from("abc").map(lambda each: Selector(f"team={each}"))
    where = st.integers(0, count - 1).map(lambda each: Selector(f"name=h{each}")) | st.just(Selector("rack=r"))
    domain = st.sampled_from(["host", "rack"])
    rule = (
        st.builds(Apart, machines=team, domain=domain)
        | st.builds(Together, machines=team, domain=domain)
        | st.builds(Only, machines=team, hosts=where)
        | st.builds(Never, machines=team, hosts=where)
        | st.builds(Stay, machines=team)
    )
    return fleet(hosts, machines, *draw(st.lists(rule, max_size=3)))


SOME = st.builds(
    BalanceSettings,
    mode=st.sampled_from(["full", "minimal", "hot"]),
    max_moves=st.none() | st.integers(0, 6),
    max_memory=st.none() | st.integers(0, 20).map(lambda each: each * GIB),
    margin=st.sampled_from([0.0, 0.1]),
    hot=st.sampled_from([0.3, 0.8]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleets(), SOME)
def test_no_step_of_any_plan_breaks_anything(snapshot: FleetSnapshot, wanted: BalanceSettings) -> None:
    plan = planner.plan(snapshot, wanted)  # whatever the rules are, and whoever answers
    assert verify(plan, snapshot) == []
    assert plan.moves or plan.notes
    if wanted.mode == "full" and not snapshot.rules:
        assert plan.score[1] <= plan.score[0] + 1e-9
    if plan.bound is not None and plan.moves:
        assert plan.bound.score <= plan.score[1] + 1e-9
        assert plan.bound.transferred <= sum({move.id: move.memory for move in plan.moves}.values()) * (1 + 1e-9)


def test_the_verifier_sees_what_is_wrong() -> None:
    rules: tuple[Rule, ...] = (Apart(machines=Selector("name=m*")), Stay(machines=Selector("name=s")))
    machines = [machine("m1", "a"), machine("m2", "b"), machine("s", "a"), machine("f", "a", movable=False)]
    big = machine("big", "a", memory=30 * GIB, gpus=FrozenDict({"x": 1}))
    hosts = [host("a", memory=64 * GIB, gpus=FrozenDict({"x": 1})), host("b"), host("c", status="cordoned")]
    snapshot = fleet(hosts, [*machines, big], *rules)

    def said(*ways: tuple[str, str, str], made_from: str = snapshot.digest, waits: tuple[int, ...] = ()) -> str:
        moves = tuple(move(*way, after=waits) for way in ways)
        return "; ".join(verify(Plan(snapshot=made_from, moves=moves), snapshot))

    assert "made from another snapshot" in said(made_from="old")
    assert "the machine isn't there" in said(("m1", "b", "a"))
    assert "it breaks rule 0 (apart name=m*)" in said(("m1", "a", "b"))
    assert "a rule holds the machine" in said(("s", "a", "b"))
    assert "the machine can't move" in said(("f", "a", "b"))
    assert "c is cordoned" in said(("s", "a", "c"))
    assert "b hasn't the memory; " in said(("big", "a", "b"))
    assert "b hasn't the GPUs of that model" in said(("big", "a", "b"))
    assert "it waits for a move that isn't before it" in said(("m2", "b", "a"), waits=(0,))
    # In this order there is room, but nothing says that the second has to wait for the first.
    full = fleet(
        [host("a"), host("b"), host("c")], [machine("p", "a", memory=30 * GIB), machine("q", "b", memory=30 * GIB)]
    )
    moves = (move("p", "a", "c"), move("q", "b", "a"))
    assert verify(Plan(snapshot=full.digest, moves=moves), full) == [
        "move 1 (q): if it comes as early as it may, a hasn't the memory"
    ]
