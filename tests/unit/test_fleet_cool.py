"""Which machines leave hosts that run hot, and what machines are used to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fleets import GIB, fleet, host, machine, steady
from vhal.errors import InvalidSpec
from vhal.fleet.rules import Apart, Stay
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load
from vhal.fleet.watch.cool import CoolSettings, cool, heat
from vhal.fleet.watch.habit import Habit, expected, learn, spare, typical
from vhal.spec.state import MachineState
from vhal.spec.usage import Usage

KEEP = CoolSettings(empty=False)


def hot(**facts: Any) -> FleetSnapshot:
    """Host a wants 15.4 of 16 processors, b 2."""
    machines = [machine(f"m{n}", "a", 1.925, **facts) for n in range(8)] + [machine("other", "b", 2.0)]
    return fleet(host("a"), host("b"), machines=machines)


def ways(plan: Any) -> list[tuple[str, str, str]]:
    return [(move.machine, move.source, move.destination) for move in plan.moves]


# what machines are used to


def test_a_habit_is_the_mean_and_the_variance_of_its_samples() -> None:
    samples = [0.5, 1.5, 1.0, 0.25]
    habit = Habit()
    for number, busy in enumerate(samples):
        habit = habit.sampled(busy, number, half_life_s=1e12)
    assert habit.mean == pytest.approx(statistics.mean(samples))
    assert habit.variance == pytest.approx(statistics.pvariance(samples))
    assert habit.weight == pytest.approx(4)


def test_what_is_a_half_life_ago_counts_half() -> None:
    habit = Habit().sampled(1.0, 0, 60).sampled(4.0, 60, 60)
    assert habit.mean == pytest.approx((0.5 * 1 + 4) / 1.5)


def test_who_isnt_measured_teaches_nothing_and_who_is_gone_is_forgotten() -> None:
    known = {"m": Habit(mean=1, weight=3), "gone": Habit(mean=2, weight=3)}
    seen = fleet(host("a"), machines=[machine("m", "a"), machine("p", "a", 1.0, state=MachineState.PAUSED)])
    assert learn(known, seen) == {"m": known["m"].replace(host="a")}


def test_who_is_on_a_host_that_does_not_answer_is_not_forgotten() -> None:
    known = {"m": Habit(mean=1, weight=3, host="a"), "n": Habit(mean=2, weight=3, host="b")}
    seen = fleet(host("a", status=HostStatus.UNREACHABLE), host("b"))
    assert learn(known, seen) == {"m": known["m"]}


# what is counted


def counted(cpu_s: float, time_s: float, on: str = "a", **facts: Any) -> FleetSnapshot:
    """A fleet whose machine has counters, and a load that says nothing of what it did."""
    usage = Usage(time_s=time_s, cpu_s=cpu_s)
    seen = machine("m", on, 1.0, usage=usage, **facts)
    return fleet(host("a"), host("b"), machines=[seen], taken_s=time_s)


def after(*looks: FleetSnapshot) -> Habit:
    habits: Mapping[str, Habit] = {}
    for look in looks:
        habits = learn(habits, look)
    return habits["m"]


def test_what_was_done_is_the_difference_of_two_counters_and_no_smoothed_load() -> None:
    first = counted(0, 0).machines[0].replace(load=None)
    known = after(counted(0, 0).replace(machines=(first,)), counted(600, 300), counted(600, 600))
    assert known.mean == pytest.approx(1.0, rel=0.02)
    assert known.variance == pytest.approx(1.0, rel=0.02)
    assert known.weight == pytest.approx(2.0, rel=0.02)


def test_who_looks_five_times_as_often_knows_no_more() -> None:
    seldom = after(*(counted(0.5 * at_s, at_s) for at_s in range(0, 3601, 300)))
    often = after(*(counted(0.5 * at_s, at_s) for at_s in range(0, 3601, 60)))
    assert often.weight == pytest.approx(seldom.weight, rel=0.01)
    assert often.mean == pytest.approx(seldom.mean, rel=0.01)


@pytest.mark.parametrize(
    "look",
    [
        counted(5000, 600, on="b"),
        counted(1, 600),
        counted(5000, 600, state=MachineState.PAUSED),
        counted(5000, 300),
    ],
    ids=["moved", "started again", "paused", "at the same time"],
)
def test_counters_that_cannot_be_compared_teach_nothing(look: FleetSnapshot) -> None:
    known = after(counted(0, 0), counted(150, 300))
    later = learn({"m": known}, look)["m"]
    assert (later.mean, later.variance, later.weight) == (known.mean, known.variance, known.weight)
    assert later.host == look.machines[0].host


def test_what_a_machine_does_lately_is_seen_before_its_habit_changes() -> None:
    calm = after(*(counted(0.25 * at_s, at_s) for at_s in range(0, 12 * 3600 + 1, 300)))
    begin = 12 * 3600
    looks = [counted(0.25 * begin + 2 * by_s, begin + by_s) for by_s in range(300, 1801, 300)]
    habits: Mapping[str, Habit] = {"m": calm}
    for look in looks:
        habits = learn(habits, look)
    want = expected(looks[-1].machines[0], habits, 0.1)
    assert want.usual < 0.6
    assert want.lately > 1.2


def test_who_is_given_too_little_wants_at_least_what_it_is_used_to() -> None:
    """On a host that has 2 processors one machine begins to want both, and the other gets next to nothing."""

    def look(at_s: float, first: float, second: float) -> FleetSnapshot:
        seen = [
            machine(name, "a", 1.0, usage=Usage(time_s=at_s, cpu_s=cpu_s))
            for name, cpu_s in (("m", first), ("n", second))
        ]
        return fleet(host("a", cpus=2), machines=seen, taken_s=at_s)

    habits: Mapping[str, Habit] = {}
    for at_s in range(0, 3601, 300):
        habits = learn(habits, look(at_s, 0.5 * at_s, at_s))
    starved = learn(habits, look(3900, 0.5 * 3600 + 1.9 * 300, 3600 + 0.1 * 300))
    assert starved["n"].mean == pytest.approx(habits["n"].mean)
    assert starved["m"].mean > habits["m"].mean + 0.05
    idle = learn(habits, look(3900, 0.5 * 3600 + 0.5 * 300, 3600 + 0.1 * 300))
    assert idle["n"].mean < habits["n"].mean - 0.05


def test_a_machine_that_has_moved_is_learned_of_on_its_new_host() -> None:
    known = after(counted(0, 0), counted(150, 300), counted(9000, 600, on="b"), counted(9600, 900, on="b"))
    assert known.mean == pytest.approx((1.0 + 0.5 + 2.0) / 3, rel=0.1)
    assert known.seen_s == 900


def test_a_new_machine_is_taken_for_one_like_the_others() -> None:
    seen = fleet(host("a"), machines=[machine("old", "a", 0.5), machine("new", "a", cpus=8)])
    habits = steady(seen)
    assert typical(seen, habits) == pytest.approx(0.25)
    assert expected(seen.machines[1], habits, 0.25)[:2] == pytest.approx((2.0, 2.0))


def test_where_nothing_is_known_a_machine_wants_all_it_was_given() -> None:
    assert typical(fleet(host("a"), machines=[machine("m", "a")]), {}) == 1.0


def test_what_is_spare_is_counted_in_deviations() -> None:
    assert spare(10, 6, 4) == 2
    assert spare(10, 10, 0) > 0 > spare(10, 11, 0)


# hot hosts


def test_as_few_machines_as_needed_leave_a_hot_host() -> None:
    snapshot = hot()
    plan = cool(snapshot, steady(snapshot, variance=0.04), KEEP)
    assert ways(plan) == [("m0", "a", "b")]
    assert plan.moves[0].reason == "a is hot: 96% of its processors are expected busy"
    assert plan.moves[0].memory == 4 * GIB
    assert plan.snapshot == snapshot.digest
    assert {change.host: change.machines for change in plan.hosts} == {"a": (8, 7), "b": (1, 2)}


def test_of_two_that_give_the_same_the_smaller_one_leaves() -> None:
    snapshot = hot()
    machines = tuple(
        each.replace(memory=2 * GIB) if each.name == "m5" else each.replace() for each in snapshot.machines
    )
    snapshot = snapshot.replace(machines=machines)
    assert ways(cool(snapshot, steady(snapshot, variance=0.04), KEEP)) == [("m5", "a", "b")]


def test_a_peak_is_no_reason_to_move() -> None:
    snapshot = hot()
    habits = {each.id: Habit(mean=0.5, variance=0.04, weight=100) for each in snapshot.machines}
    plan = cool(snapshot, habits, KEEP)
    assert not plan
    assert plan.notes == ("nothing is worth moving: no host is hot, and none can be emptied",)


def test_after_a_plan_nothing_is_hot_and_nothing_more_is_planned() -> None:
    snapshot = hot()
    habits = steady(snapshot, variance=0.04)
    plan = cool(snapshot, habits, KEEP)
    places = {move.id: move.destination for move in plan.moves}
    after = snapshot.replace(
        machines=tuple(each.replace(host=places.get(each.id, each.host)) for each in snapshot.machines)
    )
    assert not cool(after, habits, KEEP)


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"movable": False}, ()),
        ({"state": MachineState.PAUSED}, ()),
        ({"moved_s": -60.0}, ()),
        ({"labels": {"pin": "yes"}}, (Stay(machines=Selector("pin")),)),
        ({"labels": {"tier": "db"}}, (Apart(machines=Selector("tier=db")),)),
    ],
    ids=["immovable", "paused", "just moved", "told to stay", "apart"],
)
def test_who_may_not_leave_stays_and_that_is_told(facts: dict[str, Any], rules: tuple[Any, ...]) -> None:
    snapshot = hot(**facts).replace(rules=rules)
    if "labels" in facts and "tier" in facts["labels"]:
        others = [each.replace(labels=facts["labels"]) if each.name == "other" else each for each in snapshot.machines]
        snapshot = snapshot.replace(machines=tuple(others))
    plan = cool(snapshot, steady(snapshot, variance=0.04), KEEP)
    assert not plan
    assert plan.notes == ("a stays hot: nothing that may leave it fits elsewhere",)


@pytest.mark.parametrize("status", [HostStatus.CORDONED, HostStatus.DRAINING, HostStatus.UNREACHABLE])
def test_nothing_goes_to_a_host_that_takes_nothing(status: HostStatus) -> None:
    snapshot = hot()
    snapshot = snapshot.replace(hosts=(snapshot.hosts[0], snapshot.hosts[1].replace(status=status)))
    assert not cool(snapshot, steady(snapshot, variance=0.04), KEEP)


def test_no_more_moves_than_allowed() -> None:
    machines = [machine(f"m{n}", "a", 3.0, cpus=4) for n in range(8)]
    snapshot = fleet(host("a", overcommit=4), host("b", overcommit=4), machines=machines)
    assert len(cool(snapshot, steady(snapshot), KEEP).moves) > 2
    assert len(cool(snapshot, steady(snapshot), KEEP.replace(moves=2)).moves) == 2


def test_no_more_memory_than_allowed_and_a_smaller_machine_instead() -> None:
    snapshot = hot()
    machines = tuple(
        each.replace(memory=2 * GIB, load=Load(cpus=1.9)) if each.name == "m5" else each for each in snapshot.machines
    )
    snapshot = snapshot.replace(machines=machines)
    habits = {
        name: habit.replace(variance=0.2) if name == "m5" else habit
        for name, habit in steady(snapshot, variance=0.04).items()
    }
    assert ways(cool(snapshot, habits, KEEP.replace(memory=3 * GIB))) == [("m5", "a", "b")]
    none = cool(snapshot, habits, KEEP.replace(memory=1 * GIB))
    assert not none
    assert none.notes == ("a stays hot: no more may be moved now",)


def test_a_host_that_is_short_lately_is_hot_whatever_it_is_used_to() -> None:
    snapshot = hot()
    calm = {each.id: Habit(mean=0.5, variance=0.04, weight=100) for each in snapshot.machines}
    busy = {name: habit.replace(lately=1.95, lately_weight=50) for name, habit in calm.items()}
    assert not cool(snapshot, calm, KEEP)
    assert {move.source for move in cool(snapshot, busy, KEEP).moves} == {"a"}


def test_hot_hosts_are_told_the_hottest_first() -> None:
    machines = [machine(f"{on}{n}", on, busy) for on, busy in (("a", 1.9), ("b", 2.0), ("c", 0.5)) for n in range(8)]
    snapshot = fleet(host("a"), host("b"), host("c"), host("idle", cpus=0), machines=machines)
    found = heat(snapshot, steady(snapshot, variance=0.04))
    assert list(found) == ["b", "a"]
    assert found["b"] == pytest.approx(1.0, abs=0.01)


# hosts that can be emptied


@pytest.mark.parametrize("limit", [{"moves": 1}, {"memory": 7 * GIB}, {"moves": 0}])
def test_a_host_that_may_not_be_emptied_whole_is_left_alone(limit: dict[str, Any]) -> None:
    machines = [machine(f"m{n}", "a", 0.5) for n in range(2)] + [machine(f"n{n}", "b", 0.5) for n in range(3)]
    snapshot = fleet(host("a"), host("b"), machines=machines)
    assert len(cool(snapshot, steady(snapshot)).moves) == 2
    assert not cool(snapshot, steady(snapshot), CoolSettings(**limit))


def test_a_host_is_emptied_if_all_that_is_on_it_fits_elsewhere() -> None:
    machines = [machine("m0", "a", 1.0), machine("m1", "b", 1.0), machine("m2", "b", 0.5)]
    snapshot = fleet(host("a"), host("b"), host("idle"), machines=machines)
    plan = cool(snapshot, steady(snapshot))
    assert ways(plan) == [("m0", "a", "b")]
    assert plan.moves[0].reason == "a can be emptied: all that is on it fits elsewhere"


def test_no_host_is_emptied_in_part() -> None:
    machines = [machine("small", "a", 0.1), machine("large", "a", 0.1, memory=60 * GIB), machine("m", "b", 1.0)]
    snapshot = fleet(host("a"), host("b"), machines=machines)
    assert ways(cool(snapshot, steady(snapshot))) == [("m", "b", "a")] or not cool(snapshot, steady(snapshot))


def test_a_setting_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="hot"):
        CoolSettings(hot=-1)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 2), st.integers(1, 40)),
        max_size=24,
    ),
    empty=st.booleans(),
)
def test_whatever_the_fleet_memory_fits_after_each_move(places: list[tuple[int, float, int]], empty: bool) -> None:
    hosts = [host(f"h{n}", overcommit=4) for n in range(4)]
    machines = [machine(f"m{n}", f"h{at}", busy, memory=size * GIB) for n, (at, busy, size) in enumerate(places)]
    snapshot = fleet(*hosts, machines=machines)
    plan = cool(snapshot, steady(snapshot), CoolSettings(empty=empty))
    held = {name: sum(int(each.memory) for each in on) for name, on in snapshot.on.items()}
    for move in plan.moves:
        held[move.source] -= move.memory
        held[move.destination] += move.memory
        assert held[move.destination] <= 64 * GIB
    assert len({move.id for move in plan.moves}) == len(plan.moves)
    assert plan == cool(snapshot, steady(snapshot), CoolSettings(empty=empty))
