"""The changes of all hosts, put together by a solver: held against every placement of small fleets."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from tests.unit.test_balance import GIB, fleet, host, machine
from vhal.errors import Unsupported
from vhal.fleet.balance import cheapest, plan_balance
from vhal.fleet.balance.allowance import Allowance, as_it_is, corners
from vhal.fleet.balance.assembly import assemble
from vhal.fleet.balance.columns import Columns, keys, near, small
from vhal.fleet.balance.kinds import Kinds
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.master import Master
from vhal.fleet.balance.problem import Ints, Problem
from vhal.fleet.balance.score import Objective, objective
from vhal.fleet.balance.verify import verify
from vhal.fleet.formats.sample import sample
from vhal.fleet.rules import Apart
from vhal.fleet.selector import Selector
from vhal.fleet.settings import BalanceSettings


def tiny(seed: int, mode: str) -> Objective:
    """Return a fleet that is small enough to try every placement of."""
    sizes = (0.5, 1.0) if seed % 2 else (1.0,)
    return objective(Problem.of(sample(3, 7, seed=seed, fill=0.3, sizes=sizes)), mode)


def possible(fleet: Objective) -> list[Ints]:
    """Return the placements with room for all."""
    problem = fleet.problem
    places = (np.array(at) for at in product(range(3), repeat=len(problem.home)))
    return [at for at in places if (problem.free(at) >= 0).all()]


@pytest.mark.parametrize("mode", ["ganeti", "ganeti-default"])
def test_hardly_more_memory_moves_than_must(mode: str) -> None:
    best, found = 0.0, 0.0
    for seed, moves, share in product(range(6), (3, 7), (0.3, 0.6)):
        fleet = tiny(seed, mode)
        score = share * fleet.score(fleet.problem.home)
        reaching = [at for at in possible(fleet) if fleet.score(at) <= score]
        layouts = [each for each in (Layout(fleet, at) for at in reaching) if len(each.moved) <= moves]
        if not layouts:
            continue
        least, most = (take(layouts, key=lambda each: each.memory) for take in (min, max))
        made = assemble(most, score, moves, lambda: True)
        assert made.score <= score
        assert len(made.moved) <= moves
        assert (made.free >= -made.slack).all()
        assert made.memory >= least.memory - 1e-9
        best, found = best + least.memory, found + made.memory
    assert best > 0
    assert found <= 1.1 * best


def test_what_cant_be_made_better_is_given_back() -> None:
    problem = Problem.of(fleet([host("a"), host("b")], [machine("m", "a"), machine("n", "a")]))
    layout = Layout(objective(problem, "even"), np.array([0, 1]))
    assert assemble(layout, layout.score, 1, lambda: True) is layout
    uneven = Layout(layout.objective, np.array([0, 1]))
    assert assemble(uneven, 0.01, 1, lambda: True) is uneven
    assert assemble(Layout(layout.objective), 1.0, 1, lambda: False).memory == 0


def test_a_solver_finds_plans_that_searches_dont(monkeypatch: pytest.MonkeyPatch) -> None:
    fleets = [sample(20, 200, seed=seed) for seed in (11, 12)]
    wanted = BalanceSettings(objective="ganeti", max_moves=25, margin=0)
    solved = [plan_balance(each, wanted) for each in fleets]
    monkeypatch.setattr(cheapest, "SOLVABLE", 0)
    searched = [plan_balance(each, wanted) for each in fleets]
    assert sum(plan.memory for plan in solved) < sum(plan.memory for plan in searched)
    for plan, each in zip(solved, fleets, strict=True):
        assert verify(plan, each) == []
        assert len(plan.moves) <= 25


def test_who_asks_for_it_gets_plans_of_less_memory_for_larger_fleets() -> None:
    snapshot = sample(40, 400, seed=5)
    quick, thorough = (
        plan_balance(snapshot, BalanceSettings(objective="ganeti", max_moves=40, margin=0, thorough=each))
        for each in (False, True)
    )
    assert thorough.memory < quick.memory
    assert thorough.score[1] <= quick.score[1] * 1.05
    assert len(thorough.moves) <= 40
    assert verify(thorough, snapshot) == []


def test_without_the_solver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("assembly", "master"):
        monkeypatch.delitem(sys.modules, f"vhal.fleet.balance.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "highspy", None)
    snapshot = sample(20, 200, seed=12)
    with pytest.raises(Unsupported, match="needs highspy") as caught:
        plan_balance(snapshot, BalanceSettings(objective="ganeti", max_moves=25, margin=0))
    assert caught.value.hint == "pip install 'vhal[fleet]'"


def test_the_solver_prints_nothing() -> None:
    # What it prints, it prints once a process, and where programs read plans.
    solve = "from vhal.fleet.balance.master import Master; print(Master(hosts=1, kinds=1, moves=1).solve().least)"
    ran = subprocess.run([sys.executable, "-c", solve], capture_output=True, text=True, check=True)
    assert ran.stdout == "100000.0\n"
    assert ran.stderr == ""


def test_kinds_tell_how_many_went_where_and_back() -> None:
    problem = Problem.of(sample(3, 12, seed=1))
    there = Layout(objective(problem, "even"), np.random.default_rng(2).integers(3, size=12))
    kinds = Kinds.of(there)
    changes = kinds.changes(there)
    again = kinds.carried_out(changes)
    assert (kinds.changes(again) == changes).all()
    assert (changes.sum(axis=0) == 0).all()
    assert again.score == pytest.approx(there.score)
    assert len(again.moved) == np.maximum(-changes, 0).sum() <= len(there.moved)


def test_machines_that_rules_hold_apart_stay_where_the_layout_has_them() -> None:
    machines = [machine(f"m{n}", "a", labels={"team": "x"} if n < 2 else {}) for n in range(6)]
    rule = Apart(machines=Selector("team=x"))
    problem = Problem.of(fleet([host("a"), host("b"), host("c")], machines, rule))
    there = Layout(objective(problem, "even"), np.array([0, 1, 2, 1, 0, 0]))
    made = Kinds.of(there).carried_out(np.zeros((3, 1), np.intp))
    assert made.at.tolist() == [0, 1, 0, 0, 0, 0]


def test_all_changes_of_few_machines_are_columns_that_a_host_has_room_for() -> None:
    machines = [machine("s", "a"), machine("t", "a"), machine("l", "b", memory=31 * GIB)]
    problem = Problem.of(fleet([host("a"), host("b")], machines))
    layout = Layout(objective(problem, "even"))
    kinds = Kinds.of(layout)
    anything = Allowance(np.zeros(2), np.zeros(2), problem.counted)
    columns = small(kinds, anything)
    found = {(int(each), *change) for each, change in zip(columns.host, columns.change.tolist(), strict=True)}
    # Of 4 GiB and of 31 GiB. Host a has 2 of the former and b 1 of the latter; each has room for 32 GiB.
    assert found == {(0, 0, 0), (0, -1, 0), (0, -2, 0), (0, -2, 1), (1, 0, 0), (1, 0, -1), (1, 1, -1), (1, 2, -1)}
    nothing = columns.of(np.flatnonzero((columns.change == 0).all(axis=1)))
    around = near(kinds, anything, nothing)
    assert {(0, -1, 0), (1, 0, -1), (1, 1, -1)} == {
        (int(each), *change) for each, change in zip(around.host, around.change.tolist(), strict=True)
    }
    assert len(set(keys(columns).tolist())) == len(columns.host)


def test_what_keeps_to_an_allowance_reaches_the_score() -> None:
    fleet = tiny(3, "ganeti")
    score = 0.5 * fleet.score(fleet.problem.home)
    reaching = [Layout(fleet, at) for at in possible(fleet) if fleet.score(at) <= score]
    within = 0
    for allowance in (as_it_is(reaching[0], score), *corners(reaching[0], score, 7)):
        for at in possible(fleet):
            if allowance.taken(np.arange(3), fleet.shares(at)).sum() <= 1.0:
                within += 1
                assert fleet.score(at) <= score + 1e-9
    assert within > 0


def test_corners_are_for_two_axes_of_which_one_can_be_made_nearly_even() -> None:
    problem = Problem.of(sample(4, 16, seed=1))
    assert len(list(corners(Layout(objective(problem, "ganeti")), 1.0, np.inf))) == 2
    assert list(corners(Layout(objective(problem, "ganeti")), 1e-9, np.inf)) == []
    assert list(corners(Layout(objective(problem, "ganeti-default")), 1.0, np.inf)) == []


def test_a_solution_says_what_things_are_worth() -> None:
    # Two hosts: from one, two of 4 GiB or one of 8 may leave for the other. One move is allowed.
    change = np.array([[0, 0], [-2, 0], [0, -1], [0, 0], [2, 0], [0, 1]], float)
    host = np.array([0, 0, 0, 1, 1, 1])
    sent = np.array([0, 8, 8, 0, 0, 0], float)
    moves = np.array([0, 2, 1, 0, 0, 0])
    columns = Columns(host, change, sent, moves, taken=np.array([0.9, 0.4, 0.4, 0.9, 0.4, 0.4]))
    master = Master(hosts=2, kinds=2, moves=1)
    master.add(columns)
    worth = master.solve()
    shares = master.shares()
    costs = worth.costs(columns)
    assert (costs > -1e-9).all()
    assert costs[shares > 1e-9] == pytest.approx(0)
    assert worth.least == pytest.approx(sent @ shares)
    assert worth.allowance > 0
    chosen = master.choose()
    assert chosen is not None
    assert chosen.tolist() == [2, 5]


def test_where_no_choice_reaches_the_score_there_is_none() -> None:
    nothing = Columns(np.array([0]), np.zeros((1, 1)), np.zeros(1), np.zeros(1, np.intp), np.array([1.5]))
    master = Master(hosts=1, kinds=1, moves=1)
    master.add(nothing)
    assert master.solve().least > 1000
    assert master.choose() is None
