"""How results and errors are printed: tables for people, JSON for programs.

Data goes to stdout and everything else to stderr. What is printed comes from engines and guests: control characters
are taken out of it here, so that a machine's name can't repaint a terminal. JSON is escaped anyway.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TextIO

import click

from vhal.errors import VhalError
from vhal.fleet.show.letters import clean as clean
from vhal.fleet.show.letters import wide

API = "vhal/v1"
"""Version of the JSON documents; a field that exists keeps its meaning in it."""

_COLOURS = {
    "running": "green",
    "ok": "green",
    "yes": "green",
    "paused": "yellow",
    "saved": "yellow",
    "migrating": "yellow",
    "crashed": "red",
    "no": "red",
    "problem": "red",
    "unreachable": "red",
}


def document(items: Iterable[Any]) -> None:
    """Print the one JSON document of a command."""
    click.echo(json.dumps({"api": API, "items": list(items)}, indent=2))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> None:
    """Print rows under headers; without any row, nothing but the headers.

    Args:
        headers: One for each column.
        rows: What is below them.
        right: The headers of columns that are aligned at their right.
    """
    lines = [[clean(str(cell)) for cell in row] for row in rows]
    if is_terminal(sys.stdout):
        _rich_table(headers, lines, right)
        return
    lines = [list(headers), *lines]
    widths = [max(map(wide, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        fills = [" " * (width - wide(cell)) for cell, width in zip(line, widths, strict=True)]
        cells = zip(headers, line, fills, strict=True)
        click.echo("  ".join(fill + cell if header in right else cell + fill for header, cell, fill in cells).rstrip())


def details(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line; what is None or empty is left out."""
    shown = [(name, clean(str(value))) for name, value in facts if value not in (None, "", (), [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


def report(error: VhalError, as_json: bool, *, code: str | None = None) -> None:
    """Print an error on stderr: as one JSON object, or as a line and a hint.

    Args:
        error: What happened.
        as_json: For a program.
        code: Instead of the error's own.
    """
    if as_json:
        click.echo(json.dumps({**error.as_dict(), "code": code or error.code}), err=True)
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {clean(error.message)}", err=True, color=_colour())
    if error.hint:
        click.echo(f"{click.style('hint:', fg='cyan')} {clean(error.hint)}", err=True, color=_colour())


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at ``stream``."""
    return stream.isatty()


def _colour() -> bool:
    import os

    return is_terminal(sys.stderr) and not os.environ.get("NO_COLOR")


def _rich_table(headers: Sequence[str], lines: list[list[str]], right: Collection[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        drawn.add_column(header, justify="right" if header in right else "left")
    for line in lines:
        drawn.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in line))
    Console(file=sys.stdout).print(drawn)
