"""Hosts that are cordoned lastingly: whoever looks at the fleet next keeps off them, until that is taken back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_mock.world import World

import vhal
from tests.fleet.stand import places, world
from vhal.errors import Busy, InvalidState, JournalError, NotFound, PlacementRefused
from vhal.fleet.fleet import Fleet
from vhal.fleet.members.cordon import cordons
from vhal.fleet.members.entry import HostEntry
from vhal.fleet.moves.applied import ApplySettings, MoveEvent
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import HostStatus
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Watch
from vhal.journal import Journal

SPEC = vhal.MachineSpec(name="new", memory="1GiB")


@pytest.fixture
def w() -> World:
    return world({"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}})


@pytest.fixture
def journal(own_journal: Path) -> Iterator[Journal]:
    """The user's."""
    with Journal() as journal:
        yield journal


def opened(w: World) -> Fleet:
    return Fleet({name: w.url(name) for name in w.hosts})


def status(w: World, host: str) -> tuple[str, str]:
    """Return what a fleet that was just opened says of a host."""
    with opened(w) as fleet:
        seen = fleet.snapshot().host(host)
        return str(seen.status), seen.reason


def cordon(w: World, *hosts: str, reason: str = "a fan") -> None:
    with opened(w) as fleet:
        fleet.cordon(*hosts, reason=reason)


def uncordon(w: World, *hosts: str) -> tuple[str, ...]:
    with opened(w) as fleet:
        return fleet.uncordon(*hosts)


def test_it_lasts_until_it_is_taken_off(w: World) -> None:
    with opened(w) as other:
        assert other.snapshot().host("b").status is HostStatus.UP
        cordon(w, "b")
        assert status(w, "b") == ("cordoned", "a fan")
        assert other.snapshot().host("b").status is HostStatus.CORDONED
        assert [host.info().name for host in other.hosts("status=up")] == ["a", "c"]
        assert uncordon(w, "b", "c") == ("b",)
        assert other.snapshot().host("b").status is HostStatus.UP
    assert status(w, "b") == ("up", "")


def test_nobody_puts_anything_there(w: World) -> None:
    cordon(w, "b", "c")
    with opened(w) as fleet:
        with pytest.raises(PlacementRefused, match="b is cordoned: a fan"):
            fleet.create(SPEC, on="name!=a")
        assert not fleet.plan_balance()
        plan = fleet.plan_balance(BalanceSettings(max_moves=2))
        assert not plan.moves
        fleet.uncordon("c")
        assert {move.destination for move in fleet.plan_drain("a").moves} == {"c"}
        assert {move.destination for move in fleet.plan_balance().moves} == {"c"}


def test_a_plan_from_before_is_refused(w: World) -> None:
    with opened(w) as fleet:
        plan = fleet.plan_drain("a")
        cordon(w, *{move.destination for move in plan.moves})
        with pytest.raises(vhal.VhalError, match=r"any more: [bc] is cordoned") as caught:
            fleet.apply(plan)
        assert caught.value.code == "plan-outdated"
    assert set(places(w).values()) == {"a"}


def test_a_host_that_is_cordoned_while_a_plan_is_carried_out_gets_no_more(w: World) -> None:
    def cordoned(event: MoveEvent) -> None:
        if event.kind == "ended" and event.place == 0:
            cordon(w, event.move.destination)

    with opened(w) as fleet:
        applied = fleet.drain("a", on_event=cordoned, settings=ApplySettings(fleet=1, replans=0))
    first, *others = applied.moves
    spared = [result for result in others if result.move.destination == first.move.destination]
    assert {str(result.outcome) for result in spared} == {"refused"}
    assert {result.error for result in spared} == {f"{first.move.destination} is cordoned: a fan"}
    # With a new plan they find another place.
    with opened(w) as fleet:
        fleet.drain("a").check()
    assert list(places(w).values()).count(first.move.destination) == 1


def test_a_watch_heeds_what_comes_and_goes_meanwhile(w: World) -> None:
    seen: list[dict[str, str]] = []
    with opened(w) as fleet:
        snapshot = fleet.snapshot

        def noted(*, movable: bool = False) -> object:
            found = snapshot(movable=movable)
            seen.append({host.name: str(host.status) for host in found.hosts})
            return found

        fleet.snapshot = noted  # type: ignore[method-assign, assignment]
        rounds = Watch(fleet, WatchPolicy(), wait=lambda _: None).rounds()
        for _ in itertools.islice(rounds, 1):
            cordon(w, "b")
        for _ in itertools.islice(rounds, 1):
            uncordon(w, "b")
        list(itertools.islice(rounds, 1))
    assert [each["b"] for each in seen] == ["up", "cordoned", "up"]


def test_a_watch_minds_no_host_of_another_fleet(w: World) -> None:
    cordon(world({"z": {}}), "z")
    with opened(w) as fleet:
        (only,) = itertools.islice(Watch(fleet, WatchPolicy(), wait=lambda _: None).rounds(), 1)
    assert only.decision == "cool"


def test_a_drain_leaves_it_and_a_restore_takes_it_off(w: World) -> None:
    with opened(w) as fleet:
        work = fleet.drain("a").check().work
    assert status(w, "a") == ("draining", f"work {work} emptied it")
    with opened(w) as fleet:
        fleet.restore("a").check()
    assert status(w, "a") == ("up", "")
    assert set(places(w).values()) == {"a"}


