"""The comparison in words and numbers, as the documentation has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from vhal_mock.physics import Costs

from tests.physics.cells import MIB
from tests.physics.compare import Row


def constants(costs: Costs) -> str:
    """Return what was fitted, as a table."""
    lines = [
        ("`setup_s`", f"{costs.setup_s * 1000:.0f} ms"),
        ("`switch_s`", f"{costs.switch_s * 1000:.0f} ms"),
        ("`scan_rate`", f"{costs.scan_rate / MIB:.0f} MiB/s"),
        ("`fill_rate`", f"{costs.fill_rate / MIB:.0f} MiB/s"),
        ("`stream_rate`", f"{costs.stream_rate / MIB:.0f} MiB/s"),
    ]
    return _table(("constant", "fitted"), lines)


def comparison(rows: Iterable[Row]) -> str:
    """Return each cell, measured and predicted, as a table."""
    titles = (
        "guest and policy",
        "really written",
        "total",
        "predicted",
        "error",
        "downtime",
        "predicted",
        "sent",
        "predicted",
    )
    return _table(titles, [_line(row) for row in rows])


def errors(rows: Iterable[Row]) -> str:
    """Return the errors of the cells that nothing was fitted to, and of those that it was, as a table."""
    ended = [row for row in rows if row.measured.complete]
    groups = (
        ("predicted: half of the grid", [r for r in ended if r.measured.cell.held_out and r.measured.cell.plain]),
        ("predicted: ways to converge", [r for r in ended if not r.measured.cell.plain]),
        ("fitted to: the other half", [r for r in ended if not r.measured.cell.held_out]),
    )
    lines = []
    for name, group in groups:
        total, downtime = _sizes(group, lambda r: r.total_error), _sizes(group, lambda r: r.downtime_error)
        late, sent = _sizes(group, lambda r: r.downtime_error_s * 1000), _sizes(group, lambda r: r.sent_error)
        lines += [
            (name, str(len(group)), "total time", f"{median(total):.0%}", f"{max(total):.0%}"),
            (
                "",
                "",
                "downtime",
                f"{median(downtime):.0%}, {median(late):.0f} ms",
                f"{max(downtime):.0%}, {max(late):.0f} ms",
            ),
            ("", "", "bytes sent", f"{median(sent):.0%}", f"{max(sent):.0%}"),
        ]
    return _table(("cells", "number", "error of", "median", "worst"), lines)


def _sizes(rows: Iterable[Row], error: Callable[[Row], float]) -> list[float]:
    return [abs(error(row)) for row in rows]


def _line(row: Row) -> tuple[str, ...]:
    real, model = row.measured, row.predicted
    name = real.cell.name if real.cell.held_out else f"{real.cell.name} (fitted)"
    written = f"{real.dirty_rate / MIB:.1f} MiB/s"
    if not real.complete:
        return (name, written, "doesn't end", "ends" if model.complete else "doesn't end", *[""] * 5)
    return (
        name,
        written,
        f"{real.total_s:.2f} s",
        f"{model.total_s:.2f} s",
        f"{row.total_error:+.0%}",
        f"{real.downtime_s * 1000:.0f} ms",
        f"{model.downtime_s * 1000:.0f} ms",
        f"{real.sent / MIB:.0f} MiB",
        f"{model.sent / MIB:.0f} MiB",
    )


def _table(titles: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    made = [titles, ("---",) * len(titles), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in made)
