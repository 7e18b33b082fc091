"""What text for a terminal is made of: bars, columns, colours, and names that can't harm.

Names come from engines and guests, so control characters are taken out of them here: a machine's name can't repaint a
terminal. Where lines are printed is the command line's business.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

EIGHTHS = " ▏▎▍▌▋▊▉█"
WARM, HOT = 0.75, 0.9
"""From which share on a bar is yellow, and red."""


class Word(NamedTuple):
    """A piece of a line, and its colour; none for the terminal's own."""

    text: str
    colour: str = ""


Line = Sequence[Word]


def clean(text: str) -> str:
    """Return ``text`` on one line and without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def wide(text: str) -> int:
    """Return how many columns a terminal needs for a text."""
    if text.isascii():
        return len(text)  # nearly all are, and there may be very many
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, width: int, right: bool = False) -> str:
    """Return a text in exactly so many columns: filled up, or cut with an ellipsis."""
    text = clean(text)
    if wide(text) > width:
        while wide(text) > max(0, width - 1):
            text = text[:-1]
        text += "…" if width else ""
    fill = " " * (width - wide(text))
    return fill + text if right else text + fill


def bar(share: float | None, width: int, plain: bool = False) -> str:
    """Return a bar of so many columns.

    Args:
        share: How much of it is filled, 1 is all; more fills no more than all. None isn't known.
        width: Columns.
        plain: For a terminal that has ASCII only.
    """
    if share is None:
        return ("?" if plain else "·") * width
    part = min(1.0, max(0.0, share))
    if plain:
        return ("#" * round(part * width)).ljust(width, ".")
    eighths = round(part * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def percent(share: float | None) -> str:
    """Return a share in four columns or more."""
    return "   -" if share is None else f"{share:4.0%}"


def heat(share: float | None) -> str:
    """Return the colour of a share."""
    if share is None:
        return ""
    return "red" if share >= HOT else "yellow" if share >= WARM else "green"
