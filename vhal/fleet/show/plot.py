"""A plan as a picture: each host before and after, and the moves between them.

Needs matplotlib, which is imported when something is drawn. The same plan gives the same SVG.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.driver.picture import check
from vhal.errors import AccessDenied
from vhal.fleet.plan import HostChange, Plan
from vhal.fleet.show.letters import clean
from vhal.fleet.show.text import most_changed, summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_HOSTS = 40
"""Hosts that are drawn: those that change most. A line says how many aren't."""
NAME = 24
"""Letters of a host's name that there is room for."""

_GREY, _BLUE = "#9aa1ab", "#3f6fb5"

_Pair = Callable[[HostChange], tuple[float, float] | None]
_AXES: tuple[tuple[str, _Pair], ...] = (
    ("processors busy (%)", lambda change: change.load),
    ("processors given away (%)", lambda change: change.cpus),
    ("memory given away (%)", lambda change: change.memory),
)


def draw(plan: Plan, path: Path) -> None:
    """Write a picture of the plan; the ending of the name says whether PNG or SVG.

    Raises:
        vhal.errors.VhalError: As :func:`vhal.driver.picture.check`.
        vhal.errors.AccessDenied: The file can't be written.
    """
    check(path)
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "vhal", "font.size": 9.0, "text.parse_math": False}):
        figure = _figure(plan)
        try:
            figure.savefig(path, dpi=144, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise AccessDenied(f"{path}: can't be written: {error.strerror}", hint="look at its folder") from error


def _figure(plan: Plan) -> Figure:
    from matplotlib.figure import Figure

    changes = most_changed(plan.hosts, MOST_HOSTS)
    drawn = [(label, pair) for label, pair in _AXES if any(pair(change) is not None for change in changes)]
    figure = Figure(figsize=(10.0, 1.4 + 0.36 * max(1, len(changes))), layout="constrained")
    left_out = len(plan.hosts) - len(changes)
    figure.suptitle(clean(summary(plan)) + (f"; {left_out} hosts that change less aren't shown" if left_out else ""))
    if not changes:
        figure.text(0.5, 0.5, "no host changes", ha="center")
        return figure
    for place, (axes, (label, pair)) in enumerate(
        zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True)
    ):
        _bars(axes, changes, label, pair, named=place == 0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False, ncols=2)
    return figure


def _bars(axes: Axes, changes: list[HostChange], label: str, pair: _Pair, *, named: bool) -> None:
    pairs = [pair(change) or (0.0, 0.0) for change in changes]
    most = max(100.0, *(100 * share for both in pairs for share in both))
    for offset, place, colour, name in ((-0.2, 0, _GREY, "before"), (0.2, 1, _BLUE, "after")):
        rows = [row + offset for row in range(len(changes))]
        values = [100 * both[place] for both in pairs]
        axes.barh(rows, values, height=0.36, color=colour, label=name)
        for row, value in zip(rows, values, strict=True):
            axes.annotate(f"{value:.0f}", (value, row), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xlim(0, most * 1.1)
    axes.axvline(100, color="#6b7280", linewidth=0.8, linestyle=":")
    axes.set_ylim(len(changes) - 0.5, -0.5)
    names = [clean(change.host) for change in changes]
    axes.set_yticks(range(len(changes)), [name if len(name) <= NAME else name[: NAME - 1] + "…" for name in names])
    axes.tick_params(left=False, labelleft=named)
    axes.set_xlabel(label)
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
