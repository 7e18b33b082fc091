"""A fleet that is watched by what its machines are used to: hot hosts are cooled, those that aren't needed emptied."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from vhal_mock.world import World

from tests.fleet.stand import Stand, places, world
from tests.fleet.watching import DAY_S, PLACED, STEADY, Busy, balanced, decisions, moves
from vhal.errors import InvalidSpec
from vhal.fleet.fleet import Fleet
from vhal.fleet.snapshot import FleetSnapshot
from vhal.fleet.watch.cool import CoolSettings
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Decision, Watch
from vhal.journal import Journal
from vhal.spec.units import Bytes

KEEP = WatchPolicy(policy="cool", cool=CoolSettings(empty=False), every_s=300)
EMPTY = WatchPolicy(policy="cool", every_s=300)
SPREAD = {"a": {"web": 8, "db": 8}, "b": {"mail": 8, "dns": 8}, "c": {"job": 8}}


def test_a_host_that_is_hot_is_cooled_and_the_fleet_is_quiet_from_then_on(journal: Journal) -> None:
    with Busy(lambda name, at_s: STEADY[name], PLACED) as fleet:
        rounds = balanced(fleet, journal, KEEP, 100)
        assert list(places(fleet.world).values()).count("a") == 2
    first = next(each for each in rounds if each.decision is Decision.MOVED)
    assert first.hot == ("a",)
    assert first.plan is not None
    assert "a is hot" in first.plan.moves[0].reason
    assert moves(rounds) == 1
    assert decisions(rounds[-90:]) == ["cool"] * 90


def test_a_peak_is_left_alone(journal: Journal) -> None:
    """In one look of twelve all of them want all that there is; by heat that would be hot."""
    with Busy(lambda name, at_s: 5.5 if at_s % 3600 >= 3300 else 0.5) as fleet:
        rounds = balanced(fleet, journal, KEEP, 12 * 24)
    assert moves(rounds) == 0
    assert set(decisions(rounds)) == {"cool"}


def test_hosts_are_emptied_and_stay_empty(journal: Journal) -> None:
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        rounds = balanced(fleet, journal, EMPTY, 100)
        assert len(set(places(fleet.world).values())) == 1
    assert rounds[0].decision is Decision.MOVED
    assert moves(rounds) == 3
    assert decisions(rounds[-90:]) == ["cool"] * 90


def test_nothing_is_done_before_a_load_is_known(journal: Journal) -> None:
    with Stand(world(SPREAD)) as fleet:
        (only,) = balanced(fleet, journal, EMPTY, 1)
    assert (only.decision, only.reason) == (Decision.COOL, "no load is known yet")


def test_a_dry_run_moves_nothing(journal: Journal) -> None:
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        clock = fleet.world.clock
        watch = Watch(fleet, EMPTY, journal=journal, dry_run=True, now_s=lambda: clock.now_s, wait=clock.advance)
        rounds = list(itertools.islice(watch.rounds(), 3))
        assert set(places(fleet.world).values()) == {"a", "b", "c"}
    assert decisions(rounds) == ["planned"] * 3
    assert journal.works() == []


def test_it_learns_at_quiet_hours_and_moves_after_them(journal: Journal) -> None:
    policy = EMPTY.replace(quiet=("00:00-06:00",), zone="UTC", every_s=1800)
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        rounds = balanced(fleet, journal, policy, 16)
    assert decisions(rounds[:12]) == ["quiet"] * 12
    assert rounds[0].reason == "hosts can be emptied, but nothing is moved at this time"
    assert rounds[12].decision is Decision.MOVED


@pytest.mark.parametrize(
    "limits", [{"moves_per_hour": 1}, {"memory_per_hour": Bytes("8GiB")}, {"cool": CoolSettings(moves=1)}]
)
def test_a_host_that_may_not_be_emptied_whole_is_left_alone(journal: Journal, limits: dict[str, object]) -> None:
    hosts = {"a": {"web": 8, "db": 8, "job": 8}, "b": {"mail": 8, "dns": 8}}
    with Busy(lambda name, at_s: 0.5, hosts) as fleet:
        rounds = balanced(fleet, journal, EMPTY.replace(**limits), 24)
        assert places(fleet.world) == {"web": "a", "db": "a", "job": "a", "mail": "b", "dns": "b"}
    told = {(str(each.decision), each.reason) for each in rounds}
    assert told in ({("limited", "it is more than may move in an hour")}, {("cool", "")})


def test_no_more_than_so_much_in_an_hour(journal: Journal) -> None:
    hosts = {name: {f"{name}{n}": 1 for n in range(2)} for name in "abcdef"}
    with Busy(lambda name, at_s: 0.5, hosts) as fleet:
        rounds = balanced(fleet, journal, EMPTY.replace(moves_per_hour=4), 60)
        assert len(set(places(fleet.world).values())) == 1
    moved = [(each.at_s, len(each.applied.moves)) for each in rounds if each.applied is not None]
    assert [count for _, count in moved] == [4, 4, 2]
    assert all(later - before >= 3600 for (before, _), (later, _) in itertools.pairwise(moved))
    assert Decision.LIMITED in {each.decision for each in rounds}


def test_who_may_not_move_stays(journal: Journal) -> None:
    class Pinned(Busy):
        def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
            now = super().snapshot()
            return now.replace(
                machines=tuple(
                    each.replace(movable=False, reason="it has a device") if movable and each.name == "dns" else each
                    for each in now.machines
                )
            )

    with Pinned(lambda name, at_s: 0.5, {"a": {"web": 8}, "b": {"mail": 8, "dns": 8}}) as fleet:
        rounds = balanced(fleet, journal, EMPTY, 10)
        assert places(fleet.world)["dns"] == "b"
        assert len(set(places(fleet.world).values())) == 1
    assert moves(rounds) == 1


def test_a_machine_rests_after_a_move(journal: Journal) -> None:
    """By turns one of two machines on a host is busy for half a day, and nobody knows which is next."""

    def busy(name: str, at_s: float) -> float:
        first = int(at_s / 7200) % 2 == 0
        return 14.0 if (name == "web") is first else 4.0

    policy = EMPTY.replace(cool_down_s=6 * 3600.0)
    with Busy(busy, {"a": {"web": 8, "db": 8}, "b": {}}) as fleet:
        rounds = balanced(fleet, journal, policy, int(3 * DAY_S / 300))
    times: dict[str, list[float]] = {}
    for each in rounds:
        for result in each.applied.moves if each.applied is not None else ():
            times.setdefault(result.move.machine, []).append(each.at_s)
    assert times
    assert all(b - a >= 6 * 3600 for moved in times.values() for a, b in itertools.pairwise(moved))


def test_a_real_fleet_of_the_simulator(journal: Journal, tmp_path: Path) -> None:
    """Loads are what the simulated hosts count, smoothed by the fleet; two hosts are cooled, the idle ones emptied."""
    (tmp_path / "day.csv").write_text(
        "time_s,busy,idle\n" + "".join(f"{300 * n},{97 + n % 3},{2 + 3 * (n % 2)}\n" for n in range(12))
    )

    def machines(host: str, column: str, count: int) -> dict[str, object]:
        workload = {"profile": "trace", "file": str(tmp_path / "day.csv"), "column": column, "scale": 0.01}
        spec = {"name": f"{column}-{host}-", "cpus": 4, "memory": "4GiB", "options": {"mock": {"workload": workload}}}
        return {"host": host, "running": True, "count": count, "spec": spec}

    w = World.from_spec(
        {
            "hosts": [{"name": "h", "count": 4}],
            "machines": [machines("h1", "busy", 4), machines("h2", "idle", 2), machines("h3", "idle", 2)],
        }
    )
    clock = w.clock
    with Fleet([w.url(name) for name in w.hosts], clock=lambda: clock.now_s) as fleet:
        watch = Watch(fleet, EMPTY, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance)
        rounds = list(itertools.islice(watch.rounds(), 48))
        on = fleet.snapshot().on
    assert rounds[0].reason == "no load is known yet"
    assert {each.decision for each in rounds} <= {Decision.COOL, Decision.MOVED, Decision.NOTHING}
    assert sum(bool(held) for held in on.values()) == 2
    busy = [sum(each.name.startswith("busy") for each in held) for held in on.values()]
    assert max(busy) <= 3
    assert decisions(rounds[-36:]) == ["cool"] * 36


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ('policy = "warm"', "policy", "cool"),
        ('policy = "cool"\nhot = 0.9', "hot", 'the policy is "cool"'),
        ('policy = "cool"\nhold = 1', "hold", 'of policy = "balance"'),
        ("[cool]\nfull = 3", "cool", 'the policy is "balance"'),
        ('policy = "cool"\n[cool]\nhot = -1', "cool.hot", "0"),
        ('policy = "cool"\n[cool]\nfulll = 3', "cool.fulll", "no such field"),
        ('policy = "cool"\n[cool]\nrest_s = 60', "cool", "cool_down_s"),
    ],
)
def test_a_setting_of_another_policy(tmp_path: Path, text: str, path: str, said: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(InvalidSpec) as caught:
        WatchPolicy.load(tmp_path / "policy.toml")
    assert any(where == path and said in why for where, why in caught.value.problems)
    assert caught.value.hint


def test_the_policy_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('policy = "cool"\ncool_down_s = 60\n[cool]\nempty = false\nhot = 2\n')
    policy = WatchPolicy.load(tmp_path / "policy.toml")
    assert (policy.policy, policy.cool.empty, policy.cool.hot, policy.cool_down_s) == ("cool", False, 2, 60)
    assert WatchPolicy(**policy.model_dump()) == policy
