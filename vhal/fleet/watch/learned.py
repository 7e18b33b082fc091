"""What a watch has learned, kept in a file: one that is begun anew needn't learn for a day again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Self

from vhal.errors import AccessDenied, InvalidSpec, VhalError
from vhal.fleet.document import Document
from vhal.fleet.watch.habit import SAMPLE_S, Habit
from vhal.spec.frozen import FrozenDict

log = logging.getLogger(__name__)


class Learned(Document):
    """Habits of machines, as they are in the file."""

    made_by = "vhal fleet watch"

    format: int = 1
    at_s: float = 0.0
    """When the last look was, in seconds since the epoch (or of a simulated clock)."""
    habits: FrozenDict[str, Habit] = FrozenDict()
    """Machine's id → what it is used to."""

    @classmethod
    def recall(cls, path: Path) -> Self:
        """Return what is in a file; nothing where there is none.

        One that makes no sense, since somebody edited it or a disk lost it, is told of as a warning: what was in it is
        learned again. One of another version of vhal isn't, since it would be written over.

        Raises:
            vhal.errors.InvalidSpec: It is of another format.
            vhal.errors.AccessDenied: It can't be read.
        """
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise AccessDenied(
                f"{path}: can't be read: {error.strerror}", hint="look at its mode, or name another file in 'habits'"
            ) from None
        try:
            return cls.read(text, str(path))
        except InvalidSpec as error:
            if cls.is_of_another_format(text):
                raise
            log.warning("%s; what machines are used to is learned anew", error.message)
            return cls()


class Memory:
    """The file that habits are kept in, or none.

    Args:
        path: The file; None for no file.

    Raises:
        vhal.errors.VhalError: As :meth:`Learned.recall`.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        known = Learned() if self._path is None else Learned.recall(self._path)
        self.habits: dict[str, Habit] = dict(known.habits)
        """What was known when it was read."""
        self._kept_s = known.at_s

    def keep(self, habits: dict[str, Habit], at_s: float) -> None:
        """Write habits down, once in the time that a sample takes. That it can't be is told of, and does no harm."""
        if self._path is None or 0 <= at_s - self._kept_s < SAMPLE_S:
            return
        try:
            Learned(at_s=at_s, habits=FrozenDict(habits)).save(self._path)
            self._kept_s = at_s
        except VhalError as error:
            log.warning("what machines are used to isn't kept: %s", error)
