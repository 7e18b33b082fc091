"""A process dies while it carries a plan out; another goes on: at every point, and never two copies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from vhal_mock.world import World

from tests.fleet.stand import Killed, Life, Stand, kept_apart, never_two, places, world
from vhal.driver.fault import Fault
from vhal.driver.migration import MigrationPolicy
from vhal.errors import Busy, NotFound, VhalError
from vhal.fleet.moves.applied import ApplySettings, MoveEvent
from vhal.fleet.moves.apply import apply, resume
from vhal.fleet.moves.drain import plan_restore
from vhal.fleet.moves.works import unfinished
from vhal.fleet.rules import Apart
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import HostStatus
from vhal.journal import Journal

LIVE = ApplySettings(fleet=1)
COLD = ApplySettings(fleet=1, policy=MigrationPolicy(live=False))
WANTED = {"web": "b", "db": "c"}


def interrupted(path: Path, sim: World, life: Life, settings: ApplySettings) -> None:
    """Carry a plan out until the process dies, if it does."""
    with Stand(sim) as calm:
        plan = calm.plan(("web", "b"), ("db", "c", (0,)), emptied=("a",), kind="drain")
    with Stand(sim, layers=[life.layer]) as fleet, life.journal(path) as journal:
        apply(plan, fleet, settings, journal=journal)


def chances(path: Path, settings: ApplySettings) -> int:
    """Return how often the process could die."""
    life, sim = Life(), world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}})
    interrupted(path, sim, life, settings)
    return life.seen


@pytest.mark.parametrize("settings", [LIVE, COLD], ids=["live", "cold"])
def test_it_goes_on_wherever_it_was_killed(tmp_path: Path, settings: ApplySettings) -> None:
    total = chances(tmp_path / "calm", settings)
    assert total > 30
    resumed = 0
    for chance in range(1, total + 1):
        sim, path = world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}}), tmp_path / str(chance)
        with pytest.raises(Killed):
            interrupted(path, sim, Life(chance), settings)
        never_two(sim)
        with Stand(sim) as fleet, Journal(path) as journal:
            for work in unfinished(journal):
                applied = resume(work.id, fleet, journal=journal).check()
                assert len(applied.moves) == 2, chance
                assert fleet.marks == {"a": HostStatus.DRAINING}
                assert places(sim) == WANTED, chance
                resumed += 1
            assert unfinished(journal) == []
            places(sim)
    assert resumed >= total - 8, "it was written down before anything was done"


def test_it_goes_on_after_several_deaths(tmp_path: Path) -> None:
    sim, path = world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}}), tmp_path / "journal"
    with pytest.raises(Killed):
        interrupted(path, sim, Life(20), LIVE)
    for chance in range(2, 40, 3):
        life = Life(chance)
        with Stand(sim, layers=[life.layer]) as fleet, life.journal(path) as journal:
            try:
                for work in unfinished(journal):
                    resume(work.id, fleet, journal=journal)
            except Killed:
                never_two(sim)
    with Stand(sim) as fleet, Journal(path) as journal:
        for work in unfinished(journal):
            resume(work.id, fleet, journal=journal).check()
    assert places(sim) == WANTED


POINTS = ("transfer.round", "transfer.switch", "transfer.arrived")


@pytest.mark.parametrize("point", POINTS)
def test_it_goes_on_when_it_was_killed_while_memory_was_sent(tmp_path: Path, point: str) -> None:
    life, sim = Life(), world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}})
    # Its last breath: the engine's call breaks, and then nothing that it does reaches anybody.
    sim.inject(Fault(at=f"migration.{point}", kind="error"))

    def die(event: MoveEvent) -> None:
        if event.progress is not None and event.progress.phase == "transfer" and life.chances is None:
            life.chances = life.seen + 2  # the first is the transfer's own beginning

    with Stand(sim) as calm:
        plan = calm.plan(("web", "b"), ("db", "c", (0,)))
    with (
        pytest.raises(Killed),
        Stand(sim, layers=[life.layer]) as fleet,
        life.journal(tmp_path / "journal") as journal,
    ):
        apply(plan, fleet, LIVE, journal=journal, on_event=die)
    with Stand(sim) as fleet, Journal(tmp_path / "journal") as journal:
        (work,) = unfinished(journal)
        resume(work.id, fleet, journal=journal).check()
    assert places(sim) == WANTED


def middle(tmp_path: Path) -> tuple[World, Path, str]:
    """Return a world, and the journal of a process that died when web was about to be sent."""
    path = tmp_path / "journal"
    for chance in range(10, 40):
        sim = world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}})
        path.unlink(missing_ok=True)
        with pytest.raises(Killed):
            interrupted(path, sim, Life(chance), LIVE)
        with Journal(path) as journal:
            for work in unfinished(journal):
                if work.steps[0].state == "begun" and (work.steps[0].note or {}).get("ticket"):
                    return sim, path, work.id
    raise AssertionError("it never came so far")


def test_what_changed_meanwhile_counts(tmp_path: Path) -> None:
    sim, path, work = middle(tmp_path)
    with Stand(sim) as fleet, Journal(path) as journal:
        fleet.host("a").machine("db").delete(force=True)
        applied = resume(work, fleet, journal=journal)
        assert [str(result.outcome) for result in applied.moves] == ["moved", "refused"]
        assert places(sim) == {"web": "b"}


def test_a_host_that_cant_be_asked_leaves_it_in_doubt_until_it_can(tmp_path: Path) -> None:
    sim, path, work = middle(tmp_path)
    sim.inject(Fault(at="inspect.begin", kind="partition", host="b", seconds=3600))
    with Stand(sim) as fleet, Journal(path) as journal:
        applied = resume(work, fleet, journal=journal)
        assert [str(result.outcome) for result in applied.moves] == ["in-doubt", "dropped"]
        never_two(sim)
        sim.clock.advance(7200)
        applied = resume(work, fleet, journal=journal)
        assert [str(result.outcome) for result in applied.moves] == ["moved", "dropped"]
        assert unfinished(journal) == []
    assert places(sim) == {"web": "b", "db": "a"}


def test_what_has_ended_is_not_gone_on_with(tmp_path: Path) -> None:
    with Stand(world({"a": {"web": 4}, "b": {}})) as fleet, Journal(tmp_path / "journal") as journal:
        applied = apply(fleet.plan(("web", "b")), fleet, journal=journal)
        for name in (applied.work, "nothing"):
            with pytest.raises(NotFound) as caught:
                resume(name, fleet, journal=journal)
            assert caught.value.hint


def test_what_is_under_way_is_left_alone(tmp_path: Path) -> None:
    def listen(event: MoveEvent) -> None:
        if event.kind == "begun":
            assert unfinished(journal) == []
            (work,) = journal.works(ended=False)
            with pytest.raises(Busy):
                resume(work.id, fleet, journal=journal)

    with Stand(world({"a": {"web": 4}, "b": {}})) as fleet, Journal(tmp_path / "journal") as journal:
        apply(fleet.plan(("web", "b")), fleet, journal=journal, on_event=listen).check()


RULE = Apart(machines=Selector("name=web*"))
KINDS = ("error", "lost-reply", "machine-crash", "partition", "host-crash")


def faults(machine: str) -> list[Callable[[], Fault]]:
    """Return what can go wrong on the way of a machine."""
    points = (
        "offer.begin",
        "prepare.end",
        "transfer.round",
        "transfer.arrived",
        "commit.begin",
        "commit.end",
        "release.begin",
    )
    return [
        lambda point=point, kind=kind: Fault(at=f"migration.{point}", kind=kind, machine=machine, seconds=60)  # type: ignore[misc]
        for point in points
        for kind in KINDS
    ]


@pytest.mark.parametrize("make", faults("web1"))
def test_never_two_copies_and_never_a_broken_rule_whatever_fails(tmp_path: Path, make: Callable[[], Fault]) -> None:
    def check(event: MoveEvent) -> None:
        never_two(sim)
        kept_apart(sim, RULE)

    sim = world({"a": {"web1": 8, "db": 8}, "b": {"web2": 8}, "c": {}, "d": {}})
    sim.inject(make())
    with Stand(sim, [RULE]) as fleet, Journal(tmp_path / "journal") as journal:
        plan = fleet.plan(("web1", "c"), ("web2", "a", (0,)), ("db", "d"))
        with suppress(VhalError):
            apply(plan, fleet, ApplySettings(per_host=1), journal=journal, on_event=check)
        never_two(sim)
        kept_apart(sim, RULE)
        sim.clock.advance(3600)
        for work in unfinished(journal):
            resume(work.id, fleet, journal=journal, on_event=check)
        never_two(sim)
        held = {machine.spec.name for host in sim.hosts.values() for machine in host.machines.values()}
        assert held == {"db", "web1", "web2"}
        # A destination that dies right after it took the machine over leaves a doubt that only people can end.
        doubtful = make().kind == "host-crash" and make().at == "migration.commit.end"
        assert bool(unfinished(journal)) is doubtful


def test_it_is_gone_on_with_in_its_own_fleet_only(tmp_path: Path) -> None:
    sim = world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}})
    with pytest.raises(Killed):
        interrupted(tmp_path / "journal", sim, Life(12), LIVE)
    # The first has other hosts, the second only hosts of the same names.
    for names, said in (("xy", "isn't in this fleet"), ("abc", "is another host")):
        with Stand(world({name: {} for name in names})) as other, Journal(tmp_path / "journal") as journal:
            (work,) = unfinished(journal)
            with pytest.raises(NotFound, match=f"{work.id} moves machines of host [abc], which {said}"):
                resume(work.id, other, journal=journal)
            assert [each.id for each in unfinished(journal)] == [work.id]
            assert other.marks == {}
    with Stand(sim) as fleet, Journal(tmp_path / "journal") as journal:
        resume(unfinished(journal)[0].id, fleet, journal=journal).check()
    assert places(sim) == WANTED


def test_a_plan_that_was_written_down_without_its_hosts(tmp_path: Path) -> None:
    """As it was at first: such a one is gone on with, and taken back."""
    sim = world({"a": {"web": 4, "db": 4}, "b": {}, "c": {}})
    with pytest.raises(Killed):
        interrupted(tmp_path / "journal", sim, Life(12), LIVE)
    with sqlite3.connect(tmp_path / "journal") as db:
        db.execute("UPDATE works SET data = json_remove(data, '$.hosts', '$.again')")
    with Stand(sim) as fleet, Journal(tmp_path / "journal") as journal:
        resume(unfinished(journal)[0].id, fleet, journal=journal).check()
        assert places(sim) == WANTED
        assert {move.machine for move in plan_restore(fleet.snapshot(), "a", journal).moves} == set(WANTED)
