"""A page as one HTML file: no network, no scripts, drawings as SVG inside.

Every text is escaped where it is put in, attributes and SVG included: names and labels come from guests. What is on a
page is :mod:`vhal.driver.page`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from vhal.driver.page import Bars, Facts, Grid, Lines, Page, Part, Span, Strip, Words
from vhal.fleet.show.letters import clean

WIDTH = 960
LEFT, RIGHT = 150, 16
"""Margins of drawings: names are at the left."""
MOST_LINES = 10
"""Lines that get a colour and a name; of more only the spread is drawn."""
LANE = 18
LETTER = 7.2
"""Width of a letter in a drawing."""
RED, BLUE, GREY = "#b3261e", "#3f6fb5", "#9aa1ab"
SPANS = {"done": BLUE, "trouble": RED, "unfinished": GREY}
COLOURS = ("#3f6fb5", "#d9822b", "#3a8f5c", "#b3261e", "#7d5ba6", "#8c6d4f", "#cf6fa5", "#6b7280", "#a3a021", "#2f9aa8")

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2126; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
dl { display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: 0; }
dt { color: #5b6470; font-size: .8rem; } dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: #5b6470; font-weight: 600; border-bottom: 1px solid #cfd4da; }
th, td { padding: .25rem .8rem .25rem 0; vertical-align: top; overflow-wrap: anywhere; }
td { border-bottom: 1px solid #eef0f2; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
"""


def render(page: Page) -> str:
    """Return the page as an HTML document."""
    body = [f"<h1>{_text(page.title)}</h1>"]
    for heading, part in page.parts:
        if heading:
            body.append(f"<h2>{_text(heading)}</h2>")
        body.append(DRAWN[type(part)](part))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _words(part: Words) -> str:
    return f"<p>{_text(part.text)}</p>"


def _facts(part: Facts) -> str:
    told = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in part.values.items())
    return f"<dl>{''.join(told)}</dl>"


