"""Bounds and predictions: held against what can be counted out or computed by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.unit.test_balance import GIB, fleet, host, machine
from vhal.fleet.balance.ascent import ascend
from vhal.fleet.balance.bound import LeastMemory, least_score
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.score import even, ganeti
from vhal.fleet.cost import cost
from vhal.fleet.formats.sample import sample


def every_placement(seed: int) -> list[tuple[float, float]]:
    """Return score and memory moved of every placement of a small fleet."""
    problem = Problem.of(sample(3, 7, seed=seed, fill=0.3))
    objective = ganeti(problem)
    places = (np.array(at) for at in product(range(3), repeat=7))
    return [(objective.score(at), float(problem.memory[at != problem.home].sum())) for at in places]


@pytest.mark.parametrize("seed", range(4))
def test_no_placement_is_below_the_bounds(seed: int) -> None:
    problem = Problem.of(sample(3, 7, seed=seed, fill=0.3))
    objective = ganeti(problem)
    placements = every_placement(seed)
    assert least_score(objective) <= min(score for score, _ in placements) + 1e-9
    start = objective.score(problem.home)
    for share in (0.2, 0.5, 0.8):
        reaching = [memory for score, memory in placements if score <= share * start]
        if reaching:
            assert LeastMemory(objective, share * start).of(share * start) <= min(reaching) + 1e-9


def test_the_memory_bound_is_what_has_to_leave() -> None:
    hosts = [host("a", memory=64 * GIB), host("b", memory=64 * GIB)]
    problem = Problem.of(fleet(hosts, [machine(f"m{n}", "a", cpus=0) for n in range(8)]))
    assert LeastMemory(even(problem), 1e-6).of(1e-6) == pytest.approx(16, rel=0.01)
    assert LeastMemory(even(problem), 1.0).of(1.0) == 0


def test_the_score_bound_is_that_of_units() -> None:
    problem = Problem.of(fleet([host("a"), host("b")], [machine(f"m{n}", "a", memory=0) for n in range(3)]))
    assert least_score(even(problem)) == pytest.approx(0.125)  # 4 and 2 of 8 processors


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
