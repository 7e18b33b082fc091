"""Machines made somewhere in a fleet: on simulated hosts, by several at once, and where engines say no."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vhal_mock.world import World

import vhal
from tests.unit.fakes import FakeDriver, raises
from vhal.driver.answer import Answer
from vhal.driver.fault import Fault, FaultKind
from vhal.errors import AlreadyExists, HostUnreachable, InsufficientResources, InvalidSpec, PlacementRefused
from vhal.fleet.fleet import Fleet
from vhal.fleet.placement import claims, creation
from vhal.fleet.rules import Apart
from vhal.fleet.snapshot import HostStatus


@pytest.fixture
def w() -> World:
    return World.from_spec({"hosts": [{"name": name, "cpus": 4, "memory": "8GiB"} for name in "abc"]})


@pytest.fixture
def fleet(w: World) -> Iterator[Fleet]:
    with Fleet({name: w.url(name) for name in "abc"}) as made:
        yield made


def spec(name: str = "web", memory: str = "1GiB", **labels: str) -> vhal.MachineSpec:
    return vhal.MachineSpec(name=name, memory=memory, labels=labels)


def where(fleet: Fleet) -> dict[str, str]:
    return {machine.name: machine.host for machine in fleet.snapshot().machines}


def test_machines_are_made_where_they_fit_best(fleet: Fleet) -> None:
    for number in range(3):
        machine = fleet.create(spec(f"web{number}"))
        machine.start()
    assert sorted(where(fleet).values()) == ["a", "b", "c"]
    packed = fleet.create(spec("more", "2GiB"), policy="pack")
    assert where(fleet)["more"] == "a"
    assert packed.host is fleet.host("a")


def test_with_time_to_measure_a_busy_host_is_avoided() -> None:
    busy = {"mock": {"workload": {"profile": "constant", "level": 1.0}}}
    machines = [
        {"host": "a", "running": True, "spec": {"name": "hot", "cpus": 4, "memory": "1GiB", "options": busy}},
        {"host": "b", "running": True, "spec": {"name": "cool", "cpus": 5, "memory": "2GiB"}},
    ]
    hosts = [{"name": name, "cpus": 4, "memory": "8GiB"} for name in "ab"]
    w = World.from_spec({"hosts": hosts, "machines": machines})
    with Fleet({name: w.url(name) for name in "ab"}) as fleet:
        assert fleet.explain(spec()).chosen == "a"
        assert fleet.explain(spec(), over_s=60).chosen == "b"
        assert fleet.create(spec(), over_s=60).host is fleet.host("b")


def test_explain_says_the_same_and_makes_nothing(fleet: Fleet) -> None:
    fleet.mark("a", HostStatus.CORDONED, "a fan")
    found = fleet.explain(spec(), on="name!=b")
    assert found.chosen == "c"
    assert {verdict.host: set(verdict.against) for verdict in found.verdicts} == {
        "c": set(),
        "a": {"status"},
        "b": {"labels"},
    }
    assert not where(fleet)


def test_a_machine_larger_than_any_host(fleet: Fleet) -> None:
    with pytest.raises(PlacementRefused, match="larger than any host: it wants 9 GiB of memory") as raised:
        fleet.create(spec(memory="9GiB"))
    error = raised.value
    assert (error.code, error.exit_code, error.machine) == ("placement-refused", 4, "web")
    assert isinstance(error, InsufficientResources)
    assert error.hint == "make it smaller, or add a larger host to the fleet"
    assert error.as_dict()["explanation"]["machine"] == "web"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert again.explanation == error.explanation


def test_no_room_now(fleet: Fleet) -> None:
    for number in range(3):
        fleet.create(spec(f"big{number}", "7GiB"))
    with pytest.raises(PlacementRefused, match="a has 1 GiB of its 8 GiB of memory left; b has") as raised:
        fleet.create(spec(memory="2GiB"))
    assert raised.value.hint is not None
    assert "vhal fleet explain" in raised.value.hint


def test_one_name_once_in_a_fleet(fleet: Fleet) -> None:
    fleet.create(spec())
    with pytest.raises(AlreadyExists, match="machine 'web' in the fleet: on a") as raised:
        fleet.create(spec())
    assert raised.value.hint
    # Where it would go is said all the same: one asks it of machines that are there, too.
    explained = fleet.explain(spec())
    assert explained.chosen is not None
    assert explained.notes == ("there is a machine 'web' on a: this one needs another name to be made",)


@pytest.mark.parametrize("given", [{"name": "web"}, "web"])
def test_something_else_than_a_spec(fleet: Fleet, given: object) -> None:
    with pytest.raises(InvalidSpec, match="not from a"):
        fleet.create(given)  # type: ignore[arg-type]


def test_options_that_no_backend_understands_are_no_refusal(fleet: Fleet) -> None:
    with pytest.raises(InvalidSpec, match="nonsense"):
        fleet.create(vhal.MachineSpec(name="web", options={"mock": {"nonsense": 1}}))


def test_what_a_backend_can_not_make_goes_elsewhere(w: World) -> None:
    driver = FakeDriver("fake")
    driver.answers["create"] = Answer.no("old", "the engine is too old", "upgrade it")
    with Fleet({"fake": vhal.connect(driver), "a": w.url("a")}) as fleet:
        found = fleet.explain(vhal.MachineSpec(name="web", memory="1GiB"))
        assert found.chosen == "a"
        assert dict(found.verdicts[1].against) == {"engine": "says: the engine is too old"}


def test_where_the_engine_says_no_after_all_the_next_best_is_taken(w: World) -> None:
    driver = FakeDriver("full")
    driver.on["create"] = raises(InsufficientResources("somebody was faster", hint="wait"))
    with Fleet({"full": vhal.connect(driver), "a": w.url("a")}) as both:
        machine = both.create(vhal.MachineSpec(name="web", memory="1GiB"), policy="pack")
        assert machine.host is both.host("a")
        assert "full.create" in driver.calls
        with pytest.raises(PlacementRefused, match="full says: somebody was faster"):
            both.create(vhal.MachineSpec(name="web2", memory="1GiB"), on="name=full")


def test_where_it_is_not_known_whether_it_was_made_no_other_host_is_tried(w: World, fleet: Fleet) -> None:
    w.inject(Fault(at="create.end", kind=FaultKind.LOST_REPLY, host="a"))
    with pytest.raises(HostUnreachable):
        fleet.create(spec())
    assert where(fleet) == {"web": "a"}


def test_a_host_that_dies_before_it_is_begun_is_passed_over(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = fleet.host

    def host(name: str) -> vhal.Host:
        if name == "a":
            raise HostUnreachable("it went away", hint="wait")
        return opened(name)

    monkeypatch.setattr(fleet, "host", host)
    assert fleet.create(spec()).host is opened("b")


def test_a_dead_host_is_passed_over(w: World) -> None:
    with Fleet({"gone": "mock://nowhere/x", "a": w.url("a")}) as fleet:
        assert fleet.create(spec()).host is fleet.host("a")
        with pytest.raises(PlacementRefused, match="gone is unreachable: there is no mock world") as raised:
            fleet.create(spec("db"), on="name=gone")
    assert raised.value.explanation is not None
    assert raised.value.explanation.chosen is None


# several at once


def all_at_once(fleet: Fleet, specs: list[vhal.MachineSpec]) -> list[vhal.Machine | Exception]:
    """Make all of them from snapshots that were taken before any was made."""
    barrier = threading.Barrier(len(specs))
    snapshot = fleet.snapshot

    def together(**settings: float) -> object:
        found = snapshot(**settings)  # type: ignore[arg-type]
        barrier.wait(30)
        return found

    def make(one: vhal.MachineSpec) -> vhal.Machine | Exception:
        try:
            return fleet.create(one)
        except vhal.VhalError as error:
            return error

    fleet.snapshot = together  # type: ignore[method-assign,assignment]
    try:
        with ThreadPoolExecutor(len(specs)) as pool:
            return list(pool.map(make, specs))
    finally:
        fleet.snapshot = snapshot  # type: ignore[method-assign]


def test_two_at_once_do_not_get_the_same_room(fleet: Fleet) -> None:
    found = all_at_once(fleet, [spec(f"m{number}", "5GiB") for number in range(4)])
    assert sorted(where(fleet).values()) == ["a", "b", "c"]
    assert sum(isinstance(each, PlacementRefused) for each in found) == 1


def test_two_at_once_keep_the_rules(w: World) -> None:
    with Fleet({name: w.url(name) for name in "abc"}, rules=[Apart(machines="app=db")]) as fleet:
        all_at_once(fleet, [spec(f"db{number}", app="db") for number in range(4)])
        assert sorted(where(fleet).values()) == ["a", "b", "c"]


def test_two_at_once_do_not_get_the_same_name(fleet: Fleet) -> None:
    found = all_at_once(fleet, [spec(), spec()])
    assert sum(isinstance(each, AlreadyExists) for each in found) == 1
    assert len(where(fleet)) == 1


def test_claims_of_hosts_that_others_see_are_shared(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = claims.Claims(tmp_path / "claims.json")
    monkeypatch.setattr(creation, "claims_of", lambda _: kept)
    fleet.create(spec())
    assert "web" in (tmp_path / "claims.json").read_text()
