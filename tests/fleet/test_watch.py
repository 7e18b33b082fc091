"""A fleet that is watched: it is cooled late, little and seldom. Days pass in no time."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vhal_mock.world import World

from tests.fleet.stand import Stand, places, world
from vhal.driver.fault import Fault
from vhal.errors import InvalidSpec, NotFound
from vhal.fleet.fleet import Fleet
from vhal.fleet.moves.applied import ApplySettings, MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.works import unfinished
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load
from vhal.fleet.watch.cool import CoolSettings
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Decision, Round, Watch, heats
from vhal.journal import Journal
from vhal.spec.units import Bytes

DAY_S = 86_400.0
HOT = {"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}}


class Busy(Stand):
    """A fleet whose machines keep processors busy as the test says."""

    def __init__(self, busy: Callable[[str, float], float], hosts: dict[str, dict[str, int]] = HOT) -> None:
        super().__init__(world(hosts))
        self.busy = busy

    def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
        now = super().snapshot()
        at_s = self.world.clock.now_s
        machines = tuple(
            machine.model_copy(update={"load": Load(cpus=self.busy(machine.name, at_s))}) for machine in now.machines
        )
        return now.model_copy(update={"machines": machines, "taken_s": at_s})


def greedy(now: FleetSnapshot) -> Plan:
    """A planner for the tests: one machine from the hottest host to the coolest, as far as that evens them out."""
    heat = {name: heats(now).get(name, 0.0) for name in now.on}
    hottest, coolest = max(heat, key=heat.__getitem__), min(heat, key=heat.__getitem__)
    movable = [each for each in now.on[hottest] if each.movable and each.load is not None]
    if not movable:
        return Plan(snapshot=now.digest, notes=("nothing may be moved",))
    machine = min(movable, key=lambda each: each.name)
    assert machine.load is not None
    from vhal.fleet.cost import moved

    move = moved(machine, now.host(hottest), now.host(coolest), "it is hot")
    gain = heat[hottest] - max(heat[hottest] - machine.load.cpus / 16, heat[coolest] + machine.load.cpus / 16)
    return Plan(snapshot=now.digest, moves=(move,), score=(heat[hottest], heat[hottest] - gain))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def watched(fleet: Stand, journal: Journal, policy: WatchPolicy, looks: int, **facts: object) -> list[Round]:
    clock = fleet.world.clock
    watch = Watch(fleet, policy, greedy, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance, **facts)  # type: ignore[arg-type]
    return list(itertools.islice(watch.rounds(), looks))


def decisions(rounds: list[Round]) -> list[str]:
    return [str(each.decision) for each in rounds]


def test_a_host_that_stays_hot_is_cooled(journal: Journal) -> None:
    with Busy(lambda name, at_s: 5.0) as fleet:
        rounds = watched(fleet, journal, WatchPolicy(hold=3), 6)
        assert places(fleet.world) == {"db": "b", "job": "a", "web": "a"}
    assert decisions(rounds) == ["held", "held", "moved", "cool", "cool", "cool"]
    assert rounds[0].hot == ("a",)
    assert rounds[0].reason == "a is busy to 94%, for 1 of 3 looks"
    assert rounds[2].applied is not None
    assert [result.move.machine for result in rounds[2].applied.moves] == ["db"]


def test_a_peak_that_passes_is_left_alone(journal: Journal) -> None:
    with Busy(lambda name, at_s: 5.0 if at_s % 180 < 120 else 1.0) as fleet:
        rounds = watched(fleet, journal, WatchPolicy(hold=3), 60)
    assert set(decisions(rounds)) == {"held", "cool"}


def test_a_day_of_ping_pong_is_cut_short(journal: Journal) -> None:
    """Whichever host has web is hot: without a cool-down it would be moved at every look."""
    with Busy(lambda name, at_s: 14.0 if name == "web" else 0.0, {"a": {"web": 8}, "b": {}}) as fleet:
        policy = WatchPolicy(hold=1, margin=0, cool_down_s=6 * 3600)
        rounds = watched(fleet, journal, policy, int(DAY_S / 60))
        moved = [each for each in rounds if each.decision is Decision.MOVED]
        assert fleet.world.clock.now_s >= DAY_S - 60
    assert 3 <= len(moved) <= 4
    assert all(later.at_s - before.at_s >= 6 * 3600 for before, later in itertools.pairwise(moved))
    assert {each.reason for each in rounds if each.decision is Decision.NOTHING} == {"nothing may be moved"}


@pytest.mark.parametrize(
    "limits",
    [WatchPolicy(hold=1, margin=0, moves_per_hour=1), WatchPolicy(hold=1, margin=0, memory_per_hour=Bytes("8GiB"))],
)
def test_no_more_than_so_much_in_an_hour(journal: Journal, limits: WatchPolicy) -> None:
    with Busy(lambda name, at_s: 15.0) as fleet:
        rounds = watched(fleet, journal, limits, 100)
    moved = [each.at_s for each in rounds if each.decision is Decision.MOVED]
    assert len(moved) == 2
    assert all(later - before >= 3600 for before, later in itertools.pairwise(moved))
    assert "1 machines were moved in the last hour" in {each.reason for each in rounds}


def test_at_quiet_hours_nothing_is_moved(journal: Journal) -> None:
    policy = WatchPolicy(
        hold=1, quiet=("22:00-06:00", "12:00-13:00"), zone="UTC", every_s=1800, cool_down_s=0, margin=0
    )
    with Busy(lambda name, at_s: 15.0) as fleet:
        rounds = watched(fleet, journal, policy, 48)
    quiet = [each.at_s / 3600 for each in rounds if each.decision is Decision.QUIET]
    assert quiet
    assert all(hour % 24 < 6 or hour % 24 >= 22 or 12 <= hour % 24 < 13 for hour in quiet)
    assert all(6 <= each.at_s / 3600 % 24 < 22 for each in rounds if each.decision is Decision.MOVED)


def test_a_dry_run_moves_nothing(journal: Journal) -> None:
    with Busy(lambda name, at_s: 5.0) as fleet:
        rounds = watched(fleet, journal, WatchPolicy(hold=1), 3, dry_run=True)
        assert set(places(fleet.world).values()) == {"a"}
    assert decisions(rounds) == ["planned"] * 3
    assert journal.works() == []


def test_what_goes_wrong_is_told_and_the_next_look_begins_anew(journal: Journal) -> None:
    with Busy(lambda name, at_s: 5.0) as fleet:
        fleet.world.inject(Fault(at="machines.begin", times=1))
        rounds = watched(fleet, journal, WatchPolicy(hold=1), 2)
    assert decisions(rounds) == ["failed", "moved"]
    assert "injected fault" in rounds[0].reason


def test_what_was_left_in_the_middle_is_finished_first(journal: Journal) -> None:
    class Killed(BaseException):
        pass

    def die(event: MoveEvent) -> None:
        if event.kind == "ended":
            raise Killed

    with Busy(lambda name, at_s: 1.0) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"))
        with pytest.raises(Killed):
            apply(plan, fleet, ApplySettings(fleet=1), journal=journal, on_event=die)
        assert len(unfinished(journal)) == 1
        assert decisions(watched(fleet, journal, WatchPolicy(), 1)) == ["cool"]
        assert places(fleet.world) == {"web": "b", "db": "c", "job": "a"}
    assert unfinished(journal) == []


def test_it_stops_when_it_is_told_to(journal: Journal) -> None:
    with Busy(lambda name, at_s: 1.0) as fleet:
        watch = Watch(fleet, WatchPolicy(every_s=3600), greedy, journal=journal)
        seen: list[Round] = []

        def look() -> None:
            seen.extend(watch.rounds())

        thread = threading.Thread(target=look)
        thread.start()
        watch.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_a_signal_ends_it_and_each_machine_runs(journal: Journal) -> None:
    def listen(event: MoveEvent) -> None:
        if event.progress is not None and event.progress.phase == "transfer":
            os.kill(os.getpid(), signal.SIGTERM)
            stopping.wait(60)

    stopping = threading.Event()
    with Busy(lambda name, at_s: 5.0) as fleet:
        watch = Watch(fleet, WatchPolicy(hold=1), greedy, journal=journal, on_event=listen)

        def stop(*_: object) -> None:
            watch.stop()
            threading.Timer(0.05, stopping.set).start()

        before = signal.signal(signal.SIGTERM, stop)
        try:
            rounds = list(watch.rounds())
        finally:
            signal.signal(signal.SIGTERM, before)
        assert len(rounds) == 1
        assert places(fleet.world).keys() == {"web", "db", "job"}


# with the balancer


def balanced(fleet: Stand, journal: Journal, policy: WatchPolicy, looks: int) -> list[Round]:
    clock = fleet.world.clock
    watch = Watch(fleet, policy, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance)
    return list(itertools.islice(watch.rounds(), looks))


def moves(rounds: list[Round]) -> int:
    return sum(len(each.applied.moves) for each in rounds if each.applied is not None)


STEADY = {"web": 6.0, "db": 4.0, "job": 4.5, "mail": 3.0, "dns": 1.0}
PLACED = {"a": {"web": 8, "db": 8, "job": 8}, "b": {"mail": 8}, "c": {"dns": 8}}


def test_a_hot_host_is_cooled_below_what_is_hot_and_the_fleet_is_quiet_from_then_on(journal: Journal) -> None:
    with Busy(lambda name, at_s: STEADY[name], PLACED) as fleet:
        rounds = balanced(fleet, journal, WatchPolicy(hold=1, hot=0.8, margin=0.1), 200)
        assert max(heats(fleet.snapshot()).values()) <= 0.72
    assert rounds[0].decision is Decision.MOVED
    assert moves(rounds[3:]) == 0
    assert decisions(rounds[3:]) == ["cool"] * 197


def test_a_fleet_that_no_move_cools_is_left_alone(journal: Journal) -> None:
    full = {place: {f"{place}{n}": 1 for n in range(3)} for place in "ab"}
    with Busy(lambda name, at_s: 5.0, full) as fleet:
        rounds = balanced(fleet, journal, WatchPolicy(hold=1), 200)
    assert moves(rounds) == 0
    assert decisions(rounds) == ["nothing"] * 200
    assert "a stays hot at 94%: nothing on it may move to a host that has room" in rounds[0].reason


def test_loads_about_the_limit_do_not_send_machines_to_and_fro(journal: Journal) -> None:
    """Every other look the host is hot, the looks between it isn't: by less than the margin."""

    def busy(name: str, at_s: float) -> float:
        return STEADY[name] * (1.03 if at_s // 60 % 2 else 0.97)

    with Busy(busy, PLACED) as fleet:
        rounds = balanced(fleet, journal, WatchPolicy(hold=1, cool_down_s=0), 200)
    assert moves(rounds) >= 1
    assert moves(rounds[3:]) == 0


def test_a_day_moves_little_and_only_when_it_may(journal: Journal) -> None:
    """By day web and db are busy, by night job is; nothing is moved before noon."""

    def busy(name: str, at_s: float) -> float:
        by_day = 8 <= at_s / 3600 % 24 < 18
        return {"web": 9.0, "db": 7.0, "job": 1.0}.get(name, 1.0) if by_day else {"job": 6.0}.get(name, 1.0)

    policy = WatchPolicy(quiet=("00:00-12:00",), zone="UTC", every_s=300, cool_down_s=7200)
    with Busy(busy, PLACED) as fleet:
        rounds = balanced(fleet, journal, policy, int(2 * DAY_S / 300))
    moved = [each.at_s / 3600 % 24 for each in rounds if each.decision is Decision.MOVED]
    assert moved
    assert all(12 <= hour < 18 for hour in moved)
    assert moves(rounds) <= 2
    assert Decision.QUIET in {each.decision for each in rounds}


def test_a_host_that_is_emptied_is_not_hot(journal: Journal) -> None:
    with Busy(lambda name, at_s: 5.0) as fleet:
        fleet.mark("a", HostStatus.DRAINING)
        assert decisions(balanced(fleet, journal, WatchPolicy(hold=1), 1)) == ["cool"]


def test_without_numpy_it_says_what_to_install(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vhal.fleet.balance.planner", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with Busy(lambda name, at_s: 5.0) as fleet:
        (only,) = balanced(fleet, journal, WatchPolicy(hold=1), 1)
    assert only.decision is Decision.FAILED
    assert "pip install 'vhal[fleet]'" in only.reason


# the policy's file


def test_a_policy_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('hot = 0.9\nquiet = ["22:00-06:00"]\nmemory_per_hour = "1TiB"\n[apply]\nper_host = 1\n')
    policy = WatchPolicy.load(path)
    assert (policy.hot, policy.apply.per_host, policy.memory_per_hour) == (0.9, 1, 1 << 40)
    with pytest.raises(NotFound):
        WatchPolicy.load(tmp_path / "other.toml")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("hot = 2", "hot"),
        ('quiet = ["25:00-26:00"]', "quiet"),
        ('zone = "Atlantis"', "zone"),
        ('zone = "../../etc/passwd"', "zone"),
        ("hott = 0.9", "hott"),
        ("[apply]\nper_host = 0", "apply.per_host"),
    ],
)
def test_a_policy_that_makes_no_sense(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(InvalidSpec) as caught:
        WatchPolicy.load(tmp_path / "policy.toml")
    assert path in [where for where, _ in caught.value.problems]
    assert caught.value.hint


def test_without_a_zone_it_is_this_machines_time() -> None:
    policy = WatchPolicy(quiet=("00:00-23:59",))
    assert policy.is_quiet(0.0) or policy.is_quiet(120.0)


# by habit

KEEP = WatchPolicy(policy="cool", cool=CoolSettings(empty=False), every_s=300)
EMPTY = WatchPolicy(policy="cool", every_s=300)
SPREAD = {"a": {"web": 8, "db": 8}, "b": {"mail": 8, "dns": 8}, "c": {"job": 8}}


def test_by_habit_a_host_that_is_hot_is_cooled_and_the_fleet_is_quiet_from_then_on(journal: Journal) -> None:
    with Busy(lambda name, at_s: STEADY[name], PLACED) as fleet:
        rounds = balanced(fleet, journal, KEEP, 100)
        assert list(places(fleet.world).values()).count("a") == 2
    first = next(each for each in rounds if each.decision is Decision.MOVED)
    assert first.hot == ("a",)
    assert first.plan is not None
    assert "a is hot" in first.plan.moves[0].reason
    assert moves(rounds) == 1
    assert decisions(rounds[-90:]) == ["cool"] * 90


def test_by_habit_a_peak_is_left_alone(journal: Journal) -> None:
    """In one look of twelve all of them want all that there is; by heat that would be hot."""
    with Busy(lambda name, at_s: 5.5 if at_s % 3600 >= 3300 else 0.5) as fleet:
        rounds = balanced(fleet, journal, KEEP, 12 * 24)
    assert moves(rounds) == 0
    assert set(decisions(rounds)) == {"cool"}


def test_by_habit_hosts_are_emptied_and_stay_empty(journal: Journal) -> None:
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        rounds = balanced(fleet, journal, EMPTY, 100)
        assert len(set(places(fleet.world).values())) == 1
    assert rounds[0].decision is Decision.MOVED
    assert moves(rounds) == 3
    assert decisions(rounds[-90:]) == ["cool"] * 90


def test_by_habit_nothing_is_done_before_a_load_is_known(journal: Journal) -> None:
    with Stand(world(SPREAD)) as fleet:
        (only,) = balanced(fleet, journal, EMPTY, 1)
    assert (only.decision, only.reason) == (Decision.COOL, "no load is known yet")


def test_by_habit_a_dry_run_moves_nothing(journal: Journal) -> None:
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        clock = fleet.world.clock
        watch = Watch(fleet, EMPTY, journal=journal, dry_run=True, now_s=lambda: clock.now_s, wait=clock.advance)
        rounds = list(itertools.islice(watch.rounds(), 3))
        assert set(places(fleet.world).values()) == {"a", "b", "c"}
    assert decisions(rounds) == ["planned"] * 3
    assert journal.works() == []


def test_by_habit_it_learns_at_quiet_hours_and_moves_after_them(journal: Journal) -> None:
    policy = EMPTY.replace(quiet=("00:00-06:00",), zone="UTC", every_s=1800)
    with Busy(lambda name, at_s: 0.5, SPREAD) as fleet:
        rounds = balanced(fleet, journal, policy, 16)
    assert decisions(rounds[:12]) == ["quiet"] * 12
    assert rounds[0].reason == "hosts can be emptied, but nothing is moved at this time"
    assert rounds[12].decision is Decision.MOVED


@pytest.mark.parametrize(
    "limits", [{"moves_per_hour": 1}, {"memory_per_hour": Bytes("8GiB")}, {"cool": CoolSettings(moves=1)}]
)
def test_by_habit_a_host_that_may_not_be_emptied_whole_is_left_alone(
    journal: Journal, limits: dict[str, object]
) -> None:
    hosts = {"a": {"web": 8, "db": 8, "job": 8}, "b": {"mail": 8, "dns": 8}}
    with Busy(lambda name, at_s: 0.5, hosts) as fleet:
        rounds = balanced(fleet, journal, EMPTY.replace(**limits), 24)
        assert places(fleet.world) == {"web": "a", "db": "a", "job": "a", "mail": "b", "dns": "b"}
    told = {(str(each.decision), each.reason) for each in rounds}
    assert told in ({("limited", "it is more than may move in an hour")}, {("cool", "")})


def test_by_habit_no_more_than_so_much_in_an_hour(journal: Journal) -> None:
    hosts = {name: {f"{name}{n}": 1 for n in range(2)} for name in "abcdef"}
    with Busy(lambda name, at_s: 0.5, hosts) as fleet:
        rounds = balanced(fleet, journal, EMPTY.replace(moves_per_hour=4), 60)
        assert len(set(places(fleet.world).values())) == 1
    moved = [(each.at_s, len(each.applied.moves)) for each in rounds if each.applied is not None]
    assert [count for _, count in moved] == [4, 4, 2]
    assert all(later - before >= 3600 for (before, _), (later, _) in itertools.pairwise(moved))
    assert Decision.LIMITED in {each.decision for each in rounds}


def test_by_habit_who_may_not_move_stays(journal: Journal) -> None:
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


def test_by_habit_a_machine_rests_after_a_move(journal: Journal) -> None:
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


def test_by_habit_a_real_fleet_of_the_simulator(journal: Journal, tmp_path: Path) -> None:
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
