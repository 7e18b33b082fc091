"""What the outcome of a row's test means: a failure may be known, a row only recommended, a skip not allowed.

:mod:`pytest_vhal` calls this for the tests of the suite, in the process that runs them. What it puts on pytest's
reports, pytest-xdist carries to the process that prints; there it is :mod:`vhal.testing.conformance.report`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pytest

from vhal.driver.capability import CAPABILITIES
from vhal.errors import InvalidSpec
from vhal.testing.conformance.facts import facts, spi
from vhal.testing.conformance.integrity import changed
from vhal.testing.conformance.report import Outcome
from vhal.testing.conformance.rows import Row, Tier, row_of, rows
from vhal.testing.harness import Harness
from vhal.testing.suite import BackendSuite


@dataclass(frozen=True, slots=True)
class Rules:
    """What the command line asked for."""

    strict: bool = False
    require: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: pytest.Config) -> Rules:
        """Return the rules of a run."""
        return cls(config.getoption("--vhal-strict"), frozenset(config.getoption("--vhal-require")))


def check_required(required: Collection[str]) -> None:
    """Return if each is the id of a capability or of a row.

    Raises:
        vhal.errors.InvalidSpec: One isn't; the hint has the nearest that is.
    """
    known = [*CAPABILITIES, *rows(BackendSuite)]
    for name in required:
        if name.partition("[")[0] not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InvalidSpec(
                f"--vhal-require: there is no capability or row {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"capabilities: {', '.join(CAPABILITIES)}",
            )


def row(item: pytest.Item) -> Row | None:
    """Return the row that a test of pytest's is the proof of, or None."""
    if not isinstance(item, pytest.Function) or item.cls is None or not issubclass(item.cls, BackendSuite):
        return None
    return row_of(item.originalname, item.function)


def judge(item: pytest.Function, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Make of a test's report what the rules say, and put on it what the run's report needs."""
    its = row(item)
    if its is None or (report.passed and report.when != "call"):
        return
    case = Case(item, its, Rules.of(item.config))
    if report.skipped:
        outcome, reason = case.skipped(call, report)
    elif report.failed:
        outcome, reason = case.failed(call, report)
    else:
        outcome, reason = case.passed(report)
    report.vhal_row = {  # type: ignore[attr-defined]
        "suite": item.nodeid.rpartition("::")[0],
        "id": case.id,
        "layer": its.layer,
        "tier": str(case.tier),
        "outcome": str(outcome),
        "seconds": round(call.duration, 3),
        "reason": reason,
    }
    report.vhal_facts = case.facts()  # type: ignore[attr-defined]


class Case:
    """One test of a row.

    Args:
        item: pytest's.
        its: The row.
        rules: Of the run.
    """

    def __init__(self, item: pytest.Function, its: Row, rules: Rules) -> None:
        assert item.cls is not None
        self._suite: type = item.cls
        self._row = its
        self._rules = rules
        harness: Harness | None = getattr(item.cls, "harness", None)  # a fixture may not have come to set it
        self._harness = harness
        self.id = its.id + item.name[len(item.originalname) :]
        """With its parameters: ``SNAP-001[running]``."""
        self.tier = its.tier(spi(item.cls))
        self._known = None
        if harness is not None:
            self._known = harness.known_failures.get(self.id) or harness.known_failures.get(its.id)

    def skipped(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> tuple[Outcome, str | None]:
        """Judge a skip, or what a mark made one."""
        if hasattr(report, "wasxfail"):
            reason = "it is marked to fail; name the row in the harness's known_failures, with the reason, instead"
            self._fail(report, reason)
            return Outcome.FAILED, reason
        error = call.excinfo.value if call.excinfo else None
        reason = str(getattr(error, "msg", None) or error)
        asked = {self.id, self._row.id, getattr(error, "capability", "")} & self._rules.require
        if asked:
            self._fail(report, f"it is required ({', '.join(sorted(asked))}), and was skipped: {reason}")
            return Outcome.FAILED, reason
        return Outcome.SKIPPED, reason

    def failed(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> tuple[Outcome, str]:
        """Judge a failure."""
        reason = _first_line(call)
        if self._known is not None:
            report.outcome, report.wasxfail = "skipped", f"known failure: {self._known}"
            return Outcome.KNOWN, self._known
        if self.tier is Tier.RECOMMENDED and not self._rules.strict:
            report.outcome, report.wasxfail = "skipped", f"recommended: {reason}"
        else:
            report.sections.append(("the contract", self._advice()))
        return Outcome.FAILED, reason

    def passed(self, report: pytest.TestReport) -> tuple[Outcome, str | None]:
        """Judge a success."""
        if self._known is not None:
            reason = f"it passes, and known_failures says that it fails ({self._known}): take it out of there"
            self._fail(report, reason)
            return Outcome.FAILED, reason
        return Outcome.PASSED, None

    def facts(self) -> dict[str, Any]:
        """Return what the report says of the backend and of the suite itself."""
        known = facts(self._suite)
        harness = self._harness
        return {
            **known,
            "changed": [f"{name}: {done}" for name, done in changed(self._suite).items()],
            "known_failures": dict(harness.known_failures) if harness else {},
            "kept": str(harness.kept) if harness and harness.kept else None,
            "prefix": harness.prefix if harness else "",
        }

    def _fail(self, report: pytest.TestReport, reason: str) -> None:
        report.outcome = "failed"
        report.longrepr = f"{self.id}: {reason}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail

    def _advice(self) -> str:
        known = facts(self._suite)
        who = f"backend {known['backend']!r}, {known.get('plugin') or 'of no plugin'}" if "backend" in known else ""
        return "\n".join(
            filter(
                None,
                [
                    f"row {self.id} ({self.tier}): {self._row.sentence}",
                    who or f"the backend of {self._suite.__qualname__}",
                    f"docs/reference/{self._row.anchor} says what the call does, and how it may fail",
                    f'correct the backend; until then: Harness(…, known_failures={{"{self.id}": "the reason"}})',
                ],
            )
        )


def _first_line(call: pytest.CallInfo[None]) -> str:
    assert call.excinfo is not None
    return call.excinfo.exconly(tryshort=True).partition("\n")[0]
