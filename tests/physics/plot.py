"""Predicted against measured, as a picture. Needs the extra ``plot``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.physics.cells import MIB
from tests.physics.compare import Row

_COLOURS = ("#555555", "#0072b2", "#e69f00", "#d55e00")


def plot(rows: Iterable[Row], path: Path) -> None:
    """Write the picture to ``path``; its ending says the format, such as .svg or .png.

    The same rows make the same bytes.
    """
    shown = [row for row in rows if row.measured.complete]
    with mpl.rc_context({"svg.hashsalt": "vhal", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 4), layout="constrained")
        total, downtime = figure.subplots(1, 2)
        _panel(total, shown, "total time, s", lambda r: (r.measured.total_s, r.predicted.total_s))
        _panel(downtime, shown, "downtime, ms", lambda r: (r.measured.downtime_s * 1000, r.predicted.downtime_s * 1000))
        total.legend(loc="upper left", fontsize=8)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axes: Axes, rows: list[Row], title: str, value: Callable[[Row], tuple[float, float]]) -> None:
    for colour, pages in zip(_COLOURS, sorted({row.measured.cell.pages for row in rows}), strict=False):
        mine = [row for row in rows if row.measured.cell.pages == pages]
        label = f"{mine[0].measured.cell.nominal / MIB:.0f} MiB/s written"
        for held_out in (True, False):
            points = [value(row) for row in mine if row.measured.cell.held_out is held_out]
            axes.scatter(
                [x for x, _ in points],
                [y for _, y in points],
                facecolors=colour if held_out else "none",
                edgecolors=colour,
                label=label if held_out else None,
            )
    every = [number for row in rows for number in value(row)]
    low, high = min(every) * 0.8, max(every) * 1.25
    axes.plot([low, high], [low, high], color="black", linewidth=0.8)
    axes.fill_between([low, high], [low * 0.8, high * 0.8], [low * 1.2, high * 1.2], color="black", alpha=0.08)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), title=title)
    axes.set(xlabel="measured", ylabel="predicted")
