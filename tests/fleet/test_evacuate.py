"""A dead host's machines are started elsewhere, only after fencing, and only those of which nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vhal_mock.world import World

import vhal
from tests.fleet.stand import Stand
from vhal.driver.fault import Fault
from vhal.errors import HostUnreachable, InvalidSpec, NotFenced, NotFound, OperationAborted
from vhal.fleet.members.cordon import cordons
from vhal.fleet.moves.applied import MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.moves.evacuate import evacuate, plan_evacuate
from vhal.fleet.moves.works import EVACUATION
from vhal.fleet.plan import Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.journal import Journal

CUT = "power cut at the rack's switch, outlet 7"

SPECS = {
    name: vhal.MachineSpec(name=name, cpus=1, memory=f"{gib}GiB") for name, gib in (("web", 8), ("db", 4), ("off", 1))
}
LOCAL = vhal.MachineSpec(name="local", memory="1GiB", disks=[vhal.Disk(size="1GiB")])
BOX = vhal.MachineSpec(name="box", kind="container", memory="1GiB", boot=vhal.BootImage(image="alpine"))


@pytest.fixture
def sim() -> World:
    hosts = [{"name": name, "memory": "64GiB"} for name in "abc"]
    placed = [{"host": "a", "running": spec.name != "off", "spec": spec} for spec in (*SPECS.values(), LOCAL, BOX)]
    return World.from_spec({"hosts": hosts, "machines": placed})


@pytest.fixture
def stand(sim: World) -> Iterator[Stand]:
    with Stand(sim) as stand:
        yield stand


def dies(sim: World) -> None:
    sim.inject(Fault(at="describe.begin", kind="host-crash", host="a"))


def planned(stand: Stand) -> tuple[Plan, FleetSnapshot]:
    last = stand.snapshot()
    dies(stand.world)
    return plan_evacuate(stand.snapshot(), "a", last, {**SPECS, "local": LOCAL, "box": BOX}), last


def running(sim: World) -> dict[str, str]:
    return {
        machine.spec.name: name
        for name, host in sim.hosts.items()
        if name != "a"
        for machine in host.machines.values()
        if machine.state == "running"
    }


def test_what_can_be_started_elsewhere_is(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)
    assert (plan.kind, plan.emptied) == ("evacuate", ("a",))
    assert {move.machine for move in plan.moves} == {"web", "db"}
    assert sorted(plan.notes) == [
        "left: box isn't started elsewhere: what a container wrote is on its host only",
        "left: local isn't started elsewhere: its disk 0 is on the dead host only, or nobody said that it is shared",
        "off isn't started elsewhere: it was stopped",
    ]
    applied = evacuate(plan, stand, SPECS, CUT, journal=journal).check()
    assert running(stand.world) == {move.machine: move.destination for move in plan.moves}
    (work,) = journal.works("evacuation")
    assert work.data == {"host": "a", "fenced": CUT}
    assert work.id == applied.work
    (kept,) = cordons(journal)
    assert (kept.host, kept.status) == ("a", HostStatus.DRAINING)
    assert kept.reason == f"work {work.id} started its machines elsewhere: delete them here first"


def test_a_shared_disk_is_used_where_it_is(stand: Stand) -> None:
    shared = vhal.MachineSpec(name="web", disks=[vhal.Disk(path="/shared/web.qcow2", shared=True)])
    last = stand.snapshot()
    dies(stand.world)
    plan = plan_evacuate(stand.snapshot(), "a", last, {"web": shared})
    assert [move.machine for move in plan.moves] == ["web"]
    assert any("db isn't started elsewhere: what it was made from isn't known" in note for note in plan.notes)


def test_one_that_was_made_and_never_started_is_told_of(stand: Stand) -> None:
    last = stand.snapshot()
    dies(stand.world)
    stand.host("b").create(SPECS["web"])
    plan = plan_evacuate(stand.snapshot(), "a", last, SPECS)
    assert "left: web is stopped on b: start it there, or delete it" in plan.notes
    assert [move.machine for move in plan.moves] == ["db"]


def test_it_has_the_room_that_its_spec_wants(stand: Stand, journal: Journal) -> None:
    """It was made smaller since, and is as large as it was when it is made again."""
    stand.host("b").create(vhal.MachineSpec(name="small", memory="30GiB"))
    stand.host("c").create(vhal.MachineSpec(name="smaller", memory="20GiB"))
    last = stand.snapshot()
    dies(stand.world)
    large = vhal.MachineSpec(name="web", cpus=2, memory="44GiB")
    plan = plan_evacuate(stand.snapshot(), "a", last, {"web": large})
    assert [(move.destination, move.memory) for move in plan.moves] == [("c", 44 << 30)]
    assert [result.outcome for result in evacuate(plan, stand, {"web": large}, CUT, journal=journal).moves] == ["moved"]
    huge = plan_evacuate(stand.snapshot(), "a", last, {"db": large.replace(name="db", memory="63GiB")})
    assert any(note.startswith("left: db stays on a: no host takes it") for note in huge.notes)


def test_a_disk_that_an_engine_made_of_an_image_is_lost(stand: Stand) -> None:
    last = stand.snapshot()
    dies(stand.world)
    spec = vhal.MachineSpec(name="web", boot=vhal.BootImage(image="debian"))
    notes = plan_evacuate(stand.snapshot(), "a", last, {"web": spec}).notes
    assert "left: web isn't started elsewhere: the disk that it boots from is on the dead host only" in notes


def test_a_snapshot_that_is_old_is_said_to_be(stand: Stand) -> None:
    last = stand.snapshot()
    dies(stand.world)
    for age_s, said in ((30.0, False), (7200.0, True)):
        plan = plan_evacuate(stand.snapshot().replace(taken_s=age_s), "a", last, SPECS)
        assert ("what ran on a is known from 120 minutes ago" in plan.notes) is said


def test_another_host_that_does_not_answer_is_told_of(stand: Stand) -> None:
    """A machine that moved there since the snapshot would run twice, and nobody can look."""
    last = stand.snapshot()
    dies(stand.world)
    stand.world.host("c").trouble.crash()
    plan = plan_evacuate(stand.snapshot(), "a", last, SPECS)
    assert any(note.startswith("c doesn't answer either: fence it, too") for note in plan.notes)
    assert {move.destination for move in plan.moves} == {"b"}


def test_without_fencing_nothing_is_started(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)

    def fails(host: str) -> str:
        raise HostUnreachable(f"the switch of {host} doesn't answer", hint="go there")

    for nothing in ("", "  ", lambda host: ""):
        with pytest.raises(NotFenced) as caught:
            evacuate(plan, stand, SPECS, nothing, journal=journal)
        assert caught.value.hint
    with pytest.raises(HostUnreachable):
        evacuate(plan, stand, SPECS, fails, journal=journal)
    assert running(stand.world) == {}
    assert journal.works() == []


def test_what_fences_is_called_with_the_host(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)
    evacuate(plan, stand, SPECS, lambda host: f"{host} is off", journal=journal).check()
    assert journal.works("evacuation")[0].data["fenced"] == "a is off"


def test_a_host_that_answers_is_not_evacuated(stand: Stand, journal: Journal) -> None:
    last = stand.snapshot()
    with pytest.raises(NotFenced, match="answers") as caught:
        plan_evacuate(last, "a", last, SPECS)
    assert "drain" in str(caught.value.hint)
    stand.world.inject(Fault(at="describe.begin", kind="partition", host="a", seconds=60))
    plan = plan_evacuate(stand.snapshot(), "a", last, SPECS)
    stand.world.clock.advance(120)
    with pytest.raises(NotFenced, match="answers"):
        evacuate(plan, stand, SPECS, CUT, journal=journal)
    assert running(stand.world) == {}


def test_what_runs_elsewhere_already_is_not_started_again(stand: Stand, journal: Journal) -> None:
    last = stand.snapshot()
    stand.host("a").machine("db").migrate(stand.host("c"))
    dies(stand.world)
    plan = plan_evacuate(stand.snapshot(), "a", last, SPECS)
    assert [move.machine for move in plan.moves] == ["web"]
    assert "a machine db is on c already" in plan.notes
    # And what somebody started between the plan and now.
    other = "c" if plan.moves[0].destination == "b" else "b"
    stand.host(other).create(SPECS["web"]).start()
    applied = evacuate(plan, stand, SPECS, CUT, journal=journal)
    assert [str(result.outcome) for result in applied.moves] == ["refused"]


def test_it_may_be_repeated_after_it_died_in_the_middle(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)

    class Killed(BaseException):
        pass

    def die(event: MoveEvent) -> None:
        if event.kind == "ended":
            raise Killed

    with pytest.raises(Killed):
        evacuate(plan, stand, SPECS, CUT, journal=journal, on_event=die)
    first = plan.moves[0]
    stand.host(first.destination).machine(first.machine).stop(force=True)
    applied = evacuate(plan, stand, SPECS, CUT, journal=journal)
    assert [str(result.outcome) for result in applied.moves] == ["there", "moved"]
    assert set(running(stand.world)) == {"web", "db"}
    assert journal.works(EVACUATION, ended=False) == []


def test_one_that_fails_leaves_nothing_and_the_others_go_on(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)
    stand.world.inject(Fault(at="start.begin", machine=plan.moves[0].machine))
    applied = evacuate(plan, stand, SPECS, CUT, journal=journal)
    assert [str(result.outcome) for result in applied.moves] == ["failed", "moved"]
    assert list(running(stand.world)) == [plan.moves[1].machine]
    without = evacuate(plan, stand, {}, CUT, journal=journal)
    assert [str(result.outcome) for result in without.moves] == ["refused", "there"]


def test_an_abort_ends_it_between_two_machines(stand: Stand, journal: Journal) -> None:
    plan, _ = planned(stand)
    operation: list[vhal.Operation[object]] = []

    def abort(event: MoveEvent) -> None:
        if event.kind == "ended":
            operation[0].abort()

    operation.append(vhal.begin(lambda: evacuate(plan, stand, SPECS, CUT, journal=journal, on_event=abort)))
    with pytest.raises(OperationAborted):
        operation[0].result()
    assert len(running(stand.world)) == 1


def test_unknown_hosts_and_other_plans(stand: Stand, journal: Journal) -> None:
    plan, last = planned(stand)
    with pytest.raises(NotFound, match="no host 'z'"):
        plan_evacuate(stand.snapshot(), "z", last, SPECS)
    with pytest.raises(NotFound, match="knows nothing") as caught:
        plan_evacuate(stand.snapshot(), "a", stand.snapshot(), SPECS)
    assert caught.value.hint
    with pytest.raises(InvalidSpec, match="dead host"):
        apply(plan, stand, journal=journal)
    with pytest.raises(InvalidSpec, match="not to evacuate"):
        evacuate(plan_drain(last, ["b"]), stand, SPECS, CUT, journal=journal)
