"""Plans whose fleet has changed since they were made: refused, with the difference, and nothing is moved."""

from __future__ import annotations

import pytest

import vhal
from tests.fleet.stand import Stand, places, world
from vhal.errors import PlanOutdated
from vhal.fleet.moves.apply import apply
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import HostStatus
from vhal.journal import Journal

THREE = {"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}}


def changed(fleet: Stand, plan: Plan, journal: Journal) -> str:
    before = places(fleet.world)
    with pytest.raises(PlanOutdated) as caught:
        apply(plan, fleet, journal=journal)
    assert caught.value.hint
    assert caught.value.as_dict()["differences"] == list(caught.value.differences)
    assert places(fleet.world) == before, "no move was made"
    assert journal.works() == []
    return "; ".join(caught.value.differences)


def test_a_machine_that_moved_since(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"), ("db", "c"))
        fleet.host("a").machine("web").migrate(fleet.host("c"))
        assert "machine web was on a and is on c" in changed(fleet, plan, journal)


def test_a_machine_that_is_gone(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"))
        fleet.host("a").machine("web").delete(force=True)
        assert changed(fleet, plan, journal) == "machine web is gone"


def test_a_machine_that_grew(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"))
        fleet.host("a").machine("web").resize(memory="12GiB")
        assert "had 8 GiB of memory and has 12 GiB" in changed(fleet, plan, journal)


def test_a_host_that_filled_up(journal: Journal) -> None:
    with Stand(world({"a": {"web": 32}, "b": {}, "c": {"new": 48}})) as fleet:
        plan = fleet.plan(("web", "b"))
        fleet.host("c").machine("new").migrate(fleet.host("b"))
        assert "16 GiB of memory left" in changed(fleet, plan, journal)


def test_a_machine_that_appeared(journal: Journal) -> None:
    from vhal.fleet.moves.drain import plan_drain

    with Stand(world(THREE)) as fleet:
        plan = plan_drain(fleet.snapshot(), ["a"])
        fleet.host("a").create(vhal.MachineSpec(name="new"))
        with pytest.raises(PlanOutdated, match="host a had 3 machines and has 4"):
            apply(plan, fleet, journal=journal)


def test_hosts_that_are_gone_or_closed(journal: Journal) -> None:
    with Stand(world(THREE)) as fleet:
        plan = fleet.plan(("web", "b"))
        fleet.marks["b"] = HostStatus.UNREACHABLE
        assert "host b is unreachable" in changed(fleet, plan, journal)
        fleet.marks["b"] = HostStatus.CORDONED
        assert "b is cordoned" in changed(fleet, plan, journal)
    with Stand(world({"a": {"web": 8}, "c": {}})) as fewer:
        assert "host b is gone" in changed(fewer, plan, journal)


def test_what_changed_elsewhere_is_no_reason(journal: Journal) -> None:
    with Stand(world({**THREE, "d": {"other": 8}})) as fleet:
        plan = fleet.plan(("web", "b"))
        fleet.host("d").machine("other").stop(force=True)
        fleet.host("d").machine("other").delete()
        apply(plan, fleet, journal=journal).check()