def test_an_uncordoned_host_is_used_again_and_can_be_filled_later(w: World) -> None:
    with opened(w) as fleet:
        fleet.drain("a").check()
        assert fleet.uncordon("a") == ("a",)
        assert fleet.snapshot().host("a").status is HostStatus.UP
    assert status(w, "a") == ("up", "")
    with opened(w) as fleet:
        assert len(fleet.restore("a").check().arrived) == 3


def test_why_it_was_cordoned_is_known_while_it_is_drained(w: World) -> None:
    cordon(w, "a", reason="a disk")
    cordon(w, "a", reason="a fan")  # instead
    with opened(w) as fleet:
        first = fleet.drain("a").check().work
        again = fleet.drain("a").check().work
    assert first != again
    assert status(w, "a") == ("draining", f"a fan; work {again} emptied it")
    with opened(w) as fleet:
        fleet.restore("a", empty=True)
    assert status(w, "a") == ("up", "")


def test_it_outlasts_what_the_journal_forgets(w: World, journal: Journal) -> None:
    cordon(w, "b")
    with opened(w) as fleet:
        fleet.drain("c")
    for _ in range(250):
        with journal.begin("plan", {"emptied": [], "restored": [], "kind": "balance"}, ()) as work:
            work.end()
    assert status(w, "b")[0] == "cordoned"
    assert status(w, "c")[0] == "draining"
    with opened(w) as fleet:
        with pytest.raises(NotFound, match="knows of no drain of c") as caught:
            fleet.restore("c")
        assert "'vhal fleet uncordon'" in str(caught.value.hint)
        assert fleet.uncordon("c") == ("c",)
    assert status(w, "c") == ("up", "")


def test_a_drain_that_dies_leaves_it_too(w: World) -> None:
    class Killed(BaseException):
        pass

    def die(event: MoveEvent) -> None:
        raise Killed

    with opened(w) as fleet, pytest.raises(Killed):
        fleet.drain("a", on_event=die)
    assert status(w, "a")[0] == "draining"


def test_it_is_about_the_host_whatever_it_is_called(w: World) -> None:
    cordon(w, "b")
    with Fleet({"x": w.url("b"), "b": w.url("c")}) as fleet:
        found = fleet.snapshot()
    assert {host.name: str(host.status) for host in found.hosts} == {"x": "cordoned", "b": "up"}


def test_a_host_that_does_not_answer_can_be_cordoned_by_its_name(w: World) -> None:
    w.host("b").trouble.crash()
    cordon(w, "b", reason="it was repaired badly")
    seen, reason = status(w, "b")
    assert seen == "unreachable"
    assert reason.endswith("; it is cordoned, too: it was repaired badly")
    w.host("b").trouble.recover()
    assert status(w, "b") == ("cordoned", "it was repaired badly")
    assert uncordon(w, "b") == ("b",)
    assert status(w, "b") == ("up", "")


def test_one_strange_name_and_none_is_cordoned(w: World) -> None:
    for call in (cordon, uncordon):
        with pytest.raises(NotFound, match="there is no host 'z' in the fleet") as caught:
            call(w, "b", "z")
        assert caught.value.hint == "there are a, b, c"
    assert status(w, "b")[0] == "up"


def test_what_the_fleets_description_says_stays(w: World) -> None:
    entry = HostEntry(url=w.url("b"), status="cordoned", reason="not ours")
    with Fleet({"a": w.url("a"), "b": entry}) as fleet:
        fleet.cordon("b", reason="a fan")
        with pytest.raises(InvalidState, match="'b' is cordoned where the fleet is described: not ours") as caught:
            fleet.uncordon("b")
        assert caught.value.hint == "take the status of b out there"
        seen = fleet.snapshot().host("b")
        assert (seen.status, seen.reason) == (HostStatus.CORDONED, "not ours")


def test_a_mark_forbids_more_and_never_less(w: World) -> None:
    cordon(w, "b")
    with opened(w) as fleet:
        fleet.mark("b", HostStatus.UP)
        assert fleet.snapshot().host("b").status is HostStatus.CORDONED
        fleet.mark("b", HostStatus.DRAINING)
        assert fleet.snapshot().host("b").status is HostStatus.DRAINING
        assert fleet.uncordon("b") == ("b",)
        assert fleet.snapshot().host("b").status is HostStatus.UP


def test_a_host_is_not_uncordoned_while_it_is_being_emptied(w: World) -> None:
    refused: list[Busy] = []

    with opened(w) as fleet:

        def uncordoned(event: MoveEvent) -> None:
            if event.kind == "ended" and not refused:
                with pytest.raises(Busy, match="is emptying host a") as caught:
                    uncordon(w, "a")
                refused.append(caught.value)

        fleet.drain("a", on_event=uncordoned).check()
    assert refused[0].hint == "wait for its end, or abort it"
    assert status(w, "a")[0] == "draining"


def test_a_journal_of_ones_own(w: World, tmp_path: Path, own_journal: Path) -> None:
    with Journal(tmp_path / "mine.sqlite") as mine, Fleet({"b": w.url("b")}, journal=mine) as fleet:
        fleet.cordon("b")
        assert fleet.snapshot().host("b").status is HostStatus.CORDONED
        assert [(each.host, each.status) for each in cordons(mine)] == [("b", HostStatus.CORDONED)]
    assert status(w, "b") == ("up", "")
    assert not own_journal.exists()


def test_where_it_cannot_be_read_who_is_cordoned_nothing_is_guessed(w: World, own_journal: Path) -> None:
    own_journal.parent.mkdir()
    own_journal.write_text("no journal\n" * 200)
    own_journal.chmod(0o600)
    with opened(w) as fleet, pytest.raises(JournalError) as caught:
        fleet.create(SPEC)
    assert caught.value.hint
