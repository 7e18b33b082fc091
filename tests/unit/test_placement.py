"""Where a machine goes: filters, scores, explanations, of snapshots that tests make up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhal.driver.placement import Candidate, PlacementFilter, PlacementScore
from vhal.errors import InvalidSpec
from vhal.fleet.placement.explanation import Explanation
from vhal.fleet.placement.extension import Extensions
from vhal.fleet.placement.placement import explain
from vhal.fleet.rules import Apart, Never, Only, Rule, Stay, Together
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.spec.devices import Gpu
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineSpec
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

GIB = 1 << 30


def host(
    name: str,
    cpus: int = 8,
    memory: int = 16,
    *,
    labels: dict[str, str] | None = None,
    gpus: dict[str, int] | None = None,
    status: HostStatus = HostStatus.UP,
    reason: str = "",
    overcommit: float = 1.0,
    reserved: int = 0,
) -> SeenHost:
    return SeenHost(
        name=name,
        uuid=name,
        backend="mock",
        cpus=cpus,
        memory=Bytes(memory * GIB),
        labels=FrozenDict(labels or {}),
        gpus=FrozenDict(gpus or {}),
        status=status,
        reason=reason,
        overcommit=overcommit,
        reserved_cpus=reserved,
        reserved_memory=Bytes(reserved * GIB),
    )


def machine(
    name: str,
    on: str,
    cpus: int = 1,
    memory: int = 1,
    *,
    labels: dict[str, str] | None = None,
    gpus: dict[str, int] | None = None,
    busy: float | None = None,
    state: MachineState = MachineState.RUNNING,
) -> SeenMachine:
    return SeenMachine(
        id=name,
        name=name,
        host=on,
        cpus=cpus,
        memory=Bytes(memory * GIB),
        labels=FrozenDict(labels or {}),
        gpus=FrozenDict(gpus or {}),
        state=state,
        load=None if busy is None else Load(cpus=busy),
    )


def fleet(hosts: list[SeenHost], *machines: SeenMachine, rules: list[Rule] | None = None) -> FleetSnapshot:
    return FleetSnapshot(hosts=tuple(hosts), machines=machines, rules=tuple(rules or ()))


def spec(cpus: int = 1, memory: int = 1, gpus: tuple[Gpu, ...] = (), **labels: str) -> MachineSpec:
    return MachineSpec(name="new", cpus=cpus, memory=memory * GIB, labels=labels, gpus=gpus)


def against(explanation: Explanation) -> dict[str, dict[str, str]]:
    return {verdict.host: dict(verdict.against) for verdict in explanation.verdicts if not verdict.fits}


# filters


@pytest.mark.parametrize("status", [HostStatus.CORDONED, HostStatus.DRAINING, HostStatus.UNREACHABLE])
def test_nothing_goes_to_a_host_that_is_not_up(status: HostStatus) -> None:
    found = explain(spec(), fleet([host("a", status=status, reason="a fan", memory=0), host("b")]))
    assert found.chosen == "b"
    assert against(found) == {"a": {"status": f"is {status}: a fan"}}


def test_memory_and_processors_are_what_is_left_of_them() -> None:
    hosts = [host("a"), host("b", overcommit=2), host("c", reserved=1)]
    held = [machine(f"m{name}", name, cpus=7, memory=8) for name in "abc"]
    found = against(explain(spec(cpus=2, memory=8), fleet(hosts, *held)))
    assert found == {
        "a": {"room": "has 1 of its 8 virtual processors left"},
        "c": {"room": "has 7 GiB of its 15 GiB of memory left and 0 of its 7 virtual processors left"},
    }


def test_a_machine_that_is_stopped_holds_its_room() -> None:
    held = machine("m", "a", memory=16, state=MachineState.STOPPED)
    assert explain(spec(), fleet([host("a")], held)).chosen is None


def test_what_is_being_made_holds_its_room_once() -> None:
    snapshot = fleet([host("a", memory=2)])
    coming = machine("other", "a", memory=1)
    assert explain(spec(memory=1), snapshot, coming=[coming]).chosen == "a"
    assert explain(spec(memory=2), snapshot, coming=[coming]).chosen is None
    # It is in the snapshot by now.
    assert explain(spec(memory=1), fleet([host("a", memory=2)], coming), coming=[coming]).chosen == "a"


def test_hosts_are_chosen_by_their_labels() -> None:
    snapshot = fleet([host("a", labels={"rack": "r1"}), host("b", labels={"rack": "r2"})])
    found = explain(spec(), snapshot, on=Selector("rack=r2"))
    assert (found.chosen, against(found)) == ("b", {"a": {"labels": "isn't rack=r2"}})


def test_gpus_by_model_and_number() -> None:
    hosts = [host("none"), host("old", gpus={"A30": 4}), host("new", gpus={"H100-80GB": 2})]
    held = machine("m", "new", gpus={"H100-80GB": 1})
    one = explain(spec(gpus=(Gpu(model="H100"),)), fleet(hosts, held))
    assert one.chosen == "new"
    assert against(one) == {"none": {"gpus": "has no H100"}, "old": {"gpus": "has no H100"}}
    two = explain(spec(gpus=(Gpu(model="h100"), Gpu(model="H100"))), fleet(hosts, held))
    assert against(two)["new"] == {"gpus": "has no H100 left"}
    assert explain(spec(gpus=(Gpu(), Gpu(), Gpu())), fleet(hosts, held)).chosen == "old"


def test_of_parts_of_gpus_only_the_engine_knows() -> None:
    hosts = [host("none"), host("mig", gpus={"A100": 1})]
    found = explain(spec(gpus=(Gpu(model="A100", profile="1g.10gb"),) * 3), fleet(hosts))
    assert (found.chosen, against(found)) == ("mig", {"none": {"gpus": "has no A100"}})


def test_machines_that_have_no_use_for_gpus_leave_them_to_others() -> None:
    assert explain(spec(), fleet([host("gpu", gpus={"H100": 8}), host("plain")])).chosen == "plain"
    hosts = [host("eight", gpus={"H100": 8}), host("one", gpus={"H100": 1})]
    assert explain(spec(gpus=(Gpu(),)), fleet(hosts)).chosen == "one"


RACKS = [host("a", labels={"rack": "r1"}), host("b", labels={"rack": "r1"}), host("c", labels={"rack": "r2"})]
DB = {"app": "db"}


@pytest.mark.parametrize(
    ("rule", "fitting", "said"),
    [
        (Apart(machines="app=db"), {"b", "c"}, "has db1, from which rule 'apart app=db' keeps it apart"),
        (Apart(machines="app=db", domain="rack", name="racks"), {"c"}, "is in the rack of db1"),
        (Together(machines="app=db"), {"a"}, "isn't in the host of db1, where rule 'together app=db' wants it"),
        (Together(machines="app=db", domain="rack"), {"a", "b"}, "isn't in the rack of db1"),
        (Only(machines="app=db", hosts="rack=r2"), {"c"}, "isn't rack=r2, where rule 'only app=db' wants it"),
        (Never(machines="app=db", hosts="rack=r1"), {"c"}, "is rack=r1, where rule 'never app=db' doesn't want it"),
        (Stay(machines="app=db"), {"a", "b", "c"}, None),
        (Apart(machines="app=web"), {"a", "b", "c"}, None),
    ],
)
def test_rules(rule: Rule, fitting: set[str], said: str | None) -> None:
    found = explain(spec(app="db"), fleet(RACKS, machine("db1", "a", labels=DB), rules=[rule]))
    assert {verdict.host for verdict in found.verdicts if verdict.fits} == fitting
    told = [reasons["rules"] for reasons in against(found).values()]
    assert all(said is not None and said in text for text in told)


def test_the_first_of_those_that_shall_be_together_goes_anywhere() -> None:
    found = explain(spec(app="db"), fleet(RACKS, rules=[Together(machines="app=db", domain="rack")]))
    assert not against(found)


def test_what_is_being_made_counts_for_rules() -> None:
    coming = machine("db1", "c", labels=DB)
    found = explain(spec(app="db"), fleet(RACKS, rules=[Apart(machines="app=db", domain="rack")]), coming=[coming])
    assert set(against(found)) == {"c"}


def test_what_an_engine_says_counts() -> None:
    found = explain(spec(), fleet([host("a"), host("b")]), engine={"a": "says: it is too old"})
    assert (found.chosen, against(found)) == ("b", {"a": {"engine": "says: it is too old"}})


# scores


def test_balance_takes_the_emptiest_and_the_least_busy() -> None:
    hosts = [host("a"), host("b")]
    assert explain(spec(), fleet(hosts, machine("m", "a", memory=4))).chosen == "b"
    hot = [machine("x", "a", busy=1.0, cpus=2), machine("y", "b", busy=7.0, cpus=2)]
    assert explain(spec(), fleet(hosts, *hot)).chosen == "a"


def test_pack_takes_the_fullest_that_has_room() -> None:
    held = [machine("x", "a", memory=4), machine("y", "b", memory=10), machine("z", "c", memory=16)]
    assert explain(spec(memory=4), fleet([host("a"), host("b"), host("c")], *held), "pack").chosen == "b"


def test_spread_takes_the_one_with_the_fewest_alike() -> None:
    held = [machine("w1", "a", labels={"app": "web"}), machine("d1", "b"), machine("d2", "b")]
    snapshot = fleet([host("a"), host("b")], *held)
    assert explain(spec(app="web"), snapshot, "spread").chosen == "b"
    assert explain(spec(app="mail"), snapshot, "spread").chosen == "a"


def test_equally_good_ones_are_taken_in_the_fleets_order() -> None:
    assert [v.host for v in explain(spec(), fleet([host("b"), host("a")])).verdicts] == ["b", "a"]


def test_a_policy_that_there_is_not() -> None:
    with pytest.raises(InvalidSpec, match="no policy 'fast'") as raised:
        explain(spec(), fleet([host("a")]), "fast")  # type: ignore[arg-type]
    assert raised.value.hint == "use one of balance, pack, spread"


# what it says


def test_a_machine_larger_than_any_host() -> None:
    hosts = [host("a"), host("b", memory=64, status=HostStatus.CORDONED), host("dead", status=HostStatus.UNREACHABLE)]
    found = explain(spec(cpus=9, memory=65), fleet(hosts))
    assert found.refusal == (
        "machine 'new' is larger than any host: it wants 65 GiB of memory, and the largest has 64 GiB; "
        "it wants 9 virtual processors, and the largest has 8"
    )
    assert not explain(spec(memory=40), fleet(hosts)).larger


def test_a_refusal_says_why_of_the_first_hosts() -> None:
    found = explain(spec(), fleet([host(f"h{n}", status=HostStatus.CORDONED) for n in range(5)]))
    assert found.refusal == (
        "no host can take machine 'new': h0 is cordoned; h1 is cordoned; h2 is cordoned; and 2 more"
    )
    assert explain(spec(), fleet([])).refusal == "no host can take machine 'new': there is none"


def test_a_table_for_people() -> None:
    found = explain(spec(), fleet([host("alpha", status=HostStatus.CORDONED), host("b")]))
    assert str(found).splitlines() == [
        "HOST   SCORE  WHY",
        "b      1.438  empty 0.88, idle 1.00, gpus 1.00",
        "alpha      -  status: it is cordoned",
    ]


def test_an_explanation_is_data() -> None:
    found = explain(spec(), fleet([host("a"), host("b", status=HostStatus.CORDONED)]))
    assert Explanation.model_validate_json(found.model_dump_json()) == found


# plugins


def fails(host: Candidate, spec: MachineSpec) -> str:
    raise RuntimeError("boom")


def test_a_plugins_filter_and_score_count() -> None:
    brought = Extensions(
        filters=(PlacementFilter("p:odd", lambda host, spec: "is odd" if host.name == "a" else ""),),
        scores=(PlacementScore("p:last", lambda host, spec: float(host.name == "c"), 5),),
    )
    found = explain(spec(), fleet([host("a"), host("b"), host("c")]), extensions=brought)
    assert (found.chosen, against(found)) == ("c", {"a": {"p:odd": "is odd"}})


def test_a_broken_filter_keeps_machines_away_and_is_named() -> None:
    found = explain(spec(), fleet([host("a")]), extensions=Extensions(filters=(PlacementFilter("p:x", fails),)))
    assert against(found) == {"a": {"p:x": "couldn't be judged: the filter failed with RuntimeError: boom"}}
    silent = PlacementFilter("p:y", lambda host, spec: None)  # type: ignore[arg-type,return-value]
    found = explain(spec(), fleet([host("a")]), extensions=Extensions(filters=(silent,)))
    assert against(found) == {"a": {"p:y": "couldn't be judged: the filter said NoneType, not a text"}}


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (fails, "it failed with RuntimeError: boom"),
        (lambda host, spec: 7.0, "it said 7"),
        (lambda host, spec: float("nan"), "it said nan"),
    ],
)
def test_a_broken_score_counts_nothing_and_is_named(rate: object, said: str) -> None:
    brought = Extensions(scores=(PlacementScore("p:z", rate, 9),))  # type: ignore[arg-type]
    found = explain(spec(), fleet([host("a")]), extensions=brought)
    assert found.chosen == "a"
    assert len(found.notes) == 1
    assert "'p:z' counts nothing" in found.notes[0]
    assert said in found.notes[0]
    assert found.notes[0] in str(found)


# any fleet

_hosts = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 32), st.integers(0, 3)), min_size=1, max_size=6)
_machines = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8), st.integers(1, 16)), max_size=12)


@given(_hosts, _machines, st.integers(1, 8), st.integers(1, 16), st.sampled_from(["balance", "pack", "spread"]))
def test_what_is_chosen_has_room(
    sizes: list[tuple[int, int, int]], held: list[tuple[int, int, int]], cpus: int, memory: int, policy: str
) -> None:
    hosts = [host(f"h{n}", cpus, memory, reserved=kept) for n, (cpus, memory, kept) in enumerate(sizes)]
    machines = [machine(f"m{n}", f"h{at % len(hosts)}", c, m) for n, (at, c, m) in enumerate(held)]
    found = explain(spec(cpus, memory), fleet(hosts, *machines), policy)  # type: ignore[arg-type]
    fitting = {
        each.name
        for each in hosts
        if sum(m.cpus for m in machines if m.host == each.name) + cpus <= each.cpus - each.reserved_cpus
        and sum(m.memory for m in machines if m.host == each.name) + memory * GIB <= each.memory - each.reserved_memory
    }
    assert {verdict.host for verdict in found.verdicts if verdict.fits} == fitting
    assert (found.chosen is None) is not bool(fitting)
    best = [verdict.total for verdict in found.verdicts if verdict.fits]
    assert best == sorted(best, reverse=True)
