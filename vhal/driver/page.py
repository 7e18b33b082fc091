"""What is shown on a page for people: data, made by whoever has something to tell, drawn by the core.

A plugin's command hands one to :meth:`vhal.driver.command.Shell.page`. Texts are plain texts: whoever draws them takes
care that none of them is taken for markup. How a page is drawn is :mod:`vhal.fleet.show.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A few figures that matter most: what each is called → its value."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    """Headers of columns that end evenly: numbers."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares before and after, two bars each: label → (before, after); 1 is all of it, None isn't known."""

    shares: Mapping[str, tuple[float | None, float | None]]
    hot: float | None = None
    """From which share on it is too much; None where more than all may be given away."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Values over time, a line each."""

    times_s: Sequence[float]
    series: Mapping[str, Sequence[float]]
    """Name → a share for each time, 1 is all of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that happened, from when to when."""

    begun_s: float
    ended_s: float
    label: str
    kind: Literal["done", "trouble", "unfinished"] = "done"
    """Whether it went wrong, or was under way at the end."""


@dataclass(frozen=True, slots=True)
class Strip:
    """What happened over time."""

    until_s: float
    spans: Sequence[Span]


Part = Words | Facts | Grid | Bars | Lines | Strip


@dataclass(frozen=True, slots=True)
class Page:
    """A title, and parts under headings, in order."""

    title: str
    parts: Sequence[tuple[str, Part]] = ()
    """Each with its heading; one without a heading belongs to that before."""