def _grid(part: Grid) -> str:
    kinds = [' class="right"' if header in part.right else "" for header in part.headers]
    head = "".join(f"<th{kind}>{_text(header)}</th>" for kind, header in zip(kinds, part.headers, strict=True))
    rows = (
        "<tr>" + "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in part.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _bars(part: Bars) -> str:
    most = max([1.0, *(share for pair in part.shares.values() for share in pair if share is not None)])
    scale = _Scale(0.0, most, LEFT, WIDTH - RIGHT - 50)
    drawn = [_grid_line(scale, tick, 22, 24 + 34 * len(part.shares)) for tick in _ticks(most)]
    drawn += [_square(LEFT, GREY, "before"), _square(LEFT + 90, BLUE, "after")]
    if part.hot is not None:
        drawn.append(_square(LEFT + 170, RED, f"{part.hot:.0%} and more"))
    for place, (name, pair) in enumerate(part.shares.items()):
        top = 28 + 34 * place
        drawn.append(_label(LEFT - 8, top + 15, _cut(name, LEFT - 12), "end"))
        for row, (share, colour) in enumerate(zip(pair, (GREY, BLUE), strict=True)):
            y = top + 13 * row
            if share is None:
                drawn.append(_label(LEFT + 4, y + 9, "not known"))
                continue
            hot = part.hot is not None and share >= part.hot
            drawn.append(_box(LEFT, y, max(1.0, scale(share) - LEFT), 11, RED if hot else colour))
            drawn.append(_label(max(LEFT + 1.0, scale(share)) + 5, y + 9, f"{share:.0%}"))
    return _svg(30 + 34 * len(part.shares) + 16, drawn, "Hosts before and after")


def _lines(part: Lines) -> str:
    times, series = part.times_s, part.series
    if not times or not series:
        return _words(Words("nothing was measured"))
    most = max([0.1, *(value for values in series.values() for value in values)])
    most = 1.0 if 0.5 < most <= 1 else most * 1.05
    across, up = _Scale(min(0.0, times[0]), times[-1], LEFT, WIDTH - RIGHT), _Scale(0.0, most, 210, 30)
    drawn = [_level(up, tick) for tick in _ticks(most)]
    drawn += [*_clock(across, times[-1], 210)]
    if len(series) <= MOST_LINES:
        legend = LEFT
        for colour, (name, values) in zip(COLOURS, series.items(), strict=False):
            drawn.append(_path(across, up, times, values, colour))
            drawn.append(_square(legend, colour, _cut(name, 140)))
            legend += 26 + int(LETTER * min(len(name), 20)) + 14
    else:
        moments = [sorted(moment) for moment in zip(*series.values(), strict=True)]
        tenth = len(series) // 10
        drawn.append(_band(across, up, times, [(m[0], m[-1]) for m in moments], 0.15))
        drawn.append(_band(across, up, times, [(m[tenth], m[-1 - tenth]) for m in moments], 0.3))
        drawn.append(_path(across, up, times, [m[len(m) // 2] for m in moments], BLUE))
        drawn.append(_square(LEFT, BLUE, f"median of {len(series)} hosts; darker: the middle 80 %, lighter: all"))
    return _svg(240, drawn, "Shares over time")


def _strip(part: Strip) -> str:
    across = _Scale(0.0, part.until_s, LEFT, WIDTH - RIGHT)
    lanes: list[float] = []
    drawn: list[str] = []
    for span in sorted(part.spans, key=lambda span: (span.begun_s, span.ended_s, span.label)):
        begin = across(span.begun_s)
        end = max(across(min(span.ended_s, part.until_s)), begin + 3)
        label = _cut(span.label, WIDTH / 2)
        left, right = _extent(begin, end, label)
        place = next((place for place, free in enumerate(lanes) if free <= left), len(lanes))
        lanes[place : place + 1] = [right]
        drawn += _happened(span, begin, end, label, 8 + LANE * place)
    height = 8 + LANE * max(1, len(lanes))
    return _svg(height + 34, [*_clock(across, part.until_s, height + 6), *drawn], "What happened")


def _extent(begin: float, end: float, label: str) -> tuple[float, float]:
    """Return what a span and its label take of a lane: the label is behind it, or before it where there is no room."""
    room = LETTER * len(label) + 14
    return (begin, end + room) if end + room <= WIDTH else (begin - room, end + 4)


def _happened(span: Span, begin: float, end: float, label: str, top: float) -> Iterator[str]:
    yield _box(begin, top, end - begin, 11, SPANS[span.kind])
    if _extent(begin, end, label)[0] < begin:
        yield _label(begin - 5, top + 9, label, "end")
    else:
        yield _label(end + 5, top + 9, label)


DRAWN: dict[type[Part], Callable[[Any], str]] = {
    Words: _words,
    Facts: _facts,
    Grid: _grid,
    Bars: _bars,
    Lines: _lines,
    Strip: _strip,
}


# what drawings are made of


class _Scale(NamedTuple):
    """From values to places in a drawing."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        part = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.first + part * (self.last - self.first), 1)


def _ticks(most: float) -> list[float]:
    step = next((step for step in (0.02, 0.05, 0.1, 0.25, 0.5, 1.0) if most / step <= 6), most / 4)
    return [step * count for count in range(int(most / step + 1e-9) + 1)]


def _clock(across: _Scale, until_s: float, bottom: float) -> Iterator[str]:
    """Yield the time axis: whole seconds, minutes or hours."""
    factor, unit = (1.0, "s") if until_s <= 600 else (60.0, "min") if until_s <= 7200 else (3600.0, "h")
    most = until_s / factor
    step = next((step for step in (1, 2, 3, 5, 6, 10, 20, 50, 100, 200, 500) if most / step <= 12), most / 10)
    for count in range(int(most / step + 1e-9) + 1):
        x = across(count * step * factor)
        yield f'<line x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 4}" stroke="#9aa1ab"/>'
        yield _label(x, bottom + 18, f"{count * step:g}" + (f" {unit}" if count == 0 else ""), "middle")


def _path(across: _Scale, up: _Scale, times: Sequence[float], values: Sequence[float], colour: str) -> str:
    """Draw a value that holds until the next one."""
    words = [f"M{across(times[0])} {up(values[0])}"]
    words += [f"H{across(time)}V{up(value)}" for time, value in zip(times[1:], values[1:], strict=True)]
    return f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _band(
    across: _Scale, up: _Scale, times: Sequence[float], pairs: Sequence[tuple[float, float]], shade: float
) -> str:
    upper = [(across(time), up(pair[1])) for time, pair in zip(times, pairs, strict=True)]
    lower = [(across(time), up(pair[0])) for time, pair in zip(times, pairs, strict=True)]

    def held(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
        yield points[0]
        for (_, before), (x, y) in pairwise(points):
            yield x, before
            yield x, y

    around = [*held(upper), *reversed(list(held(lower)))]
    points = " ".join(f"{x},{y}" for x, y in around)
    return f'<polygon points="{points}" fill="{BLUE}" opacity="{shade}"/>'


def _level(up: _Scale, tick: float) -> str:
    y = up(tick)
    line = f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#e3e6ea"/>'
    return line + _label(LEFT - 8, y + 4, f"{tick:.0%}", "end")


def _grid_line(scale: _Scale, tick: float, top: float, bottom: float) -> str:
    x = scale(tick)
    line = f'<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="#e3e6ea"/>'
    return line + _label(x, bottom + 12, f"{tick:.0%}", "middle")


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{round(width, 1)}" height="{height}" rx="1.5" fill="{colour}"/>'


def _square(x: float, colour: str, name: str) -> str:
    return _box(x, 6, 10, 10, colour) + _label(x + 15, 15, name)


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}" fill="#39424c">{_text(text)}</text>'


def _svg(height: float, drawn: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {round(height)}" role="img" aria-label="{_text(title)}">'
        + "".join(drawn)
        + "</svg>"
    )


def _cut(text: str, width: float) -> str:
    """Return a text that fits into so much of a drawing."""
    most = int(width / LETTER)
    text = clean(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(text: str) -> str:
    return escape(clean(text), quote=True)
