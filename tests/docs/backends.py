"""The table of backends, made from what the conformance suite last found out about each: docs/reference/reports.

A backend's own tests keep its report true: they fail when they find something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.docs.markdown import table
from vhal.driver.capability import CAPABILITIES
from vhal.testing import BackendSuite
from vhal.testing.conformance.report import Ability, Against, Finding, Outcome, RowResult, SuiteReport
from vhal.testing.conformance.rows import LAYERS, Row, rows

REPORTS = Path(__file__).parents[2] / "docs" / "reference" / "reports"

TITLES = {
    "mock": "mock",
    "libvirt-qemu": "libvirt with QEMU",
    "libvirt-test": "libvirt's test driver",
    "containers-podman": "containers with podman",
}
"""The reports, in the order of the tables."""


class Notes:
    """Reasons, each once, with the number that stands for it in a table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> str:
        """Return what stands in the table."""
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    def __str__(self) -> str:
        return "\n".join(f"{number}. {text}" for text, number in self._numbers.items())


def findings() -> dict[str, Finding]:
    """Return each backend's last report, by its title."""
    return {
        title: SuiteReport.model_validate_json((REPORTS / f"{name}.json").read_text()).suites[0]
        for name, title in TITLES.items()
    }


def layers() -> str:
    """Return the layers of the suite, and the prefixes of their rows."""
    counts = [row.layer for row in rows(BackendSuite).values()]
    lines = [
        (f"`{layer}`", ", ".join(f"`{prefix}`" for prefix in prefixes), str(counts.count(layer)))
        for layer, prefixes in LAYERS.items()
    ]
    return table(["layer", "prefixes", "rows"], lines)


def versions() -> str:
    """Return what the reports are of."""
    found = []
    for title, finding in findings().items():
        spi = ".".join(map(str, finding.spi or ()))
        counts = [(outcome, sum(one.outcome is outcome for one in finding.rows)) for outcome in Outcome]
        engines = ", ".join(f"{name} {version}" for name, version in sorted(finding.versions.items()))
        found.append((title, spi, engines, ", ".join(f"{count} {outcome}" for outcome, count in counts if count)))
    return table(["backend", "contract", "versions", "tests"], found)


def capabilities() -> str:
    """Return what each backend can do, with what is against it."""
    notes = Notes()
    found = findings()
    lines = [
        (f"`{key}`", *(_ability(finding.capabilities.get(key), notes) for finding in found.values()))
        for key in CAPABILITIES
    ]
    return f"{table(['capability', *found], lines)}\n\n{notes}"


def _ability(said: Ability | None, notes: Notes) -> str:
    if said is None:
        return "not asked"
    if not said.can:
        return " ".join(["no", *(notes.number(_reason(one)) for one in said.blockers)])
    limits = [notes.number(f"Not {what}: {_reason(one)}") for what, against in said.limits.items() for one in against]
    return " ".join([said.note or "yes", *(["but", *dict.fromkeys(limits)] if limits else [])])


def _reason(against: Against) -> str:
    return f"{against.message}. What would help: {against.remedy}."


def row_table() -> str:
    """Return every row and what became of it, with the reasons."""
    notes = Notes()
    found = findings()
    lines = [
        (
            f"[{row.id}]({row.anchor})",
            row.sentence,
            "recommended" if row.recommended else "required",
            *(_outcome(_of(row, finding.rows), notes) for finding in found.values()),
        )
        for row in rows(BackendSuite).values()
    ]
    return f"{table(['row', 'what it says', 'tier', *found], lines)}\n\n{notes}"


def _of(row: Row, results: Iterable[RowResult]) -> list[RowResult]:
    return [one for one in results if one.id.partition("[")[0] == row.id]


def _outcome(results: list[RowResult], notes: Notes) -> str:
    """Return a cell: a word if all tests of the row had one outcome, else how many had each; and the reasons."""
    counts = Counter(one.outcome for one in results)
    said = []
    for outcome in sorted(counts, key=list(Outcome).index):
        reasons = dict.fromkeys(notes.number(one.reason) for one in results if one.outcome is outcome and one.reason)
        said.append(" ".join([outcome, *([str(counts[outcome])] if len(counts) > 1 else []), *reasons]))
    return ", ".join(said) or "not run"
