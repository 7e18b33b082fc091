"""What strikes where: by plan, by probability with a seed; and faults about points that there aren't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhal.driver.fault import LAYERED, Fault, FaultKind, check_points
from vhal.driver.fault_plan import FaultPlan, Visit
from vhal.errors import InvalidSpec

POINTS = {
    "create.begin": "before a machine is made",
    "migration.transfer.round=N": "before a round",
    "migration.commit.end": "after",
}


def strikes(plan: FaultPlan, visits: int, point: str = "create.begin", machine: str = "") -> list[Fault | None]:
    return [plan.strike(point, "a", machine) for _ in range(visits)]


class TestMatching:
    @pytest.mark.parametrize(
        ("at", "point", "expected"),
        [
            ("create.begin", "create.begin", True),
            ("create.begin", "create.end", False),
            ("create.*", "create.end", True),
            ("*", "create.end", True),
            ("create.?nd", "create.end", True),
            ("migration.transfer.round", "migration.transfer.round=3", True),
            ("migration.transfer.round=3", "migration.transfer.round=3", True),
            ("migration.transfer.round=3", "migration.transfer.round=33", False),
            ("migration.transfer.round=?", "migration.transfer.round=3", True),
            ("migration.transfer", "migration.transfer.round=3", False),
        ],
    )
    def test_by_point(self, at: str, point: str, expected: bool) -> None:
        assert Fault(at=at).matches(point, "a", "web") is expected

    def test_by_host_and_machine(self) -> None:
        fault = Fault(at="create.begin", host="a", machine="web")
        assert fault.matches("create.begin", "a", "web")
        assert not fault.matches("create.begin", "b", "web")
        assert not fault.matches("create.begin", "a", "db")

    @pytest.mark.parametrize("at", ["", "Create", "create begin", "create[0]", "x" * 129])
    def test_a_point_has_plain_letters(self, at: str) -> None:
        with pytest.raises(InvalidSpec, match=r"\bat\b"):
            Fault(at=at)

    @pytest.mark.parametrize(
        "bad",
        [
            {"skip": -1},
            {"times": 0},
            {"probability": 0},
            {"probability": 1.5},
            {"seconds": 0},
            {"factor": 1},
            {"knd": 1},
        ],
    )
    def test_absurd_values(self, bad: dict[str, float]) -> None:
        with pytest.raises(InvalidSpec) as caught:
            Fault(at="create.begin", **bad)  # type: ignore[arg-type]
        assert caught.value.problems[0][0] == next(iter(bad))


class TestDecision:
    @given(skip=st.integers(0, 20), times=st.none() | st.integers(1, 20), visits=st.integers(0, 60))
    def test_skips_then_strikes_so_often(self, skip: int, times: int | None, visits: int) -> None:
        fault = Fault(at="create.begin", skip=skip, times=times)
        struck = [found is not None for found in strikes(FaultPlan([fault]), visits)]
        most = visits if times is None else times
        assert struck == [skip <= number < skip + most for number in range(visits)]

    @given(seed=st.integers(), probability=st.floats(0.01, 1), skip=st.integers(0, 5))
    def test_the_same_seed_gives_the_same_strikes(self, seed: int, probability: float, skip: int) -> None:
        fault = Fault(at="create.begin", times=None, probability=probability, skip=skip)
        first, second = (strikes(FaultPlan([fault], seed), 50) for _ in range(2))
        assert first == second
        assert first[:skip] == [None] * skip

    def test_a_seed_gives_the_same_strikes_on_every_version_of_python(self) -> None:
        plan = FaultPlan([Fault(at="create.begin", times=None, probability=0.5)], seed=1)
        assert "".join("x" if found else "." for found in strikes(plan, 16)) == ".xx..x.xx...x.x."

    @given(
        seed=st.integers(0, 1000),
        others=st.lists(
            st.builds(
                lambda at, skip, times, probability: Fault(at=at, skip=skip, times=times, probability=probability),
                st.sampled_from(["create.begin", "create.*", "start.begin"]),
                st.integers(0, 3),
                st.none() | st.integers(1, 3),
                st.none() | st.floats(0.1, 1),
            ),
            max_size=4,
        ),
    )
    def test_other_faults_do_not_move_a_stream(self, seed: int, others: list[Fault]) -> None:
        mine = Fault(at="create.begin", times=None, probability=0.3, message="mine")
        idle = [Fault(at="elsewhere") for _ in others]
        alone = [found is mine for found in strikes(FaultPlan([*idle, mine], seed), 40)]
        without = strikes(FaultPlan(others, seed), 40)
        together = strikes(FaultPlan([*others, mine], seed), 40)
        assert [None if found is mine else found for found in together] == without
        # It strikes where it would alone, unless one before it does.
        assert [found is mine for found in together] == [
            wanted and other is None for wanted, other in zip(alone, without, strict=True)
        ]

    def test_the_first_of_two_strikes_and_the_other_is_kept(self) -> None:
        first, second = Fault(at="create.begin", message="1"), Fault(at="create.begin", message="2")
        plan = FaultPlan([first, second])
        assert strikes(plan, 3) == [first, second, None]

    def test_what_is_left_is_told(self) -> None:
        once, always = Fault(at="create.begin"), Fault(at="create.begin", times=None)
        plan = FaultPlan([once, always])
        strikes(plan, 1)
        assert plan.faults == [always]
        plan.clear()
        assert plan.faults == []
        assert plan.idle

    def test_watches(self) -> None:
        plan = FaultPlan()
        assert plan.idle
        plan.strike("create.begin", "a", "web")
        plan.watch()
        assert not plan.idle
        for machine in ("web", "db", "web"):
            plan.strike("create.begin", "a", machine)
        assert plan.visits == [
            Visit("create.begin", "a", "web", 0),
            Visit("create.begin", "a", "db", 0),
            Visit("create.begin", "a", "web", 1),
        ]


class TestPoints:
    def test_those_that_there_are(self) -> None:
        names = ["create.begin", "create.*", "*.end", "migration.transfer.round", "migration.transfer.round=12"]
        check_points([Fault(at=at) for at in [*names, "migration.transfer.round=1?", "*"]], POINTS)

    @pytest.mark.parametrize(
        ("at", "message", "hint"),
        [
            ("creat.begin", "faults[1].at: there is no fault point 'creat.begin'", "did you mean 'create.begin'?"),
            ("migration.transfer.rond=3", "there is no fault point", "did you mean 'migration.transfer.round'?"),
            ("zzz", "there is no fault point 'zzz'", "there are create.begin, migration.transfer.round, "),
            ("start.*", "there is no fault point 'start.*'", ""),
            ("create.begin=3", "the point 'create.begin' has no number", "write 'create.begin'; 'skip' lets"),
            ("migration.transfer.round=x", "'x' is no number", "write migration.transfer.round=1"),
            ("migration.transfer.round=", "'' is no number", ""),
        ],
    )
    def test_those_that_there_are_not(self, at: str, message: str, hint: str) -> None:
        with pytest.raises(InvalidSpec) as caught:
            check_points([Fault(at="create.begin"), Fault(at=at)], POINTS)
        assert message in caught.value.message
        assert (caught.value.hint or "").startswith(hint)
        assert caught.value.problems[0][0] == "faults[1].at"

    def test_the_list_has_the_name_that_its_owner_gives_it(self) -> None:
        with pytest.raises(InvalidSpec, match=r"^scenario\.faults\[0\]\.at"):
            check_points([Fault(at="nowhere")], POINTS, "scenario.faults")


def test_what_needs_a_host_that_can_be_harmed_is_not_for_layers() -> None:
    assert set(FaultKind) - LAYERED == {"machine-crash", "host-crash", "partition", "slow-link", "disk-full"}
