"""The bench of PlanetLab's day: that it counts right, and that the policy that plays in it is worth something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bench.planetlab import day as played
from tests.bench.planetlab.day import DAY_S, Day
from tests.bench.planetlab.outcome import Count, Moved, Outcome
from tests.bench.planetlab.protocol import Center
from tests.bench.planetlab.traces import STEPS, Traces, load, make, others
from vhal.errors import HostUnreachable


def constant(*percent: int) -> Traces:
    return np.repeat(np.array(percent, dtype=np.uint8)[:, None], STEPS, axis=1)


def counted(traces: Traces, hosts: int, *moves: Moved, at: int | None = None) -> Outcome:
    """A day in which nothing moves but what is said; ``at`` has all machines, or they are where they are put."""
    center = Center(len(traces), hosts)
    places = center.first_places() if at is None else np.full(len(traces), at)
    return Count(center, traces, places).day(moves, DAY_S)


# what is counted


def test_a_day_without_moves() -> None:
    # One machine of each kind; 2,500 MIPS only fit into a core of a G5, which is each second host.
    assert list(Center(1, 2).first_places()) == [1]
    outcome = counted(constant(40), 2)
    share = 1000 / 5320
    assert outcome.energy_kwh == pytest.approx(np.interp(share, [0.1, 0.2], [97, 101]) * DAY_S / 3.6e6)
    assert (outcome.slatah, outcome.pdm, outcome.moves, outcome.esv, outcome.hosts) == (0, 0, 0, 0, 1)


def test_what_a_move_costs() -> None:
    move = Moved(machine=0, destination=3, begun_s=3010.0, halted_s=3023.5, ended_s=3024.0)
    outcome = counted(constant(40), 4, move, at=1)
    assert outcome.moves == 1
    # A tenth of what it gets while it runs, and all of it while it stands still.
    assert outcome.pdm == pytest.approx((0.1 * 13.5 + 0.5) / DAY_S)
    # Both hosts are on meanwhile, and the one that it comes to is short.
    assert outcome.slatah == pytest.approx(14 / (DAY_S + 14))
    assert outcome.hosts == pytest.approx((DAY_S + 14) / DAY_S)
    assert outcome.esv == pytest.approx(outcome.energy_kwh * outcome.slatah * outcome.pdm)


def test_a_machine_is_counted_where_it_has_moved_to() -> None:
    early = Moved(machine=0, destination=0, begun_s=0.0, halted_s=0.0, ended_s=0.0)
    assert replace(counted(constant(40), 2, early, at=1), moves=0) == counted(constant(40), 2, at=0)


def test_a_host_of_which_more_is_wanted_than_it_has_is_short() -> None:
    traces = constant(*[80] * 8)
    wanted = 0.8 * Center(8, 20).mips.sum()
    outcome = counted(traces, 20, at=1)
    assert outcome.slatah == 1
    assert outcome.shortfall == pytest.approx((wanted - 5320) / wanted)
    assert outcome.energy_kwh == pytest.approx(135 * DAY_S / 3.6e6)


def test_a_machine_gets_no_more_than_a_core() -> None:
    outcome = counted(constant(100), 2, at=0)
    assert outcome.shortfall == pytest.approx(1 - 1860 / 2500)
    assert outcome.slatah == 1


def test_first_places_have_room_for_all_that_was_sold() -> None:
    center = Center(200, 160)
    places = center.first_places()
    for host in set(places):
        here = places == host
        assert center.mips[here].sum() <= center.capacity[host]
        assert center.mib[here].sum() <= 4096
    with pytest.raises(SystemExit, match="don't fit"):
        Center(200, 20).first_places()


# days


def test_a_made_up_day_is_like_the_recorded_ones() -> None:
    day = make(1000, 3)
    assert day.shape == (1000, STEPS)
    assert 9 < day.mean() < 15
    assert 13 < day.std() < 20
    assert (day == make(1000, 3)).all()


def test_other_days_are_as_large_and_differ_by_their_seed() -> None:
    day = make(40, 3)
    for name, other in others(day, 1).items():
        assert other.shape == day.shape
        assert other.dtype == day.dtype
        assert (other == others(day, 1)[name]).all()
    assert (others(day, 1)["shifted"] != others(day, 2)["shifted"]).any()
    shifted, shuffled = others(day, 1)["shifted"], others(day, 1)["shuffled"]
    assert (np.sort(shifted, axis=1) == np.sort(day, axis=1)).all()
    assert sorted(map(bytes, shuffled)) == sorted(map(bytes, day))


def test_a_folder_that_has_no_days(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
    np.save(tmp_path / "wrong.npy", np.zeros((2, 2)))
    with pytest.raises(SystemExit, match=r"wrong\.npy is no day"):
        load(tmp_path)


# in the world


def test_vhal_needs_few_hosts_and_few_moves_and_the_world_agrees() -> None:
    """That the world's counters are what was measured is a condition of any run: see the next test."""
    traces = make(24, 5)
    still = counted(traces, 16)
    day = Day(traces, hosts=16)
    cooled = day.run()
    assert cooled.energy_kwh < 0.5 * still.energy_kwh
    assert 0 < cooled.moves == len(day.moves) < 3 * len(traces)
    assert cooled.slatah < 0.06
    assert cooled.shortfall < 0.01
    assert all(0 <= move.begun_s < move.halted_s < move.ended_s for move in day.moves)
    # 613 MiB at half of 1 Gbit/s take more than ten seconds.
    assert min(move.ended_s - move.begun_s for move in day.moves) > 613 * 2**20 / 62.5e6
    # The same each time, by the clock of the world.
    again = Day(traces, hosts=16)
    assert (again.run(), again.moves) == (cooled, day.moves)


def test_a_world_that_says_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(constant(*[30] * 4), hosts=6)
    monkeypatch.setattr(played, "UNIT_MIPS", 10.1)
    with pytest.raises(SystemExit, match="counters are off"):
        day.run()


def test_a_watch_that_fails_ends_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise HostUnreachable("nobody is there", hint="wait")

    monkeypatch.setattr("vhal.fleet.watch.watch.learn", fail)
    with pytest.raises(SystemExit, match="the watch failed: nobody is there"):
        Day(constant(*[30] * 4), hosts=6).run()
