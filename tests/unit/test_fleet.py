"""A fleet: what it is made of, how it is looked at, and what hosts that don't answer cost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.metrics import MockMetrics
from vhal_mock.world import World

import vhal
from tests.unit.fakes import FakeDriver, S, raises
from vhal.driver.answer import Answer
from vhal.driver.fault import Fault, FaultKind
from vhal.errors import (
    HostUnreachable,
    InvalidConfig,
    InvalidSpec,
    InvalidState,
    InvalidUrl,
    NotFound,
    Unsupported,
)
from vhal.fleet.fleet import Fleet
from vhal.fleet.members import member
from vhal.fleet.members.entry import HostEntry, Keeping
from vhal.fleet.snapshot import FleetSnapshot, HostStatus


def world(machines: int = 3, **options: object) -> World:
    """Two hosts, and machines on the first that keep half a processor busy."""
    spec = {"cpus": 2, "memory": "1GiB", "labels": {"team": "blue"}}
    busy = {"mock": {"workload": {"profile": "constant", "level": 0.25}, **options}}
    return World.from_spec(
        {
            "hosts": [{"name": "a"}, {"name": "b"}],
            "machines": [
                {"host": "a", "running": True, "count": machines, "spec": {"name": "web", "options": busy, **spec}}
            ],
        }
    )


@pytest.fixture
def w() -> World:
    return world()


@pytest.fixture
def fleet(w: World) -> Iterator[Fleet]:
    with Fleet([w.url("a"), w.url("b")]) as made:
        yield made


def named(snapshot: FleetSnapshot) -> dict[str, list[str]]:
    return {host: [machine.name for machine in machines] for host, machines in snapshot.on.items()}


# what it is made of


def test_a_fleet_opens_nothing_before_it_is_asked() -> None:
    fleet = Fleet(["mock://nowhere/a", "mock://nowhere/b"])
    assert fleet.names == ("a", "b")
    assert len(fleet) == 2
    fleet.close()


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["mock:///a", "mock:///b"], ("a", "b")),
        (["mock://w/a", "mock://w/b"], ("a", "b")),
        (["mock://w/a", "mock://v/b"], ("w", "v")),
        (["libvirt+tls://alpha/system", "libvirt+tls://beta/system"], ("alpha", "beta")),
        (["libvirt+tls://alpha/system", "libvirt+ssh://alpha/system"], None),
        (["mock:///a", "libvirt:///system"], ("a", "system")),
    ],
)
def test_hosts_without_names_are_called_by_what_is_special_in_their_urls(
    urls: list[str], names: tuple[str, ...] | None
) -> None:
    assert Fleet(urls).names == (names or tuple(urls))


def test_names_can_be_given(w: World) -> None:
    with Fleet({"hot": w.url("a"), "cold": HostEntry(url=w.url("b"), labels={"rack": "r1"})}) as fleet:
        assert fleet.names == ("hot", "cold")
        assert fleet.host("hot").url == w.url("a")
        assert [host.url for host in fleet.hosts("rack=r1")] == [w.url("b")]
        with pytest.raises(NotFound, match="no host 'warm'"):
            fleet.host("warm")


def test_open_hosts_are_taken_and_stay_open(w: World) -> None:
    with vhal.connect(MockDriver(w.host("a"))) as a, vhal.connect(w.url("b")) as b:
        with Fleet([a, b]) as fleet:
            assert fleet.names[0] == "a"
            assert fleet.host("a") is a
        assert not a.closed
        assert not b.closed


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        (["mock:///a", "mock:///a"], "host .* is in the fleet twice"),
        ({"one": "mock:///a", "two": "mock:///a"}, "'one' and 'two' are one host: both are mock:///a"),
    ],
)
def test_one_address_twice(hosts: object, said: str) -> None:
    with pytest.raises(InvalidConfig, match=said) as raised:
        Fleet(hosts)  # type: ignore[arg-type]
    assert raised.value.hint


def test_one_address_is_no_list_of_them() -> None:
    with pytest.raises(InvalidConfig, match="'mock:///a' is one host, and a fleet is a list of them") as raised:
        Fleet("mock:///a")
    assert raised.value.hint == "give it as ['mock:///a']"
    with pytest.raises(InvalidSpec) as wrong:
        Fleet([3])  # type: ignore[list-item]
    assert "fleet.md" in str(wrong.value.hint)


def test_two_connections_to_one_host(w: World) -> None:
    driver = MockDriver(w.host("a"))
    with vhal.connect(driver) as one, vhal.connect(w.url("a")) as two:
        fleet = Fleet({"one": one, "two": two})
        with pytest.raises(InvalidConfig, match=f"'one' and 'two' are one host: both have the uuid {two.uuid}"):
            fleet.snapshot()


def test_a_malformed_url_is_named() -> None:
    with pytest.raises(InvalidUrl) as raised:
        Fleet({"alpha": "mock:/"})
    assert raised.value.host == "alpha"


# looking at it


def test_a_snapshot_has_hosts_machines_and_loads_by_the_hosts_clock(fleet: Fleet) -> None:
    first = fleet.snapshot()
    assert [machine.load for machine in first.machines] == [None] * 3
    found = fleet.snapshot(over_s=60)
    assert named(found) == {"a": ["web1", "web2", "web3"], "b": []}
    a, _ = found.hosts
    assert (a.name, a.backend, a.cpus, a.overcommit, a.memory) == ("a", "mock", 16, 4.0, 64 << 30)
    load = found.machines[0].load
    assert load is not None
    assert load.cpus == pytest.approx(0.5)
    assert load.memory > 0


def test_a_snapshot_reads_back_as_it_was(fleet: Fleet) -> None:
    found = fleet.snapshot(over_s=1)
    assert FleetSnapshot.read(found.model_dump_json()) == found


def test_what_is_said_of_a_host_goes_before_what_its_engine_says(w: World) -> None:
    entry = HostEntry(url=w.url("a"), overcommit=2, status=HostStatus.CORDONED, reason="a fan", bandwidth="1GB")
    defaults = Keeping(reserved_memory="4GiB", reserved_cpus=1, labels={"zone": "north"}, overcommit=8)
    with Fleet([entry, w.url("b")], defaults=defaults) as fleet:
        a, b = fleet.snapshot().hosts
    assert (a.overcommit, a.status, a.reason, a.bandwidth) == (2, HostStatus.CORDONED, "a fan", 1e9)
    assert (b.overcommit, b.status, b.reserved_memory, b.reserved_cpus) == (8, HostStatus.UP, 4 << 30, 1)
    assert a.labels == b.labels == {"zone": "north"}


def test_a_host_can_be_marked(fleet: Fleet) -> None:
    fleet.mark("b", HostStatus.DRAINING, "for repair")
    assert [(host.status, host.reason) for host in fleet.snapshot().hosts] == [
        (HostStatus.UP, ""),
        (HostStatus.DRAINING, "for repair"),
    ]
    assert [host.url for host in fleet.hosts("status=draining")] == [fleet.host("b").url]


def test_a_host_that_can_not_measure_is_seen_without_loads(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MockMetrics, "usage", lambda _: raises(Unsupported("no cgroups", hint="delegate them"))())
    with Fleet([w.url("a")]) as fleet:
        found = fleet.snapshot(over_s=1)
    assert found.hosts[0].status is HostStatus.UP
    assert {machine.load for machine in found.machines} == {None}


def test_unreachable_is_no_mark(fleet: Fleet) -> None:
    with pytest.raises(InvalidSpec, match="that is found out") as raised:
        fleet.mark("b", HostStatus.UNREACHABLE)
    assert raised.value.hint


def test_a_machine_is_known_not_to_move_when_it_is_asked() -> None:
    w = world(1, migratable=False)
    with Fleet([w.url("a"), w.url("b")]) as fleet:
        assert fleet.snapshot().machines[0].movable
        stuck = fleet.snapshot(movable=True).machines[0]
    assert not stuck.movable
    assert "can't move" in stuck.reason


def test_a_host_that_moves_nothing_says_so_for_all_its_machines() -> None:
    driver = FakeDriver("x", S.RUNNING)
    driver.answers["migration"] = Answer.no("no", "it can't move any", "use another")
    with Fleet({"x": vhal.connect(driver)}) as fleet:
        (machine,) = fleet.snapshot(movable=True).machines
    assert (machine.movable, machine.reason) == (False, "it can't move any")


def test_a_machine_that_moved_is_seen_to_have_moved(w: World) -> None:
    now = [100.0]
    with Fleet([w.url("a"), w.url("b")], clock=lambda: now[0]) as fleet:
        before = fleet.snapshot(over_s=10)
        fleet.find("web1").migrate(fleet.host("b"))
        now[0] = 200.0
        after = fleet.snapshot()
        now[0] = 300.0
        later = fleet.snapshot()
    assert {machine.moved_s for machine in before.machines} == {None}
    for snapshot in (after, later):
        moved = {machine.name: machine.moved_s for machine in snapshot.machines}
        assert moved == {"web1": 200.0, "web2": None, "web3": None}
    # Its counters began anew, and what was known of its load stays.
    assert all(machine.load is not None for machine in later.machines)


def test_of_two_copies_the_one_that_runs_is_the_machine() -> None:
    source, destination = FakeDriver("s", S.RUNNING), FakeDriver("d", S.PAUSED)
    with Fleet({"d": vhal.connect(destination), "s": vhal.connect(source)}) as fleet:
        (machine,) = fleet.snapshot().machines
        assert fleet.find("web").host is fleet.host("s")
        assert len(fleet.machines()) == 1
    assert (machine.host, machine.state) == ("s", S.RUNNING)


def test_anything_can_be_asked_of_all_hosts_or_of_some(w: World) -> None:
    with Fleet({"a": w.url("a"), "gone": "mock://nowhere/x"}) as fleet:
        answers = fleet.ask(lambda host: host.info().memory)
        assert answers["a"] == 64 << 30
        assert isinstance(answers["gone"], NotFound)
        assert fleet.ask(lambda host: host.backend, ["a"]) == {"a": "mock"}
        with pytest.raises(NotFound, match="no host 'b' in the fleet"):
            fleet.ask(lambda host: host.backend, ["b"])


# hosts that don't answer


def test_a_dead_host_is_shown_with_the_reason(w: World) -> None:
    with Fleet({"a": w.url("a"), "gone": "mock://nowhere/x"}) as fleet:
        found = fleet.snapshot()
        assert found.host("gone").status is HostStatus.UNREACHABLE
        assert "no mock world 'nowhere'" in found.host("gone").reason
        assert found.host("gone").memory == 0
        assert [host.url for host in fleet.hosts()] == [w.url("a")]
        assert len(fleet.machines()) == 3
        with pytest.raises(NotFound):
            fleet.host("gone")


def test_what_a_host_held_before_it_died_is_not_remembered(w: World, fleet: Fleet) -> None:
    assert len(fleet.snapshot().machines) == 3
    w.inject(Fault(at="describe.begin", kind=FaultKind.ERROR, host="a", message="it burns"))
    dead = fleet.snapshot()
    assert (dead.host("a").status, dead.host("a").cpus) == (HostStatus.UNREACHABLE, 0)
    assert "it burns" in dead.host("a").reason
    assert not dead.machines


def test_a_connection_that_died_is_opened_again(w: World, fleet: Fleet) -> None:
    fleet.snapshot()
    before = fleet.host("a")
    w.inject(Fault(at="machines.begin", kind=FaultKind.LOST_REPLY, host="a", times=1))
    assert fleet.snapshot().host("a").status is HostStatus.UP
    assert fleet.host("a") is not before
    assert before.closed


def test_a_host_that_hangs_costs_the_others_nothing_and_closing_does_not_wait(w: World) -> None:
    driver, hanging, go_on = FakeDriver("slow", S.RUNNING), threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait()

    driver.on["describe"] = hang
    try:
        with vhal.connect(driver) as slow, Fleet({"slow": slow, "a": w.url("a")}, patience_s=0.2) as fleet:
            found = fleet.snapshot()
        assert hanging.is_set()
        assert found.host("a").status is HostStatus.UP
        assert found.host("slow").status is HostStatus.UNREACHABLE
        assert "no answer within 0.2 s" in found.host("slow").reason
    finally:
        go_on.set()


def test_a_host_that_is_opened_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, opening, go_on, closed = FakeDriver("slow"), threading.Event(), threading.Event(), threading.Event()

    def connect(url: str) -> vhal.Host:
        opening.set()
        go_on.wait()
        return vhal.connect(driver)

    monkeypatch.setattr(member, "connect", connect)
    monkeypatch.setattr(driver, "close", closed.set)
    try:
        with Fleet({"slow": "mock:///a"}, patience_s=0.2) as fleet:
            assert "no answer within 0.2 s" in fleet.snapshot().host("slow").reason
            # The second look doesn't open it a second time, but waits for the first as long as it may.
            assert fleet.snapshot().host("slow").status is HostStatus.UNREACHABLE
        assert opening.is_set()
        assert not closed.is_set()
    finally:
        go_on.set()
    assert closed.wait(30)


def test_a_closed_fleet_says_so(w: World) -> None:
    fleet = Fleet([w.url("a")])
    host = fleet.hosts()[0]
    fleet.close()
    fleet.close()
    assert host.closed
    with pytest.raises(InvalidState, match="is closed"):
        fleet.host(fleet.names[0])


# finding


def test_machines_are_chosen_by_labels_and_facts(fleet: Fleet) -> None:
    fleet.find("web2").stop(force=True)
    assert {each.name for each in fleet.machines("team=blue,state=running")} == {"web1", "web3"}
    assert {each.name for each in fleet.machines("name=*2")} == {"web2"}
    assert not fleet.machines("host=b")
    with pytest.raises(InvalidSpec, match="is no condition") as raised:
        fleet.machines("team==blue")
    assert raised.value.hint


def test_find_by_name_id_and_place(fleet: Fleet) -> None:
    found = fleet.find("web1")
    assert fleet.find(found.id).name == "web1"
    assert fleet.find("a/web1").id == found.id
    with pytest.raises(NotFound, match="no machine 'web9' on a, b"):
        fleet.find("web9")


def test_one_name_on_two_hosts_names_both(fleet: Fleet) -> None:
    fleet.host("b").create(vhal.MachineSpec(name="web1"))
    with pytest.raises(InvalidSpec, match="several machines are called 'web1': on a and on b") as raised:
        fleet.find("web1")
    assert raised.value.hint is not None
    assert "a/web1" in raised.value.hint
    assert fleet.find("b/web1").host is fleet.host("b")


def test_a_machine_that_may_be_on_a_dead_host_is_not_said_to_be_nowhere(w: World) -> None:
    with (
        Fleet({"a": w.url("a"), "gone": "mock://nowhere/x"}) as fleet,
        pytest.raises(HostUnreachable, match="isn't on the hosts that answer; gone: "),
    ):
        fleet.find("db")
