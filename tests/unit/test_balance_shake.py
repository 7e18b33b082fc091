"""Balancing hosts that differ in size: random changes lead further than the best ones, and break no rule."""

from __future__ import annotations

import numpy as np
import pytest

from vhal.fleet.balance import plan_balance
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.score import even, ganeti
from vhal.fleet.balance.search import Search
from vhal.fleet.balance.shake import Shaker
from vhal.fleet.balance.verify import verify
from vhal.fleet.formats.sample import sample
from vhal.fleet.rules import Never
from vhal.fleet.selector import Selector
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.spec.units import Bytes

SIZES = (0.5, 1.0, 2.0)


def shaker(snapshot: FleetSnapshot, price: float = 0.0) -> Shaker:
    layout = Layout(even(Problem.of(snapshot)))
    machines = np.flatnonzero(layout.problem.movable)
    return Shaker(layout, machines, np.full(len(layout.at), price), np.random.default_rng(0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_hosts_differ_random_changes_lead_to_a_better_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = sample(8, 60, seed=seed, sizes=SIZES)
    plan = plan_balance(snapshot)
    assert verify(plan, snapshot) == []
    monkeypatch.setattr(Search, "_shake", lambda *_: None)
    assert plan.score[1] < 0.8 * plan_balance(snapshot).score[1]


def test_within_limits_and_where_hosts_are_alike_nothing_is_changed_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("changed at random")

    monkeypatch.setattr(Search, "_shake", refuse)
    assert plan_balance(sample(8, 60, seed=1)).moves
    assert plan_balance(sample(8, 60, seed=1, sizes=SIZES), BalanceSettings(max_moves=20)).moves
    assert plan_balance(sample(8, 60, seed=1, sizes=SIZES), BalanceSettings(max_memory=Bytes(1 << 38))).moves


def test_random_changes_keep_rules_and_room() -> None:
    snapshot = sample(10, 80, seed=2, sizes=SIZES, fill=0.8, apart=5)
    away, shut = snapshot.hosts[0].name, snapshot.hosts[1].name
    snapshot = snapshot.replace(
        rules=(*snapshot.rules, Never(machines=Selector("name=m00001*"), hosts=Selector(f"name={away}"))),
        hosts=tuple(host.replace(status=HostStatus.DRAINING) if host.name == shut else host for host in snapshot.hosts),
    )
    problem = Problem.of(snapshot)
    at = shaker(snapshot).run(lambda: True)
    assert (at != problem.home).sum() > 40
    assert (problem.free(at) >= -1e-3).all()
    assert problem.zones[problem.zone, at][at != problem.home].all()
    assert set(np.flatnonzero(at == 1)) <= set(np.flatnonzero(problem.home == 1))
    assert all(at[each] == problem.home[each] for each in problem.apart)


def test_sums_that_are_kept_are_those_of_where_machines_are() -> None:
    problem = Problem.of(sample(6, 40, seed=5, sizes=SIZES))
    objective = ganeti(problem, "util")
    shaken = Shaker(Layout(objective), np.arange(40), np.zeros(40), np.random.default_rng(1))
    at = shaken.run(lambda: True)
    assert shaken.score == pytest.approx(objective.score(at), abs=1e-9)


def test_dear_moves_arent_made() -> None:
    snapshot = sample(6, 40, seed=5, sizes=SIZES)
    dear, free = (shaker(snapshot, price).run(lambda: True) for price in (1.0, 0.0))
    home = Problem.of(snapshot).home
    assert (dear != home).sum() < (free != home).sum() / 2


def test_nothing_is_changed_when_time_is_over_or_no_host_takes_machines() -> None:
    snapshot = sample(6, 40, seed=5, sizes=SIZES)
    home = Problem.of(snapshot).home
    assert (shaker(snapshot).run(lambda: False) == home).all()
    shut = tuple(host.replace(status=HostStatus.CORDONED) for host in snapshot.hosts)
    assert (shaker(snapshot.replace(hosts=shut)).run(lambda: True) == home).all()
