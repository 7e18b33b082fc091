"""The rules of the suite: known failures, tiers, what is required, what was changed, what hangs, and the report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.conftest import Run
from vhal.errors import InvalidSpec
from vhal.testing import BackendSuite, Harness
from vhal.testing.conformance.integrity import changes

PLACE = """
    import threading
    import pytest, vhal
    from vhal.driver import SNAPSHOTS
    from vhal.errors import EngineError
    from vhal.testing import BackendSuite, Harness
    from vhal.testing.conformance.rows import recommended, since
    from vhal_mock.driver import MockDriver
    from vhal_mock.world import World

    def harness(driver=MockDriver, **more):
        host = World.from_spec({"hosts": [{"name": "a"}]}).host("a")
        spec = lambda name: vhal.MachineSpec(name=name, memory="64MiB")
        return Harness(open=lambda: driver(host), spec=spec, **more)

    class NoPause(MockDriver):
        def pause(self, id, ctx):
            raise EngineError("it won't pause")
"""


def rows(pytester: pytest.Pytester, name: str = "out.json") -> dict[str, dict[str, Any]]:
    """Return what a run's report says about each row."""
    report = json.loads((pytester.path / name).read_text())
    return {
        f"{suite['suite'].rpartition('::')[2]} {row['id']}": row for suite in report["suites"] for row in suite["rows"]
    }


def test_known_failures_and_tiers(run: Run, pytester: pytest.Pytester) -> None:
    suites = (
        PLACE
        + """
    class TestUnknown(BackendSuite):
        harness = harness(NoPause)

    class TestKnown(BackendSuite):
        harness = harness(NoPause, known_failures={"PAUS-001": "the engine won't"})

    class TestMended(BackendSuite):
        harness = harness(known_failures={"PAUS-001": "the engine won't"})

    class TestMarked(BackendSuite):
        harness = harness(NoPause)
        pytestmark = pytest.mark.xfail(reason="not now")

    class TestTiers(BackendSuite):
        harness = harness()

        @recommended
        def test_paus_901_that_is_better(self):
            assert False, "not so good"

        @since(1, 99)
        def test_paus_902_that_is_new(self):
            assert False, "not so new"
    """
    )
    done = run(suites, "-k", "paus_", "--vhal-report", "out.json")
    done.assert_outcomes(passed=1, failed=3, xfailed=3)
    found = rows(pytester)
    assert {name: (row["outcome"], row["tier"]) for name, row in found.items()} == {
        "TestKnown PAUS-001": ("known", "required"),
        "TestMarked PAUS-001": ("failed", "required"),
        "TestMended PAUS-001": ("failed", "required"),
        "TestTiers PAUS-001": ("passed", "required"),
        "TestTiers PAUS-901": ("failed", "recommended"),
        "TestTiers PAUS-902": ("failed", "recommended"),
        "TestUnknown PAUS-001": ("failed", "required"),
    }
    assert found["TestKnown PAUS-001"]["reason"] == "the engine won't"
    done.stdout.fnmatch_lines_random(
        [
            "*the contract*",
            "row PAUS-001 (required): pause and resume",
            "backend 'mock', vhal-mock * (vhal_mock)",
            "docs/reference/contract.md#paus-001 says what the call does, and how it may fail",
            '*known_failures={"PAUS-001": "the reason"})',
            "PAUS-001: it passes, and known_failures says that it fails (the engine won't): take it out of there",
            "PAUS-001: it is marked to fail; name the row in the harness's known_failures*",
            "recommended, and not so: PAUS-901 of test_it.py::TestTiers: AssertionError: not so good*",
        ]
    )
    strict = run(suites, "-k", "paus_9", "--vhal-strict")
    strict.assert_outcomes(failed=2)


