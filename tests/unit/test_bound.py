"""Bounds and predictions: held against what can be counted out or computed by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.unit.test_balance import GIB, fleet, host, machine
from vhal.fleet.balance import evenness
from vhal.fleet.balance.ascent import ascend
from vhal.fleet.balance.bound import LeastMemory, bound
from vhal.fleet.balance.evenness import least_deviation, least_score
from vhal.fleet.balance.problem import Ints, Problem
from vhal.fleet.balance.score import Axis, Objective, even, objective
from vhal.fleet.cost import cost
from vhal.fleet.formats.sample import sample
from vhal.fleet.rules import Never, Stay
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost


def tiny(seed: int, mode: str) -> Objective:
    """Return a fleet that is small enough to try every placement of."""
    sizes = (0.5, 1.0) if seed % 2 else (1.0,)
    return objective(Problem.of(sample(3, 7, seed=seed, fill=0.3, sizes=sizes)), mode)


@pytest.mark.parametrize("mode", ["even", "ganeti", "ganeti-util", "ganeti-default"])
@pytest.mark.parametrize("seed", range(4))
def test_no_placement_is_below_the_bounds(seed: int, mode: str) -> None:
    fleet = tiny(seed, mode)
    problem = fleet.problem
    places = [np.array(at) for at in product(range(3), repeat=7)]
    scores = np.array([fleet.score(at) for at in places])
    spreads = np.array([fleet.spread(at) for at in places])
    moved = np.array([at != problem.home for at in places])
    memory, count = moved @ problem.memory, moved.sum(axis=1)
    assert least_score(fleet)[0] <= scores.min() + 1e-9
    start = fleet.score(problem.home)
    for moves in (1, 2, 3, 5, None):
        few = count <= (7 if moves is None else moves)
        assert (least_deviation(fleet, moves) <= spreads[few].min(axis=0) + 1e-9).all()
        for share in (0.2, 0.5, 0.8):
            reaching = memory[few & (scores <= share * start)]
            if len(reaching):
                assert LeastMemory(fleet, share * start, moves).of(share * start) <= reaching.min() + 1e-9


def test_few_moves_leave_an_axis_of_counts_as_uneven_as_it_was_but_for_them() -> None:
    there = [machine(f"m{n}", "a", cpus=1, memory=0) for n in range(6)]
    objective = even(Problem.of(fleet([host("a"), host("b")], there)))
    deviations = [float(least_deviation(objective, moves)[1]) for moves in range(5)]
    assert deviations == pytest.approx([3 / 8, 2 / 8, 1 / 8, 0, 0])


def test_a_limit_of_moves_raises_the_bound_and_the_method_says_so() -> None:
    small = [machine(f"s{n}", "a", cpus=0, memory=1 * GIB) for n in range(16)]
    large = [machine(f"l{n}", "a", cpus=0, memory=8 * GIB) for n in range(2)]
    hosts = [host("a", memory=64 * GIB), host("b", memory=64 * GIB)]
    problem = Problem.of(fleet(hosts, [*small, *large]))
    at = problem.home.copy()
    at[-2:] = 1
    any_number, few = bound(even(problem), at), bound(even(problem), at, 2)
    assert any_number.transferred <= few.transferred == pytest.approx(16 * GIB, rel=0.01)
    assert "memory: of any plan" in any_number.method
    assert "memory: of plans of at most 2 moves" in few.method


def test_a_plan_of_more_moves_than_the_limit_is_bounded_by_its_own_number() -> None:
    problem = Problem.of(fleet([host("a"), host("b")], [machine("m", "a"), machine("n", "a")]))
    mended = bound(even(problem), np.array([0, 1]), 0)  # as rules may ask for, whatever the limit is
    assert mended.transferred <= 4 * GIB
    assert "memory: of plans of at most 1 moves" in mended.method


def test_the_memory_bound_is_what_has_to_leave() -> None:
    hosts = [host("a", memory=64 * GIB), host("b", memory=64 * GIB)]
    problem = Problem.of(fleet(hosts, [machine(f"m{n}", "a", cpus=0) for n in range(8)]))
    assert LeastMemory(even(problem), 1e-6).of(1e-6) == pytest.approx(16, rel=0.01)
    assert LeastMemory(even(problem), 1.0).of(1.0) == 0


def test_the_score_bound_is_that_of_units() -> None:
    problem = Problem.of(fleet([host("a"), host("b")], [machine(f"m{n}", "a", memory=0) for n in range(3)]))
    assert least_score(even(problem))[0] == pytest.approx(0.125)  # 4 and 2 of 8 processors


MIXED = (0.5, 1.0, 2.0)


def possible(problem: Problem) -> list[Ints]:
    """Return every placement that a plan could lead to: where machines may be, and no host fuller than it may get."""
    may = problem.open & problem.zones[problem.zone] & problem.movable[:, None]
    may[np.arange(len(may)), problem.home] = True
    lowest = np.minimum(problem.free(problem.home), 0.0)
    places = (np.array(at, np.intp) for at in product(*(np.flatnonzero(each) for each in may)))
    return [at for at in places if (problem.free(at) >= lowest).all()]


def changed(snapshot: FleetSnapshot, how: str) -> FleetSnapshot:
    """Return a fleet in which something can't be as it likes."""
    first, *others = snapshot.hosts
    if how in ("cordoned", "draining"):
        return snapshot.replace(hosts=(first.replace(status=HostStatus(how)), *others))
    if how == "ruled":
        never = Never(machines=Selector("name=m000001"), hosts=Selector(f"name={first.name}"))
        return snapshot.replace(rules=(never, Stay(machines=Selector("name=m000002"))))
    if how == "too small":  # for what is there
        return snapshot.replace(hosts=(first.replace(memory=snapshot.machines[0].memory // 2), *others))
    return snapshot


@pytest.mark.parametrize("how", ["as it is", "cordoned", "draining", "ruled", "too small"])
@pytest.mark.parametrize("mode", ["even", "ganeti", "ganeti-util", "ganeti-default"])
def test_no_plan_leads_below_the_bound_of_hosts_that_differ(mode: str, how: str) -> None:
    shares = []
    for seed, fill in product(range(2), (0.3, 0.6)):
        problem = Problem.of(changed(sample(3, 7, seed=seed, fill=fill, sizes=MIXED), how))
        fleet = objective(problem, mode)
        best = min(fleet.score(at) for at in possible(problem))
        least, _ = least_score(fleet)
        assert 0 <= least <= best + 1e-9
        shares.append(least / best)
    if mode == "ganeti-util":  # even by share and by amount
        assert np.median(shares) > 0.2
        assert max(shares) > 0.7


def two_ways(hosts: list[SeenHost], sizes: dict[str, tuple[float, float]]) -> Objective:
    """Return the objective that four machines of one unit are even on two hosts by each of these sizes of the hosts."""
    problem = Problem.of(fleet(hosts, [machine(f"m{n}", "b") for n in range(4)]))
    axes = (Axis(name, 1.0, np.ones(4), np.zeros(2), np.array(size)) for name, size in sizes.items())
    return Objective(problem, tuple(axes))


def test_what_contradicts_itself_has_a_bound() -> None:
    both = two_ways([host("a"), host("b")], {"share": (1.0, 3.0), "amount": (1.0, 1.0)})
    # With x units at the first: |x - (4-x)/3|/2 + |x - (4-x)|/2, and that is least at x = 2.
    least, how = least_score(both)
    assert least == pytest.approx(2 / 3, rel=0.03)
    assert min(both.score(at) for at in possible(both.problem)) == pytest.approx(2 / 3)
    assert "Lagrange dual" in how


def test_the_score_bound_heeds_what_hosts_have_room_for() -> None:
    hosts = [host("a", memory=4 * GIB), host("b")]
    one, _ = least_score(two_ways(hosts, {"amount": (1.0, 1.0)}))
    assert one == pytest.approx(1.0, rel=0.03)  # one machine, and three


def test_what_cannot_move_bounds_the_score() -> None:
    there = [machine("m", "a"), machine("n", "b", movable=False), machine("o", "b", movable=False)]
    for machines in (there[1:], there):
        objective = even(Problem.of(fleet([host("a"), host("b", memory=64 * GIB)], machines)))
        best = min(objective.score(at) for at in possible(objective.problem))
        assert least_score(objective)[0] == pytest.approx(best, rel=0.03)


def test_a_fleet_too_large_for_an_ascent_has_the_bound_of_units(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = objective(Problem.of(sample(3, 7, seed=1, sizes=MIXED, fill=0.3)), "ganeti-util")
    least, how = least_score(mixed)
    monkeypatch.setattr(evenness, "WORK", 100)
    units, words = least_score(mixed)
    assert units == pytest.approx(float(mixed.weight @ least_deviation(mixed)))
    assert units < least
    assert ("0 on others" in words, "0 on others" in how) == (True, False)


@pytest.mark.parametrize("mode", ["even", "ganeti", "ganeti-util", "ganeti-default"])
def test_odd_fleets_have_a_bound(mode: str) -> None:
    away = host("a", status=HostStatus.DRAINING)
    empty = host("c", memory=0, cpus=0)
    for hosts in ([host("a")], [away], [away, host("b")], [host("a"), empty], [away, empty]):
        for machines in ([], [machine("m", "a")], [machine("m", "a", cpus=0, memory=0), machine("n", "a")]):
            odd = objective(Problem.of(fleet(hosts, machines)), mode)
            least, how = least_score(odd)
            assert 0 <= least <= min(odd.score(at) for at in possible(odd.problem)) + 1e-9
            assert how


def test_an_ascent_finds_the_top() -> None:
    top = np.array([3.0, -2.0])

    def hill(point: np.ndarray) -> tuple[float, np.ndarray]:
        off = (point - top) * np.array([1.0, 50.0])
        return -float(((point - top) * off).sum()), -2 * off

    assert ascend(hill, np.zeros(2), 60) == pytest.approx(top, abs=1e-4)


def test_what_a_move_costs() -> None:
    fast, slow = host("a", bandwidth=1 * GIB), host("b", bandwidth=GIB / 2)
    idle = cost(machine("m", "a", memory=4 * GIB), fast, slow)
    assert (idle.transferred, idle.total_s, idle.downtime_s) == (4 * GIB, 8.0, 0.0)
    writes = cost(machine("m", "a", memory=4 * GIB, dirty_rate=GIB / 4), fast, slow)
    # 4, 2, 1, ½, ¼ and ⅛ GiB: the last fits into 0.3 s at ½ GiB a second.
    assert (writes.transferred, writes.downtime_s) == (int(7.875 * GIB), 0.25)
    never = cost(machine("m", "a", memory=1 * GIB, dirty_rate=2 * GIB), fast, fast)
    assert (never.transferred, never.downtime_s) == (31 * GIB, 1.0)
    unknown = cost(machine("m", "a"), host("a"), host("b"))
    assert (unknown.transferred, unknown.total_s) == (4 * GIB, 0.0)
