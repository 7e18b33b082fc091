"""What a run of the suite found out, as a file: for CI, and for the table of backends in the documentation.

A harness with ``kept`` has its last report in a file; a run that finds something else says so. What differs between two
runs of the same engine isn't compared: times, versions, and names, ids and paths in sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model


class Outcome(StrEnum):
    """What became of a row's test."""

    PASSED = "passed"
    SKIPPED = "skipped"
    """For the reason that is with it."""
    FAILED = "failed"
    KNOWN = "known"
    """It failed, as the harness says; the reason is the harness's."""


class RowResult(Model):
    """One test of a row."""

    id: str
    """The row's id, with the test's parameters: ``SNAP-001[running]``."""
    layer: str
    tier: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str | None = None


class Against(Model):
    """A reason against a capability: :class:`vhal.driver.Blocker`, as written down."""

    code: str
    message: str
    remedy: str
    level: str


class Ability(Model):
    """What a backend answered about one capability."""

    can: bool
    note: str | None = None
    blockers: tuple[Against, ...] = ()
    limits: FrozenDict[str, tuple[Against, ...]] = FrozenDict()
    """What of it can't be done, a few words → the reasons."""


class Finding(Model):
    """What one suite found out about one backend."""

    suite: str
    """The class, as pytest names it."""
    backend: str | None = None
    """None: no host of it was opened."""
    plugin: str | None = None
    """Distribution, version and module."""
    spi: tuple[int, int] | None = None
    """The version of the contract that it was written for."""
    versions: FrozenDict[str, str] = FrozenDict()
    """Those of the engine and its parts."""
    capabilities: FrozenDict[str, Ability] = FrozenDict()
    changed: tuple[str, ...] = ()
    """Standard tests that aren't as the kit ships them."""
    known_failures: FrozenDict[str, str] = FrozenDict()
    rows: tuple[RowResult, ...] = ()


class SuiteReport(Model):
    """What a run found out."""

    kit: str
    """Version of vhal."""
    spi: tuple[int, int]
    """The newest version of the contract that this vhal has."""
    suites: tuple[Finding, ...] = ()


