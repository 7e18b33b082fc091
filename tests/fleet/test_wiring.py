"""The fleet as users hold it: it plans, carries out, drains and fills, and gives no room away twice meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vhal_mock.world import World

import vhal
from tests.fleet.stand import places, world
from vhal.driver.fault import Fault
from vhal.errors import PlacementRefused
from vhal.fleet.fleet import Fleet
from vhal.fleet.moves.applied import Applied, ApplySettings, MoveEvent
from vhal.fleet.placement.claims import HERE, Claims
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import HostStatus, SeenMachine
from vhal.journal import Journal
from vhal.spec.units import Bytes


@pytest.fixture
def w() -> World:
    return world({"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}})


@pytest.fixture
def fleet(w: World) -> Iterator[Fleet]:
    with Fleet({name: w.url(name) for name in "abc"}) as fleet:
        yield fleet


def outcomes(applied: Applied) -> list[str]:
    return [f"{result.move.machine} {result.outcome}" for result in applied.moves]


def test_a_plan_to_balance_is_made_and_carried_out(w: World, fleet: Fleet, journal: Journal) -> None:
    plan = fleet.plan_balance(BalanceSettings(max_moves=2))
    assert len(plan.moves) == 2
    assert fleet.apply(plan, journal=journal).check().missed == ()
    assert sorted(places(w).values()) == ["a", "b", "c"]
    assert not fleet.plan_balance()


def test_a_host_is_drained_and_filled_again(w: World, fleet: Fleet, journal: Journal) -> None:
    assert len(fleet.drain("a", journal=journal).check().arrived) == 3
    assert "a" not in places(w).values()
    assert fleet.snapshot().host("a").status is HostStatus.DRAINING
    assert len(fleet.plan_restore("a", journal=journal).moves) == 3
    assert fleet.snapshot().host("a").status is HostStatus.DRAINING  # planned only
    fleet.restore("a", journal=journal).check()
    assert set(places(w).values()) == {"a"}
    assert fleet.snapshot().host("a").status is HostStatus.UP


def test_a_drain_whose_move_failed_looks_for_another_place(w: World, fleet: Fleet, journal: Journal) -> None:
    w.inject(Fault(at="migration.transfer.round", machine="db"))
    applied = fleet.drain("a", journal=journal, settings=ApplySettings(fleet=1))
    assert {name for name, place in places(w).items() if place == "a"} == {"db"}
    assert any(result.error == "there is a new plan" for result in applied.missed)
    w.inject(Fault(at="migration.transfer.round", times=None))
    again = fleet.drain("a", journal=journal, settings=ApplySettings(replans=0))
    assert outcomes(again) == ["db failed"]


def test_machines_that_a_host_refuses_go_to_another_one(journal: Journal) -> None:
    """Whether an engine is too old for a machine isn't known before it moves: the emptiest hosts are tried first."""
    versions = {"a": "10.1.0", "old": "7.2.0", "older": "6.2.0", "new": "10.1.0"}
    sim = World.from_spec(
        {
            "hosts": [{"name": name, "memory": "64GiB", "versions": {"qemu": each}} for name, each in versions.items()],
            "machines": [
                {"host": host, "running": True, "spec": {"name": f"{host}{n}", "cpus": 1, "memory": f"{gib}GiB"}}
                for host, gib, count in (("a", 2, 8), ("new", 30, 1))
                for n in range(count)
            ],
        }
    )
    with Fleet({name: sim.url(name) for name in versions}) as fleet:
        applied = fleet.drain("a", journal=journal).check()
    assert {name: place for name, place in places(sim).items() if place != "new"} == {}
    told = outcomes(applied)
    assert sum(each.endswith("moved") for each in told) == 8
    assert [each for each in told if each.endswith("dropped")] == []
    assert 8 <= sum(each.endswith("refused") for each in told) <= 16


def test_the_balancer_moves_no_more_than_the_plan_had_left(w: World, fleet: Fleet, journal: Journal) -> None:
    plan = fleet.plan_balance(BalanceSettings(max_moves=2))
    failed = plan.moves[0].machine
    w.inject(Fault(at="migration.transfer.round", machine=failed, times=None))
    applied = fleet.apply(plan, ApplySettings(fleet=1), journal=journal)
    assert outcomes(applied)[0] == f"{failed} failed"
    assert len(applied.arrived) == 2
    assert sorted(places(w).values()) == ["a", "b", "c"]


def test_a_plan_without_settings_of_the_balancer_is_not_made_anew(w: World, fleet: Fleet, journal: Journal) -> None:
    plan = fleet.plan_balance(BalanceSettings(max_moves=2)).replace(settings=None)
    w.inject(Fault(at="migration.transfer.round", machine=plan.moves[0].machine, times=None))
    applied = fleet.apply(plan, ApplySettings(fleet=1), journal=journal)
    assert [str(result.outcome) for result in applied.moves] == ["failed", "moved"]


# room


def test_a_move_under_way_holds_its_room_against_what_is_made(journal: Journal) -> None:
    w = world({"a": {"web": 40}, "b": {}})
    refused: list[str] = []
    with Fleet({name: w.url(name) for name in "ab"}) as fleet:

        def create(event: MoveEvent) -> None:
            if event.progress is not None and event.progress.phase == "transfer" and not refused:
                # Of 64 GiB 40 are taken on a, and 40 are coming to b.
                with pytest.raises(PlacementRefused) as raised:
                    fleet.create(vhal.MachineSpec(name="new", memory="30GiB"))
                refused.append(raised.value.message)

        fleet.apply(fleet.plan_drain("a"), journal=journal, on_event=create).check()
        assert refused
        assert "b has 24 GiB of its 64 GiB of memory left" in refused[0]
        fleet.restore("a", empty=True, journal=journal)
        assert fleet.create(vhal.MachineSpec(name="new", memory="30GiB")).host.uuid == fleet.host("a").uuid


def test_what_is_being_made_holds_its_room_against_moves(journal: Journal) -> None:
    w = world({"a": {"web": 40}, "b": {}})
    with Fleet({name: w.url(name) for name in "ab"}) as fleet:
        coming = SeenMachine(id="coming", name="new", host="b", memory=Bytes("30GiB"))
        claim = HERE.take(Claims.now_s(), lambda _: (fleet.host("b").uuid, coming))
        try:
            applied = fleet.drain("a", journal=journal)
            assert outcomes(applied) == ["web refused"]
            assert "b has 34 GiB of memory left, with what is being made there" in applied.moves[0].error
        finally:
            HERE.end(claim, made=False)
        assert len(fleet.drain("a", journal=journal).check().arrived) == 1
