"""Where in people's own code something was done: the file and line that a report names."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

_OURS = frozenset({"vhal", "vhal_mock", "pytest_vhal"})
"""Packages whose frames explain nothing."""

_INSTALLED = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of the test, and the line below it that did it, if that is in another file."""

    file: str
    line: int
    through: tuple[str, int] | None = None

    def __str__(self) -> str:
        by = f", through {_shown(self.through[0])}:{self.through[1]}" if self.through else ""
        return f"{_shown(self.file)}:{self.line}{by}"


def origin(frame: FrameType | None, test: str) -> Origin | None:
    """Return where the own code of the stack that ends in ``frame`` is, or None if there is none.

    Args:
        frame: The innermost one.
        test: The file of the test, whose line is what is looked for.
    """
    inner: tuple[str, int] | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file == test:
            place = (file, frame.f_lineno)
            return Origin(*place, through=inner)
        if inner is None and _is_own(file, str(frame.f_globals.get("__name__", ""))):
            inner = (file, frame.f_lineno)
        frame = frame.f_back
    return Origin(*inner) if inner else None


@cache
def _is_own(file: str, module: str) -> bool:
    return not file.startswith(("<", *_INSTALLED)) and module.partition(".")[0] not in _OURS


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
