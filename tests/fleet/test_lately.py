"""What was moved lately is counted once, whoever tells of it and how often."""

from __future__ import annotations

from vhal.fleet.moves.applied import Applied, MoveResult, Outcome
from vhal.fleet.plan import Move
from vhal.fleet.snapshot import FleetSnapshot, SeenHost, SeenMachine
from vhal.fleet.watch.lately import Lately
from vhal.spec.units import Bytes

GIB = 1 << 30


def result(machine: str, outcome: Outcome) -> MoveResult:
    facts = {"memory": Bytes(GIB), "transferred": Bytes(GIB), "total_s": 1.0, "downtime_s": 0.1}
    move = Move(machine=machine, id=machine, source="a", destination="b", reason="for the test", **facts)  # type: ignore[arg-type]
    return MoveResult(move=move, outcome=outcome)


def resting(lately: Lately, at_s: float, **moved_s: float) -> dict[str, str]:
    machines = tuple(
        SeenMachine(id=name, name=name, host="a", moved_s=moved_s.get(name)) for name in ("web", "db", "job")
    )
    seen = lately.rested(FleetSnapshot(hosts=(SeenHost(name="a", uuid="u"),), machines=machines), at_s)
    return {each.name: each.reason for each in seen.machines if not each.movable}


def test_a_plan_that_is_gone_on_with_at_each_look_counts_once() -> None:
    """As one is of which a move is in doubt."""
    lately = Lately(rest_s=100)
    for at_s in (0.0, 60.0, 120.0):
        lately.count(at_s, Applied(work="w", moves=(result("web", Outcome.MOVED), result("db", Outcome.IN_DOUBT))))
    assert lately.last_hour(120.0) == (1, GIB)
    assert resting(lately, 90.0) == {"web": "it was moved 90 s ago"}
    assert resting(lately, 120.0) == {}


def test_what_was_not_begun_does_not_count_and_what_failed_does() -> None:
    lately = Lately(rest_s=100)
    outcomes = (Outcome.REFUSED, Outcome.DROPPED, Outcome.ABORTED, Outcome.FAILED)
    lately.count(0.0, Applied(work="w", moves=tuple(result(f"m{n}", each) for n, each in enumerate(outcomes))))
    assert lately.last_hour(1.0) == (1, GIB)
    assert lately.last_hour(3600.0) == (0, 0)


def test_the_last_move_of_a_machine_says_how_long_it_rests() -> None:
    lately = Lately(rest_s=100)
    lately.count(50.0, Applied(work="late", moves=(result("web", Outcome.FAILED), result("db", Outcome.MOVED))))
    lately.count(10.0, Applied(work="early", moves=(result("web", Outcome.MOVED),)))
    assert resting(lately, 60.0, db=55.0, job=0.0) == {
        "web": "a move failed 10 s ago",
        "db": "it was moved 5 s ago",
        "job": "it was moved 60 s ago",
    }
