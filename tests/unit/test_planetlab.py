"""The bench of PlanetLab's day: that it counts right, and that the policy that plays in it is worth something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.bench.planetlab.cooling import Cooling
from tests.bench.planetlab.datacenter import MIB_S, Datacenter, Floats
from tests.bench.planetlab.traces import STEP_S, STEPS, Traces, load, make

DAY_S = STEPS * STEP_S


class Script:
    """Moves machines at given steps, and keeps what it was shown."""

    def __init__(self, moves: dict[int, list[tuple[int, int]]] | None = None) -> None:
        self._moves = moves or {}
        self.shown: list[Floats] = []

    def decide(self, center: Datacenter, wanted: Floats) -> Sequence[tuple[int, int]]:
        self.shown.append(wanted)
        return self._moves.get(len(self.shown) - 1, [])


def constant(*percent: int) -> Traces:
    return np.repeat(np.array(percent, dtype=np.uint8)[:, None], STEPS, axis=1)


def test_a_day_without_moves() -> None:
    # One machine of each kind; 2,500 MIPS only fit into a core of a G5, which is each second host.
    center = Datacenter(constant(40), hosts=2)
    assert list(center.place) == [1]
    outcome = center.run(Script())
    share = 1000 / 5320
    assert outcome.energy_kwh == pytest.approx(np.interp(share, [0.1, 0.2], [97, 101]) * DAY_S / 3.6e6)
    assert (outcome.slatah, outcome.pdm, outcome.moves, outcome.esv, outcome.hosts) == (0, 0, 0, 0, 1)


def test_what_a_move_costs() -> None:
    center = Datacenter(constant(40), hosts=4)
    (source,) = center.place
    target = next(host for host in (1, 3) if host != source)
    outcome = center.run(Script({10: [(0, target)]}))
    took = 870 / MIB_S
    assert outcome.moves == 1
    assert outcome.pdm == pytest.approx(0.1 * took / DAY_S)
    # Both hosts are on meanwhile, and the one that it comes to is short.
    assert outcome.slatah == pytest.approx(took / (DAY_S + took))
    assert outcome.hosts == pytest.approx((DAY_S + took) / DAY_S)
    assert outcome.esv == pytest.approx(outcome.energy_kwh * outcome.slatah * outcome.pdm)
    assert list(center.place) == [target]


def test_a_host_of_which_more_is_wanted_than_it_has_is_short() -> None:
    traces = constant(*[80] * 8)
    center = Datacenter(traces, hosts=20)
    wanted = center.demand[:, 0]
    center.place[:] = 1
    outcome = center.run(Script())
    lacking = wanted.sum() - 5320
    assert lacking > 0
    assert outcome.slatah == 1
    assert outcome.shortfall == pytest.approx(lacking / wanted.sum())
    assert outcome.energy_kwh == pytest.approx(135 * DAY_S / 3.6e6)


def test_a_machine_gets_no_more_than_a_core() -> None:
    center = Datacenter(constant(100), hosts=2)
    center.place[:] = 0
    assert center.run(Script()).shortfall == pytest.approx(1 - 1860 / 2500)


def test_whoever_decides_late_sees_only_what_is_over() -> None:
    traces = (np.arange(STEPS) % 100).astype(np.uint8)[None, :]
    now, late = Script(), Script()
    Datacenter(traces, hosts=2).run(now)
    Datacenter(traces, hosts=2).run(late, late=1)
    assert [float(shown[0]) for shown in now.shown[:3]] == [0, 25, 50]
    assert [float(shown[0]) for shown in late.shown[:3]] == [0, 25, 50]
    assert (len(now.shown), len(late.shown)) == (STEPS, STEPS - 1)


def test_first_places_have_room_for_all_that_was_sold() -> None:
    center = Datacenter(make(200, 1), hosts=160)
    for host in set(center.place):
        here = center.place == host
        assert center.mips[here].sum() <= center.capacity[host]
        assert center.mib[here].sum() <= 4096
    with pytest.raises(SystemExit, match="don't fit"):
        Datacenter(make(200, 1), hosts=20)


def test_a_made_up_day_is_like_the_recorded_ones() -> None:
    day = make(1000, 3)
    assert day.shape == (1000, STEPS)
    assert 9 < day.mean() < 15
    assert 13 < day.std() < 20
    assert (day == make(1000, 3)).all()


def test_a_folder_that_has_no_days(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
    np.save(tmp_path / "wrong.npy", np.zeros((2, 2)))
    with pytest.raises(SystemExit, match=r"wrong\.npy is no day"):
        load(tmp_path)


def test_vhal_needs_few_hosts_and_few_moves() -> None:
    traces = make(60, 5)
    still = Datacenter(traces, hosts=60).run(Script())
    cooled = Datacenter(traces, hosts=60).run(Cooling(), late=1)
    assert cooled.energy_kwh < 0.4 * still.energy_kwh
    assert cooled.moves < 3 * len(traces)
    assert cooled.slatah < 0.06
    assert cooled.shortfall < 0.01
