"""What a new plan is made from, after moves that didn't come about."""

from __future__ import annotations

from vhal.fleet.moves.applied import MoveResult, Outcome
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.moves.hindered import hindered
from vhal.fleet.plan import Move
from vhal.fleet.rules import Apart
from vhal.fleet.snapshot import FleetSnapshot, SeenHost, SeenMachine
from vhal.spec.units import Bytes

GIB = 1 << 30
ODD = "libvirt:///system?x=1,2"


def fleet() -> FleetSnapshot:
    hosts = tuple(SeenHost(name=name, uuid=name, cpus=16, memory=Bytes(64 * GIB)) for name in ("a", "b", "c", ODD))
    machines = tuple(SeenMachine(id=f"i-{name}", name=name, host="a", memory=Bytes(GIB)) for name in ("web", "db"))
    return FleetSnapshot(hosts=hosts, machines=machines, rules=(Apart(machines="app"),))


def result(machine: str, outcome: Outcome, to: str = "b") -> MoveResult:
    facts = {"memory": Bytes(GIB), "transferred": Bytes(GIB), "total_s": 1.0, "downtime_s": 0.1}
    move = Move(machine=machine, id=f"i-{machine}", source="a", destination=to, reason="for the test", **facts)  # type: ignore[arg-type]
    return MoveResult(move=move, outcome=outcome, error="it says no")


def test_one_that_failed_stays() -> None:
    failed = result("web", Outcome.FAILED)
    seen = hindered(fleet(), [failed], [failed, result("db", Outcome.MOVED)])
    assert [(each.name, each.reason) for each in seen.machines if not each.movable] == [("web", "it says no")]
    assert seen.rules == fleet().rules


def test_one_that_was_refused_may_go_elsewhere() -> None:
    ended = [result("web", Outcome.REFUSED), result("web", Outcome.REFUSED), result("web", Outcome.REFUSED, "c")]
    seen = hindered(fleet(), ended[:1], ended)
    assert all(each.movable for each in seen.machines)
    assert len(seen.rules) == 3
    ways = {move.machine: move.destination for move in plan_drain(seen, ["a"]).moves}
    assert ways["web"] == ODD
    everywhere = hindered(fleet(), [], [*ended, result("web", Outcome.REFUSED, ODD)])
    assert [each.name for each in everywhere.machines if not each.movable] == ["web"]


def test_why_none_is_left_is_said() -> None:
    small = fleet().model_copy(update={"hosts": fleet().hosts[:2]})
    (note,) = (note for note in plan_drain(hindered(small, [], [result("web", Outcome.REFUSED)]), ["a"]).notes)
    assert note.startswith("left: web stays on a: no host takes it: ")
    assert "web was refused there: it says no" in note
