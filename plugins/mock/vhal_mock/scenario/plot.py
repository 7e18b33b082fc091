"""A scenario's result as a picture: how full the hosts were over time, with what moved and what went wrong below.

Needs matplotlib, which is imported when something is drawn. The same result gives the same SVG.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.driver.page import Span
from vhal.driver.picture import check
from vhal.errors import AccessDenied
from vhal_mock.scenario.mark import marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vhal_mock.scenario.result import Result
    from vhal_mock.scenario.sample import Usage

MOST_LINES = 10
"""Hosts that get a line and a colour each; of more only the spread is drawn."""
MOST_LANES = 24
"""Lanes of what happened; beyond, the labels are left out and the bars are packed closer."""

_WIDTH_IN = 10.0
_LETTER = 0.0078
"""The width of a letter of a label, as a part of the axis."""
_RED, _BLUE = "#b3261e", "#3f6fb5"
COLOURS = {"done": _BLUE, "trouble": _RED, "unfinished": "#6b7280"}


_Series = Callable[["Usage"], list[float]]


def draw(result: Result, path: Path) -> None:
    """Write a picture of the result; the ending of the name says whether PNG or SVG.

    Raises:
        vhal.errors.VhalError: As :func:`vhal.driver.picture.check`.
        vhal.errors.AccessDenied: The file can't be written.
    """
    check(path)
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "vhal", "font.size": 9.0}):
        figure = _figure(result)
        try:
            figure.savefig(path, dpi=144, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise AccessDenied(f"{path}: can't be written: {error.strerror}", hint="look at its folder") from error


def _figure(result: Result) -> Figure:
    from matplotlib.figure import Figure

    factor, unit = _scale(result.until_s)
    lanes, labelled = _packed(marks(result), result.until_s)
    strip_in = 0.35 + len(lanes) * (0.2 if labelled else 0.08)
    figure = Figure(figsize=(_WIDTH_IN, 4.6 + strip_in), layout="constrained")
    cpu, memory, strip = figure.subplots(3, 1, sharex=True, height_ratios=[2.0, 2.0, strip_in])
    _usage(cpu, result, factor, "processors busy (%)", lambda usage: _percent(usage.cpus, usage.all_cpus))
    _usage(memory, result, factor, "memory promised (%)", lambda usage: _percent(usage.memory, usage.all_memory))
    _strip(strip, lanes, labelled, factor, result.until_s)
    for axes in (cpu, memory):
        for mark in (mark for lane in lanes for mark in lane if mark.kind == "trouble"):
            axes.axvline(mark.begun_s / factor, color=_RED, linewidth=0.8, linestyle=":", alpha=0.7, zorder=1)
    strip.set_xlabel(f"virtual time ({unit})")
    strip.set_xlim(0, result.until_s / factor)
    handles, labels = cpu.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", frameon=False, ncols=MOST_LINES)
    return figure


def _scale(until_s: float) -> tuple[float, str]:
    """Return how many seconds the time axis's unit has, and its name."""
    if until_s <= 600:
        return 1.0, "s"
    return (60.0, "min") if until_s <= 7200 else (3600.0, "h")


def _percent(values: list[float] | list[int], whole: int) -> list[float]:
    return [100 * value / whole for value in values]


def _usage(axes: Axes, result: Result, factor: float, label: str, series: _Series) -> None:
    """Draw one kind of use: a line for each host, or the spread of many."""
    times = [time_s / factor for time_s in result.samples.times_s]
    lines = {name: series(usage) for name, usage in result.samples.hosts.items()}
    if len(lines) <= MOST_LINES:
        for place, (name, values) in enumerate(lines.items()):
            # The first is the widest, so that one which lies below another can be seen.
            width = 1.3 + 1.8 * (1 - (place + 1) / len(lines))
            axes.plot(times, values, label=name, linewidth=width, drawstyle="steps-post")
    else:
        moments = [sorted(moment) for moment in zip(*lines.values(), strict=True)]
        count = len(lines)
        axes.fill_between(
            times, [m[0] for m in moments], [m[-1] for m in moments], step="post", alpha=0.15, color=_BLUE,
            linewidth=0, label=f"all {count} hosts",
        )  # fmt: skip
        axes.fill_between(
            times, [m[count // 10] for m in moments], [m[-1 - count // 10] for m in moments], step="post", alpha=0.3,
            color=_BLUE, linewidth=0, label="the middle 80 %",
        )  # fmt: skip
        axes.plot(times, [m[count // 2] for m in moments], color=_BLUE, drawstyle="steps-post", label="median")
    most = max(max(values) for values in lines.values())
    axes.set_ylim(0, max(105.0, most * 1.05) if most > 50 else max(10.0, most * 1.3))
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _packed(spans: list[Span], until_s: float) -> tuple[list[list[Span]], bool]:
    """Return the marks in as few lanes as they fit side by side, and whether with their labels."""
    lanes = _lanes(spans, until_s, _LETTER)
    return (lanes, True) if len(lanes) <= MOST_LANES else (_lanes(spans, until_s, 0.0), False)


def _lanes(spans: list[Span], until_s: float, letter: float) -> list[list[Span]]:
    lanes: list[list[Span]] = []
    ends: list[float] = []
    for mark in spans:
        begin, end = _extent(mark, until_s, letter)
        place = next((place for place, free_s in enumerate(ends) if free_s <= begin), None)
        if place is None:
            lanes.append([mark])
            ends.append(end)
        else:
            lanes[place].append(mark)
            ends[place] = end
    return lanes


def _extent(mark: Span, until_s: float, letter: float) -> tuple[float, float]:
    """Return what a mark and its label take of a lane."""
    label_s = (len(mark.label) + 3) * letter * until_s
    if _is_left(mark, until_s):
        return mark.begun_s - label_s, max(mark.ended_s, mark.begun_s + 0.008 * until_s)
    return mark.begun_s, max(mark.ended_s, mark.begun_s + 0.008 * until_s) + label_s


def _is_left(mark: Span, until_s: float) -> bool:
    """Return whether a label is before its mark, since behind it there is no room."""
    return mark.ended_s + (len(mark.label) + 3) * _LETTER * until_s > until_s


def _strip(axes: Axes, lanes: list[list[Span]], labelled: bool, factor: float, until_s: float) -> None:
    """Draw what happened, a lane each for what overlaps."""
    for lane, spans in enumerate(lanes):
        for mark in spans:
            begin, end = mark.begun_s / factor, mark.ended_s / factor
            if end > begin:
                width = max(end - begin, 0.003 * until_s / factor)
                begin = min(begin, until_s / factor - width)
                axes.barh(lane, width, left=begin, height=0.55, color=COLOURS[mark.kind])
            else:
                axes.plot([begin], [lane], marker="x", color=COLOURS[mark.kind], markersize=5, clip_on=False)
            if labelled:
                left = _is_left(mark, until_s)
                axes.annotate(
                    mark.label,
                    (begin if left else end, lane),
                    xytext=(-5 if left else 5, 0),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    va="center",
                    fontsize=8,
                )
    axes.set_ylim(len(lanes) - 0.4 if lanes else 1, -0.6)
    axes.set_yticks([])
    axes.set_ylabel("moves, troubles" if len(lanes) > 4 else "")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
