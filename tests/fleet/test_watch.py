"""A fleet that is watched: it is cooled late, little and seldom. Days pass in no time."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from tests.fleet.stand import Stand, places
from tests.fleet.watching import DAY_S, PLACED, STEADY, Busy, balanced, decisions, moves
from vhal.driver.fault import Fault
from vhal.errors import InvalidSpec, NotFound
from vhal.fleet.moves.applied import ApplySettings, MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.works import unfinished
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Decision, Round, Watch, heats
from vhal.journal import Journal
from vhal.spec.units import Bytes


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


def watched(fleet: Stand, journal: Journal, policy: WatchPolicy, looks: int, **facts: object) -> list[Round]:
    clock = fleet.world.clock
    watch = Watch(fleet, policy, greedy, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance, **facts)  # type: ignore[arg-type]
    return list(itertools.islice(watch.rounds(), looks))


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


@pytest.mark.parametrize(
    ("limits", "decision", "said"),
    [
        (WatchPolicy(hold=1, moves_per_hour=1, cool_down_s=0), "limited", "1 machines were moved in the last hour"),
        (WatchPolicy(hold=1, memory_per_hour=Bytes("8GiB"), cool_down_s=0), "limited", "1 machines were moved"),
        (WatchPolicy(hold=1), "nothing", "it was moved"),
    ],
)
def test_a_watch_that_is_begun_anew_moves_no_more(
    journal: Journal, limits: WatchPolicy, decision: str, said: str
) -> None:
    def only(now: FleetSnapshot) -> Plan:
        (web,) = (each for each in now.machines if each.name == "web")
        return greedy(now) if web.movable else Plan(snapshot=now.digest, notes=(web.reason,))

    def look(fleet: Stand) -> Round:
        (found,) = itertools.islice(Watch(fleet, limits, only, journal=journal).rounds(), 1)
        return found

    with Busy(lambda name, at_s: 15.0, {"a": {"web": 8}, "b": {}}) as fleet:
        assert look(fleet).decision is Decision.MOVED
        again = look(fleet)
        assert (str(again.decision), said in again.reason) == (decision, True)
    # What another fleet's watch moved is none of its business.
    with Busy(lambda name, at_s: 15.0, {"a": {"web": 8}, "b": {}}) as other:
        assert look(other).decision is Decision.MOVED


def test_two_watches_at_once_move_no_more_than_one(journal: Journal) -> None:
    limits = WatchPolicy(hold=1, moves_per_hour=1, cool_down_s=0)
    with Busy(lambda name, at_s: 15.0) as fleet:
        both = [Watch(fleet, limits, greedy, journal=journal, wait=lambda _: None).rounds() for _ in range(2)]
        seen = [str(next(watch).decision) for _ in range(2) for watch in both]
    assert seen == ["moved", "limited", "limited", "limited"]


def test_moves_that_fail_are_not_tried_for_ever(journal: Journal) -> None:
    tried: list[MoveEvent] = []
    with Busy(lambda name, at_s: 15.0) as fleet:
        fleet.world.inject(Fault(at="migration.transfer.round", times=None))
        policy = WatchPolicy(hold=1, moves_per_hour=2, cool_down_s=2 * 3600)
        rounds = watched(fleet, journal, policy, 4 * 60, on_event=tried.append)
        assert set(places(fleet.world).values()) == {"a"}
    assert (
        len([event for event in tried if event.kind == "begun"]) == 6
    )  # three machines, each of which rests for two of four hours
    reasons = {each.plan.notes for each in rounds if each.decision is Decision.NOTHING and each.plan is not None}
    assert reasons == {("nothing may be moved",)}


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


def test_what_another_fleet_left_in_the_middle_is_left_alone(journal: Journal) -> None:
    class Killed(BaseException):
        pass

    def die(event: MoveEvent) -> None:
        raise Killed

    with Busy(lambda name, at_s: 1.0) as fleet, Busy(lambda name, at_s: 1.0, {"x": {"mail": 8}, "y": {}}) as other:
        with pytest.raises(Killed):
            apply(fleet.plan(("web", "b")), fleet, journal=journal, on_event=die)
        assert decisions(watched(other, journal, WatchPolicy(), 2)) == ["cool", "cool"]
        assert len(unfinished(journal)) == 1
        watched(fleet, journal, WatchPolicy(), 1)
        assert places(fleet.world)["web"] == "b"


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
        ('quiet = ["00:00-24:30"]', "quiet"),
        ('quiet = ["24:00-06:00"]', "quiet"),
        ('quiet = ["08:00-08:00"]', "quiet"),
        ('quiet = "22:00-06:00"', "quiet"),
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
    assert caught.value.hint is not None
    assert ("watch-a-fleet.md" if path != "hott" else "'hot'") in caught.value.hint


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_quiet_hours_are_those_of_the_clock_on_the_wall() -> None:
    """Berlin is an hour ahead in winter and two in summer; at 1:00 UTC on 29 March its clocks go from 2:00 to 3:00."""
    policy = WatchPolicy(quiet=("22:00-03:00",), zone="Europe/Berlin")
    quiet = ["2026-03-28T21:00Z", "2026-03-29T00:59Z", "2026-03-29T20:00Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z"]
    loud = ["2026-03-28T20:59Z", "2026-03-29T01:00Z", "2026-03-29T19:59Z", "2026-10-25T02:00Z"]
    assert [policy.is_quiet(at(text)) for text in quiet] == [True] * 5
    assert [policy.is_quiet(at(text)) for text in loud] == [False] * 4


def test_a_whole_day_is_quiet() -> None:
    policy = WatchPolicy(quiet=("00:00-24:00",), zone="UTC")
    assert all(policy.is_quiet(at(text)) for text in ("2026-03-28T00:00Z", "2026-03-28T23:59Z", "2026-03-28T12:00Z"))


def test_without_a_zone_it_is_this_machines_time() -> None:
    policy = WatchPolicy(quiet=("00:00-23:59",))
    assert policy.is_quiet(0.0) or policy.is_quiet(120.0)
