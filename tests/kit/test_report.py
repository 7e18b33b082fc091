"""What a report keeps, and what counts as a difference between two."""

from __future__ import annotations

from typing import Any

import pytest

from vhal.spec.frozen import FrozenDict
from vhal.testing.conformance.report import (
    Ability,
    Against,
    Collected,
    Finding,
    Outcome,
    RowResult,
    differences,
    lasting,
)

PREFIX = "vhal-kit-0a1b2c-"


def finding(reason: str = "", outcome: Outcome = Outcome.SKIPPED, **limits: tuple[Against, ...]) -> Finding:
    row = RowResult(
        id="SNAP-001[running]", layer="examples", tier="required", outcome=outcome, seconds=2, reason=reason
    )
    return Finding(
        suite="test_it.py::TestMine",
        backend="mine",
        versions=FrozenDict({"engine": "1.2.3", "kernel": "6.1"}),
        capabilities=FrozenDict({"snapshots": Ability(can=True, limits=FrozenDict(limits))}),
        rows=(row,),
    )


def against(message: str) -> tuple[Against, ...]:
    return (Against(code="no", message=message, remedy=f"see {message}", level="host"),)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"machine '{PREFIX}12' is busy", "machine 'MACHINE' is busy"),
        ("no 1c3d5e7f-0000-4000-8000-0123456789ab here", "no ID here"),
        ("container 0123456789abcdef is gone", "container ID is gone"),
        ("can't open '/tmp/x-3/sock', again", "can't open 'PATH', again"),
        ("needs CRIU 3.17 or newer", "needs CRIU 3.17 or newer"),
    ],
)
def test_names_ids_and_paths_are_not_kept(said: str, kept: str) -> None:
    found = lasting(finding(said, with_memory=against(said)), PREFIX)
    assert (found.rows[0].reason, found.rows[0].seconds) == (kept, 0)
    (limit,) = found.capabilities["snapshots"].limits["with_memory"]
    assert (limit.message, limit.remedy) == (kept, f"see {kept}")
    assert found.versions == {"engine": "1.2.3"}


def test_versions_are_no_difference_and_other_words_are() -> None:
    old = finding("needs CRIU 3.17", with_memory=against("engine 1.2 is too old"))
    assert (
        list(differences(old, finding("needs CRIU 3.19.1", with_memory=against("engine 1.3 is too old")), whole=True))
        == []
    )
    assert list(differences(old, finding("needs luck"), whole=True)) == [
        "SNAP-001[running]: skipped (needs CRIU 3.17) → skipped (needs luck)",
        "capability snapshots: its answer is another",
    ]


def test_a_part_of_the_suite_misses_nothing() -> None:
    old = finding("why", with_memory=against("why"))
    part = finding().model_copy(update={"rows": ()})
    assert list(differences(old, part, whole=False)) == []
    assert list(differences(old, part, whole=True)) == [
        "SNAP-001[running]: it is gone",
        "capability snapshots: its answer is another",
    ]


def test_a_failure_speaks_for_itself() -> None:
    assert list(differences(finding("why"), finding("oh", Outcome.FAILED), whole=False)) == []
    assert list(differences(finding(outcome=Outcome.FAILED), finding(outcome=Outcome.PASSED), whole=False)) == [
        "SNAP-001[running]: failed → passed"
    ]


def test_of_several_reports_of_a_test_the_failure_counts_and_workers_are_put_together() -> None:
    collected = Collected()
    row: dict[str, Any] = {"suite": "S", "id": "LIFE-001", "layer": "examples", "tier": "required", "outcome": "passed"}
    limit = [vars(against("why")[0])]
    for outcome, limits in (("passed", {"a": limit}), ("failed", {}), ("passed", {"b": limit})):
        said: dict[str, Any] = {"can": True, "note": None, "blockers": [], "limits": limits}
        collected.add({**row, "outcome": outcome}, {"rows": ["LIFE-001"], "capabilities": {"pause": said}})
    (suite,) = collected.report().suites
    assert [one.outcome for one in suite.rows] == [Outcome.FAILED]
    assert set(suite.capabilities["pause"].limits) == {"a", "b"}