def test_what_is_required_may_not_be_skipped(run: Run, pytester: pytest.Pytester) -> None:
    suites = (
        PLACE
        + """
    class NoSnapshots(MockDriver):
        def provides(self, capability):
            return None if capability is SNAPSHOTS else super().provides(capability)

    class TestMine(BackendSuite):
        harness = harness(NoSnapshots, listens=False)
    """
    )
    chosen = "snap_003 or migr_002 or life_004 or conf_006"
    run(suites, "-k", chosen).assert_outcomes(passed=1, skipped=3)
    done = run(suites, "-k", chosen, "--vhal-require", "snapshots,migration,LIFE-004", "--vhal-report", "out.json")
    done.assert_outcomes(failed=3, errors=1)  # a peer is wanted before the test begins
    assert {row["outcome"] for row in rows(pytester).values()} == {"failed"}
    done.stdout.fnmatch_lines_random(
        [
            "SNAP-003: it is required (snapshots), and was skipped: backend 'mock' can't keep*",
            "MIGR-002: it is required (migration), and was skipped: the harness has no peer",
            "LIFE-004: it is required (LIFE-004), and was skipped: the harness's guest doesn't listen",
            "*snapshots: backend 'mock' can't keep * (use a backend that can*",
        ]
    )
    wrong = run(suites, "--vhal-require", "snapshot")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(
        ["*--vhal-require: there is no capability or row 'snapshot' (did you mean 'snapshots'?)"]
    )


def test_a_layer_is_chosen_and_other_tests_stay(run: Run) -> None:
    suites = (
        PLACE
        + """
    class TestMine(BackendSuite):
        harness = harness()

        def test_my_own(self):
            pass

    def test_other():
        pass
    """
    )
    done = run(
        suites, "--vhal-layer", "refusals", "--vhal-layer", "liveness", "-k", "lack or evnt or life or own or other"
    )
    done.stdout.fnmatch_lines(["*deselected*"])
    outcomes = done.parseoutcomes()
    assert outcomes["passed"] >= 4
    assert "test_life" not in done.stdout.str()


def test_what_hangs_is_given_up_and_the_run_goes_on(run: Run) -> None:
    suites = (
        PLACE
        + """
    opened = []

    class Hanging(MockDriver):
        def pause(self, id, ctx):
            threading.Event().wait()

    class TestHangs(BackendSuite):
        harness = harness(Hanging, timeout_s=2)

    def never(host):
        opened.append(host)
        threading.Event().wait()

    class TestNeverOpens(BackendSuite):
        harness = harness(never, timeout_s=0.2)

    def test_the_number_of_attempts():
        assert len(opened) == 1
    """
    )
    done = run(suites, "-k", "paus_001 or life_003 or life_005 or attempts")
    # The hanging test has the lock of its machine, which so can't be removed.
    done.assert_outcomes(passed=3, failed=1, errors=4)
    done.stdout.fnmatch_lines_random(
        [
            "*Overdue: the test has not ended within 2 s; it was given up*",
            "*thread 'vhal-kit the test':*",
            "*in pause*",
            "*Overdue: the harness's open() has not ended within 0.2 s*",
            "*the harness's open() hung in an earlier test, so it isn't called again*",
        ]
    )


def test_the_report_is_the_same_from_workers(run: Run, pytester: pytest.Pytester) -> None:
    suites = (
        PLACE
        + """
    class TestMine(BackendSuite):
        harness = harness(NoPause)
    """
    )
    chosen = ("-k", "conf_ or paus_ or snap_ or migr_002")
    run(suites, *chosen, "--vhal-report", "alone.json").assert_outcomes(passed=12, failed=1, skipped=1)
    run(suites, *chosen, "--vhal-report", "two.json", "-n", "2").assert_outcomes(passed=12, failed=1, skipped=1)
    alone, two = (json.loads((pytester.path / name).read_text()) for name in ("alone.json", "two.json"))
    for report in (alone, two):
        for row in report["suites"][0]["rows"]:
            row.pop("seconds")
    assert alone == two
    (suite,) = alone["suites"]
    assert (suite["suite"], suite["backend"], suite["changed"]) == ("test_it.py::TestMine", "mock", [])
    assert suite["capabilities"]["pause"] == {
        "can": True,
        "note": None,
        "blockers": [],
        "limits": {},
    }
    assert next(row for row in suite["rows"] if row["id"] == "PAUS-001")["reason"].endswith("it won't pause")