class Collected:
    """What the reports of a run's tests say, from however many processes."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, RowResult]] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, row: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Take what one report has; of a test's several the worst counts."""
        suite = row["suite"]
        result = RowResult(**{name: value for name, value in row.items() if name != "suite"})
        rows = self._rows.setdefault(suite, {})
        before = rows.get(result.id)
        if before is None or before.outcome is not Outcome.FAILED:
            rows[result.id] = result
        known = self._facts.setdefault(suite, {})
        for name, value in facts.items():
            if value or name not in known:
                known[name] = _merged(known.get(name), value) if name == "capabilities" else value

    def report(self) -> SuiteReport:
        """Return all of it."""
        import vhal
        from vhal.driver.version import SPI

        return SuiteReport(
            kit=vhal.__version__, spi=SPI, suites=tuple(self._finding(suite) for suite in sorted(self._rows))
        )

    def _finding(self, suite: str) -> Finding:
        facts = self._facts[suite]
        fields = {name: facts[name] for name in Finding.model_fields if name in facts and name != "rows"}
        order = {name: place for place, name in enumerate(facts["rows"])}
        results = sorted(self._rows[suite].values(), key=lambda one: (order.get(_row(one.id), len(order)), one.id))
        return Finding(**{**fields, "suite": suite, "rows": tuple(results)})

    def keep(self) -> Iterator[Path]:
        """Write each suite's report to where its harness keeps it; yield the files."""
        report = self.report()
        for finding in report.suites:
            facts = self._facts[finding.suite]
            if facts.get("kept"):
                path = Path(facts["kept"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(dump(report.model_copy(update={"suites": (lasting(finding, facts["prefix"]),)})))
                yield path

    def stale(self) -> Iterator[str]:
        """Yield what isn't as it was kept, a line each."""
        for finding in self.report().suites:
            facts = self._facts[finding.suite]
            if not facts.get("kept"):
                continue
            path = Path(facts["kept"])
            if not path.exists():
                yield f"{path.name} isn't there"
                continue
            (kept,) = SuiteReport.model_validate_json(path.read_text()).suites
            whole = {_row(one.id) for one in finding.rows} == set(facts["rows"])
            for line in differences(kept, lasting(finding, facts["prefix"]), whole=whole):
                yield f"{path.name}: {line}"


def dump(report: SuiteReport) -> str:
    """Return a report as it is written to a file."""
    return report.model_dump_json(indent=1) + "\n"


def lasting(finding: Finding, prefix: str) -> Finding:
    """Return what holds for the next run, too: without times, names, ids and paths."""

    def clean(text: str | None) -> str | None:
        return None if text is None else _plain(text, prefix)

    def against(found: Iterable[Against]) -> tuple[Against, ...]:
        return tuple(
            one.model_copy(update={"message": clean(one.message), "remedy": clean(one.remedy)}) for one in found
        )

    rows = tuple(one.model_copy(update={"seconds": 0.0, "reason": clean(one.reason)}) for one in finding.rows)
    abilities = {
        name: Ability(
            can=said.can,
            note=clean(said.note),
            blockers=against(said.blockers),
            limits=FrozenDict({state: against(found) for state, found in said.limits.items()}),
        )
        for name, said in finding.capabilities.items()
    }
    # The kernel is the machine's that the suite ran on, and says nothing about the engine.
    versions = FrozenDict({name: version for name, version in finding.versions.items() if name != "kernel"})
    return finding.model_copy(update={"rows": rows, "capabilities": abilities, "versions": versions})


_NOISE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{12,}\b"), "ID"),
    (re.compile(r"(?<![\w/.])/(tmp|run|var)/[^\s'\",;)]*"), "PATH"),
)
_VERSION = re.compile(r"\d+(\.\d+)+[\w.+~-]*")


def _plain(text: str, prefix: str) -> str:
    if prefix:
        text = re.sub(re.escape(prefix) + r"\d+", "MACHINE", text)
    for pattern, name in _NOISE:
        text = pattern.sub(name, text)
    return text


def differences(kept: Finding, now: Finding, *, whole: bool) -> Iterator[str]:
    """Yield what one run found and another didn't, a line each. Of failures the run speaks itself.

    Args:
        kept: What the earlier one found.
        now: What the later one found.
        whole: Whether the later one had every row, so that one it doesn't have is gone.
    """
    before, after = ({one.id: one for one in finding.rows} for finding in (kept, now))
    for name, result in after.items():
        old = before.get(name)
        if result.outcome is not Outcome.FAILED and (old is None or _told(old) != _told(result)):
            yield f"{name}: {_said(old)} → {_said(result)}"
    if whole:
        yield from (f"{name}: it is gone" for name in before.keys() - after.keys())
    for name, ability in now.capabilities.items():
        known = kept.capabilities.get(name)
        # What is against it for a machine is asked in one row only.
        compared = ability if whole or known is None else ability.model_copy(update={"limits": known.limits})
        if known is None or _unversioned(known.model_dump_json()) != _unversioned(compared.model_dump_json()):
            yield f"capability {name}: its answer is another"


def _told(result: RowResult) -> tuple[object, ...]:
    return result.layer, result.tier, result.outcome, _unversioned(result.reason or "")


def _said(result: RowResult | None) -> str:
    if result is None:
        return "nothing"
    return f"{result.outcome} ({result.reason})" if result.reason else str(result.outcome)


def _unversioned(text: str) -> str:
    return _VERSION.sub("N", text)


def _row(id: str) -> str:
    return id.partition("[")[0]


def _merged(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers of two processes; only one of them may have asked for machines."""
    merged = dict(before or {})
    for name, said in after.items():
        limits = {**merged.get(name, said)["limits"], **said["limits"]}
        merged[name] = {**said, "limits": limits}
    return merged
