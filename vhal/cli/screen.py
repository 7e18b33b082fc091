"""A terminal that is drawn on again and again, and whose keys are read without waiting for Enter.

What is drawn is somebody else's; after the block the terminal is as it was.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import click

from vhal.fleet.show.letters import Line

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def painted(line: Line, colours: bool) -> str:
    """Return a line with its colours, or without."""
    return "".join(_word(text, colour) if colours and colour else text for text, colour in line)


def has_colours() -> bool:
    """Whether stdout is a terminal whose user wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_plain() -> bool:
    """Whether stdout can show ASCII only."""
    return "utf" not in (sys.stdout.encoding or "").lower()


def size() -> tuple[int, int]:
    """Return the terminal's columns and lines; a file's are 80 or COLUMNS, and no end of lines."""
    return shutil.get_terminal_size((80, 24))


def show(lines: Iterable[Line]) -> None:
    """Print lines."""
    colours = has_colours()
    for line in lines:
        click.echo(painted(line, colours).rstrip(), color=colours)


class Screen:
    """The terminal, while :func:`screen` runs."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Draw lines from the top; what was there is gone."""
        colours = has_colours()
        text = f"{_END_OF_LINE}\r\n".join(painted(line, colours) for line in lines)
        sys.stdout.write(f"{_HOME}{text}{_END_OF_LINE}{_REST}")
        sys.stdout.flush()

    def key(self, timeout_s: float) -> str:
        """Return the next key; nothing if none comes in time."""
        ready, _, _ = select.select([sys.stdin], [], [], timeout_s)
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") if ready else ""


@contextmanager
def screen() -> Iterator[Screen]:
    """Take the terminal, and give it back after the block."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    sys.stdout.write(_ENTER)
    try:
        yield Screen()
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _word(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)