def test_what_differs_from_what_was_kept_fails(run: Run, pytester: pytest.Pytester) -> None:
    suites = (
        PLACE
        + """
    import pathlib

    class NoSnapshots(MockDriver):
        def provides(self, capability):
            return None if capability is SNAPSHOTS else super().provides(capability)

    class TestMine(BackendSuite):
        harness = harness(DRIVER, kept=pathlib.Path(__file__).parent / "reports" / "mine.json")
    """
    )
    now, later = suites.replace("DRIVER", "MockDriver"), suites.replace("DRIVER", "NoSnapshots")
    chosen = ("-k", "snap_003 or life_001")
    missing = run(now, *chosen)
    assert missing.ret == pytest.ExitCode.TESTS_FAILED
    missing.stdout.fnmatch_lines(["*not what was kept (vhal)*", "mine.json isn't there"])
    assert run(now, *chosen, "--vhal-keep").ret == 0
    assert run(now, *chosen).ret == 0
    assert run(now, *chosen, "-n", "2").ret == 0
    changed = run(later, *chosen)
    assert changed.ret == pytest.ExitCode.TESTS_FAILED
    changed.stdout.fnmatch_lines(
        [
            "mine.json: SNAP-003: passed → skipped (backend 'mock' can't keep*",
            "mine.json: capability snapshots: its answer is another",
            "if this is right: pytest --vhal-keep *",
        ]
    )


class Tampering(BackendSuite):
    test_life_001_a_new_machine_is_stopped_and_is_what_was_asked_for = None  # type: ignore[assignment]

    def test_life_003_start_and_forced_stop(self) -> None:  # type: ignore[override]
        """Overridden."""


Tampering.__test__ = False  # type: ignore[attr-defined]


def test_deleted_and_overridden_tests_are_named() -> None:
    found = changes(Tampering, {"LIFE-003": "the engine can't", "LIFE-777": "who knows"})
    assert found == [
        "LIFE-001: test_life_001_a_new_machine_is_stopped_and_is_what_was_asked_for is deleted in Tampering: "
        "name the row in known_failures, with the reason, and leave the test as it is",
        "known_failures has 'LIFE-777', which is no row: take it out",
    ]
    assert changes(Tampering, {"LIFE-001": "the engine can't"}) == [
        "LIFE-003: test_life_003_start_and_forced_stop is overridden in Tampering: "
        "name the row in known_failures, with the reason, and leave the test as it is",
    ]


def test_a_suite_that_was_changed_fails() -> None:
    Tampering.harness = Harness(open=lambda: None, spec=lambda name: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(AssertionError, match="LIFE-003: test_life_003_start_and_forced_stop is overridden"):
        Tampering().test_conf_005_no_test_of_the_suite_is_deleted_or_overridden()


def test_the_row_that_tells_can_not_be_changed() -> None:
    with pytest.raises(TypeError, match="which tells what else a suite changes"):
        type("Sly", (BackendSuite,), {"test_conf_005_no_test_of_the_suite_is_deleted_or_overridden": None})


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_known_failure_has_a_reason(reason: str) -> None:
    with pytest.raises(InvalidSpec, match=r"known_failures.*no reason") as caught:
        Harness(open=lambda: None, spec=lambda name: None, known_failures={"LIFE-001": reason})  # type: ignore[arg-type,return-value]
    assert caught.value.hint


def test_the_options_know_the_layers() -> None:
    import pytest_vhal
    from vhal.cli import conformance
    from vhal.testing.conformance.rows import LAYERS

    assert tuple(LAYERS) == pytest_vhal.LAYERS == conformance.LAYERS
    assert pytest_vhal.QUIRKS == conformance.QUIRKS
