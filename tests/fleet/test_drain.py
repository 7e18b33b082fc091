"""Emptying hosts and bringing back what was there: the plans, and what comes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.stand import Stand, places, world
from vhal.errors import InsufficientResources, InvalidSpec, NotFound
from vhal.fleet.members.cordon import cordons
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.drain import plan_drain, plan_restore
from vhal.fleet.plan import Plan
from vhal.fleet.rules import Apart, Never, Only, Rule, Stay, Together
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.journal import Journal
from vhal.spec.frozen import FrozenDict
from vhal.spec.units import Bytes

GIB = 1 << 30


def host(name: str, gib: int = 64, **facts: object) -> SeenHost:
    return SeenHost(**{"name": name, "uuid": f"u-{name}", "cpus": 16, "memory": Bytes(gib * GIB), **facts})  # type: ignore[arg-type]


def machine(name: str, on: str, gib: int = 8, **facts: object) -> SeenMachine:
    return SeenMachine(**{"id": f"i-{name}", "name": name, "host": on, "memory": Bytes(gib * GIB), **facts})  # type: ignore[arg-type]


def fleet(hosts: list[SeenHost], machines: list[SeenMachine], *rules: Rule) -> FleetSnapshot:
    return FleetSnapshot(hosts=tuple(hosts), machines=tuple(machines), rules=rules)


def ways(plan: Plan) -> dict[str, str]:
    return {move.machine: move.destination for move in plan.moves}


def hold(snapshot: FleetSnapshot, plan: Plan) -> None:
    """Assert of each step of a plan, with arithmetic of its own, that its host has room and no two are together."""
    at = {each.id: each.host for each in snapshot.machines}
    for place, move in enumerate(plan.moves):
        assert at[move.id] == move.source
        assert all(needed < place for needed in move.after)
        at[move.id] = move.destination
        there = [each for each in snapshot.machines if at[each.id] == move.destination]
        seen = snapshot.host(move.destination)
        assert sum(each.memory for each in there) <= seen.memory - seen.reserved_memory
        assert sum(each.cpus for each in there) <= seen.cpus * seen.overcommit
        for rule in snapshot.rules:
            if isinstance(rule, Apart):
                assert sum(rule.machines.matches(each.words) for each in there) < 2


def test_all_machines_leave_and_the_rest_stays_even() -> None:
    snapshot = fleet(
        [host("a"), host("b"), host("c"), host("d", 32)],
        [machine(f"a{n}", "a") for n in range(6)] + [machine("b1", "b", 16)],
    )
    plan = plan_drain(snapshot, ["a"])
    hold(snapshot, plan)
    assert (plan.kind, plan.emptied, plan.snapshot) == ("drain", ("a",), snapshot.digest)
    assert sorted(ways(plan)) == [f"a{n}" for n in range(6)]
    loads = {change.host: change.memory[1] for change in plan.hosts if change.host != "a"}
    assert max(loads.values()) <= 0.5
    (a,) = [change for change in plan.hosts if change.host == "a"]
    assert (a.machines, a.memory[1], a.load) == ((6, 0), 0.0, None)


def test_each_move_says_why_and_what_it_costs() -> None:
    snapshot = fleet(
        [host("a", bandwidth=float(GIB)), host("b", bandwidth=float(GIB))],
        [machine("web", "a", dirty_rate=GIB / 4.0, load=Load(cpus=2.0))],
    )
    plan = plan_drain(snapshot, ["a"])
    (move,) = plan.moves
    assert move.reason == "a is being drained; b has then given away 12% of its memory"
    # Each pass is a quarter of the one before, until a third of a second is left: 8 + 2 + 0.5 and the rest.
    assert move.transferred == int((8 + 2 + 0.5 + 0.125) * GIB)
    assert (move.total_s, move.downtime_s) == (10.625, 0.125)
    assert {change.host: change.load for change in plan.hosts} == {"a": (0.125, 0.0), "b": (0.0, 0.125)}


def test_a_machine_that_doesnt_run_is_not_sent() -> None:
    snapshot = fleet([host("a", bandwidth=1e9), host("b")], [machine("web", "a", state="stopped")])
    (move,) = plan_drain(snapshot, ["a"]).moves
    assert (move.transferred, move.total_s) == (0, 0.0)


def test_the_load_counts() -> None:
    busy = Load(cpus=12.0)
    snapshot = fleet(
        [host("a"), host("b"), host("c")],
        [machine("a1", "a", load=Load(cpus=4.0)), machine("b1", "b", 8, load=busy), machine("c1", "c", 16)],
    )
    assert ways(plan_drain(snapshot, ["a"])) == {"a1": "c"}


def test_several_hosts_at_once() -> None:
    snapshot = fleet(
        [host("a"), host("b"), host("c")], [machine(f"{on}{n}", on) for on in ("a", "b") for n in range(2)]
    )
    plan = plan_drain(snapshot, ["a", "b", "a"])
    assert set(ways(plan).values()) == {"c"}
    assert plan.emptied == ("a", "b")


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Never(machines=Selector("name=web"), hosts=Selector("name=b")), "c"),
        (Only(machines=Selector("name=web"), hosts=Selector("disk=ssd")), "c"),
        (Apart(machines=Selector("tier=front")), "c"),
        (Apart(machines=Selector("tier=front"), domain="rack"), "c"),
        (Together(machines=Selector("tier=front"), domain="rack"), "b"),
    ],
)
def test_rules_hold(rule: Rule, wanted: str) -> None:
    front = FrozenDict({"tier": "front"})
    labels = {name: FrozenDict({"rack": f"of-{name}", "disk": "ssd" if name == "c" else "hdd"}) for name in "abc"}
    snapshot = fleet(
        [host(name, labels=labels[name]) for name in "abc"],
        [machine("web", "a", labels=front), machine("front", "b", 1, labels=front), machine("other", "c", 8)],
        rule,
    )
    assert ways(plan_drain(snapshot, ["a"])) == {"web": wanted}


def test_those_that_belong_together_go_together() -> None:
    snapshot = fleet(
        [host("a"), host("b", 24), host("c", 16)],
        [machine("web", "a", 12), machine("db", "a", 12), machine("c1", "c", 1)],
        Together(machines=Selector("name=web")),
        Together(machines=Selector("name=*b")),
    )
    plan = plan_drain(snapshot, ["a"])
    assert ways(plan) == {"web": "b", "db": "b"}


def test_what_finds_no_place_is_named_with_why() -> None:
    snapshot = fleet(
        [host("a"), host("b", 16), host("c", 8)],
        [
            machine("large", "a", 32),
            machine("small", "a", 4),
            machine("pinned", "a"),
            machine("odd", "a", movable=False),
        ],
        Stay(machines=Selector("name=pinned"), name="licence"),
    )
    plan = plan_drain(snapshot, ["a"])
    assert ways(plan) == {"small": "b"}
    assert set(plan.notes) == {
        "left: large stays on a: no host takes it: b has 16 GiB of memory left; c has 8 GiB of memory left",
        "left: pinned stays on a: pinned: rule 'licence' keeps it where it is",
        "left: odd stays on a: odd: it can't be moved as it is now",
    }
    with pytest.raises(InsufficientResources, match="3 of 4 machines find no place") as caught:
        plan_drain(snapshot, ["a"], strict=True)
    assert caught.value.hint


def test_room_is_made_by_moving_a_smaller_one_out_of_the_way() -> None:
    snapshot = fleet([host("a"), host("b", 32), host("c", 16)], [machine("large", "a", 28), machine("small", "b", 8)])
    plan = plan_drain(snapshot, ["a"])
    hold(snapshot, plan)
    assert [(move.machine, move.destination, move.after) for move in plan.moves] == [
        ("small", "c", ()),
        ("large", "b", (0,)),
    ]
    assert "makes room for large on b" in plan.moves[0].reason


def test_an_empty_host_needs_no_moves() -> None:
    plan = plan_drain(fleet([host("a"), host("b")], []), ["a"])
    assert not plan
    assert plan.notes == ("a: there is nothing to move",)


def test_the_last_host_cant_be_drained() -> None:
    with pytest.raises(InsufficientResources, match="a can't be drained: no other host takes machines") as raised:
        plan_drain(fleet([host("a")], [machine("web", "a")]), ["a"])
    assert raised.value.hint
    # Where nothing is to be moved, none is needed.
    assert not plan_drain(fleet([host("a")], []), ["a"])


def test_hosts_that_cant_be_drained() -> None:
    snapshot = fleet([host("a", status="unreachable", reason="no route"), host("b")], [])
    with pytest.raises(NotFound) as unknown:
        plan_drain(snapshot, ["z"])
    assert "there are a, b" in str(unknown.value.hint)
    with pytest.raises(InvalidSpec, match="no route") as dead:
        plan_drain(snapshot, ["a"])
    assert "evacuate" in str(dead.value.hint)


def test_gpus_and_backends_count() -> None:
    wants = FrozenDict({"A100": 1})
    snapshot = fleet(
        [
            host("a", backend="x"),
            host("b", backend="x", gpus=FrozenDict({"A100": 1})),
            host("c", backend="x", gpus=FrozenDict({"T4": 4})),
            host("d", backend="y", gpus=FrozenDict({"A100": 8})),
        ],
        [
            machine("g1", "a", gpus=wants),
            machine("g2", "a", gpus=wants),
            machine("any", "a", 1, gpus=FrozenDict({"": 1})),
        ],
    )
    plan = plan_drain(snapshot, ["a"])
    assert ways(plan) == {"g1": "b", "any": "c"}
    assert "hasn't got its GPUs left" in plan.notes[0]


sizes = st.integers(1, 24)
hosts_of = st.lists(st.integers(16, 64), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(hosts_of, st.lists(st.tuples(st.integers(0, 5), sizes, st.booleans()), max_size=14), st.integers(1, 2))
def test_every_step_of_a_drain_holds(memory: list[int], held: list[tuple[int, int, bool]], count: int) -> None:
    names = [f"h{n}" for n in range(len(memory))]
    left = dict(zip(names, memory, strict=True))
    machines: list[SeenMachine] = []
    front: set[str] = set()
    for n, (where, gib, is_front) in enumerate(held):
        on = names[where % len(names)]
        if gib <= left[on]:
            left[on] -= gib
            label = is_front and on not in front
            front |= {on} if label else set()
            machines.append(machine(f"m{n}", on, gib, labels=FrozenDict({"tier": "front"} if label else {})))
    snapshot = fleet(
        [host(name, gib) for name, gib in zip(names, memory, strict=True)],
        machines,
        Apart(machines=Selector("tier=front")),
    )
    emptied = names[: min(count, len(names) - 1)]
    plan = plan_drain(snapshot, emptied)
    hold(snapshot, plan)
    assert not {move.destination for move in plan.moves} & set(emptied)
    moved = {move.machine for move in plan.moves}
    there = {each.name for each in machines if each.host in emptied}
    named = {note.split()[1] for note in plan.notes if note.startswith("left: ")}
    assert there - moved == named
    assert plan == plan_drain(snapshot, emptied)


# carried out


def test_a_drain_and_back(journal: Journal) -> None:
    with Stand(world({"a": {"web": 8, "db": 4, "job": 2}, "b": {"other": 1}, "c": {}})) as stand:
        before = places(stand.world)
        applied = apply(plan_drain(stand.snapshot(), ["a"]), stand, journal=journal).check()
        assert "a" not in places(stand.world).values()
        assert stand.snapshot().host("a").status is HostStatus.DRAINING
        (kept,) = cordons(journal)
        assert (kept.host, kept.reason) == ("a", f"work {applied.work} emptied it")
        # Meanwhile one is deleted, and one was moved back by hand.
        after = places(stand.world)
        stand.host(after["job"]).machine("job").delete(force=True)
        stand.host(after["db"]).machine("db").migrate(stand.host("a"))
        stand.mark("a", HostStatus.UP)
        plan = plan_restore(stand.snapshot(), "a", journal)
        assert (plan.kind, plan.notes) == ("restore", ("left: job is gone",))
        apply(plan, stand, journal=journal).check()
        del before["job"]
        assert places(stand.world) == before
        assert cordons(journal) == []


def test_a_drain_in_several_goes_is_brought_back_whole(journal: Journal) -> None:
    sim = world({"a": {"web": 8, "huge": 56}, "b": {"second": 10}, "c": {"third": 10}})
    with Stand(sim, [Stay(machines=Selector("name=*d"))]) as stand:
        plan = plan_drain(stand.snapshot(), ["a"])
        (left,) = plan.notes
        assert left.startswith("left: huge stays on a: no host takes it")
        assert apply(plan, stand, journal=journal).left == (left.removeprefix("left: "),)
        # Room is made, and it is drained again, as the error says.
        stand.host("c").machine("third").migrate(stand.host("b"))
        if places(sim)["web"] == "c":
            stand.host("c").machine("web").migrate(stand.host("b"))
        apply(plan_drain(stand.snapshot(), ["a"]), stand, journal=journal).check()
        assert places(sim)["huge"] == "c"
        apply(plan_restore(stand.snapshot(), "a", journal), stand, journal=journal).check()
        assert places(sim) == {"web": "a", "huge": "a", "second": "b", "third": "b"}


def test_a_drain_after_a_restore_is_another_one(journal: Journal) -> None:
    with Stand(world({"a": {"web": 8, "db": 4}, "b": {}, "c": {}})) as stand:
        apply(plan_drain(stand.snapshot(), ["a"]), stand, journal=journal).check()
        apply(plan_restore(stand.snapshot(), "a", journal, empty=True), stand, journal=journal).check()
        stand.host(places(stand.world)["db"]).machine("db").migrate(stand.host("a"))
        apply(plan_drain(stand.snapshot(), ["a"]), stand, journal=journal).check()
        assert ways(plan_restore(stand.snapshot(), "a", journal)) == {"db": "a"}


def test_what_was_drained_of_another_host_of_that_name_is_not_brought_back(journal: Journal) -> None:
    with Stand(world({"a": {"web": 8}, "b": {}})) as one, Stand(world({"a": {}, "b": {}})) as other:
        apply(plan_drain(one.snapshot(), ["a"]), one, journal=journal).check()
        with pytest.raises(NotFound, match="knows of no drain of a"):
            plan_restore(other.snapshot(), "a", journal)


def test_what_no_longer_fits_is_not_brought_back(journal: Journal) -> None:
    with Stand(world({"a": {"web": 40}, "b": {"new": 30}, "c": {}})) as stand:
        apply(plan_drain(stand.snapshot(), ["a"]), stand, journal=journal).check()
        stand.host("b").machine("new").migrate(stand.host("a"))
        stand.mark("a", HostStatus.UP)
        plan = plan_restore(stand.snapshot(), "a", journal)
        assert plan.notes == (
            "left: web stays on c: a has 34 GiB of memory left",
            "nothing is to be brought back to a",
        )


def test_nothing_is_known_of_a_host_that_was_not_drained(journal: Journal) -> None:
    with Stand(world({"a": {}, "b": {}})) as stand:
        for name in ("a", "z"):
            with pytest.raises(NotFound) as caught:
                plan_restore(stand.snapshot(), name, journal)
            assert caught.value.hint
