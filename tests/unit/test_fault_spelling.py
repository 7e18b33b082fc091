"""The short spelling of a fault."""

from __future__ import annotations

import pytest

from vhal.driver import Fault, FaultPlan
from vhal.errors import InvalidSpec


def test_short_and_long_are_the_same() -> None:
    short, long = FaultPlan(), FaultPlan()
    short.add("migration.transfer.round=3", "host-crash", host="b", seconds=60)
    long.add(Fault(at="migration.transfer.round=3", kind="host-crash", host="b", seconds=60))
    assert short.faults == long.faults


def test_a_point_alone_is_an_error_there() -> None:
    plan = FaultPlan()
    plan.add("create.begin")
    assert plan.faults == [Fault(at="create.begin", kind="error")]


def test_what_is_no_fault() -> None:
    plan = FaultPlan()
    with pytest.raises(InvalidSpec, match="kind"):
        plan.add("create.begin", "host-crahs")
    with pytest.raises(InvalidSpec, match="hots"):
        plan.add("create.begin", hots="b")
    with pytest.raises(InvalidSpec, match="can't be added") as caught:
        plan.add(Fault(at="create.begin"), host="b")
    assert caught.value.hint
    assert plan.faults == []
