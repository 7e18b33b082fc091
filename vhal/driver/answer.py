"""Answers to "can this be done?": yes, or no with reasons that each have a remedy.

The same answer serves the dry run, the placement, the support matrix and the error that is raised: what ``can()``
says is what a call does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vhal.errors import Unsupported, VhalError


class Level(StrEnum):
    """What a blocker belongs to; the lower it is, the easier it may go away."""

    BACKEND = "backend"
    """The engine, on any host."""
    HOST = "host"
    """This host: its versions, configuration, hardware, room."""
    MACHINE = "machine"
    """This machine as it is now."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason against."""

    code: str
    """Stable id of the reason, for programs: ``cpu-mismatch``."""
    message: str
    """One sentence."""
    remedy: str
    """What would make it go away, or why nothing does."""
    level: Level = Level.MACHINE
    raises: type[VhalError] = Unsupported
    """The kind of error that a call raises for this reason."""

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "level": str(self.level),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes (no blockers, true) or no (blockers, false)."""

    blockers: tuple[Blocker, ...] = ()
    note: str | None = None
    """How it is done, when that isn't the engine's own way: ``emulated: stop, then start``."""

    def __bool__(self) -> bool:
        return not self.blockers

    @staticmethod
    def no(
        code: str,
        message: str,
        remedy: str,
        level: Level = Level.MACHINE,
        raises: type[VhalError] = Unsupported,
    ) -> Answer:
        """Return a no with one blocker."""
        return Answer((Blocker(code, message, remedy, level, raises),))

    @staticmethod
    def of(blockers: Iterable[Blocker]) -> Answer:
        """Return no for these blockers, or yes if there are none."""
        found = tuple(blockers)
        return Answer(found) if found else YES

    def error(self, **facts: Any) -> VhalError:
        """Return the error that this no means; its kind is the first blocker's.

        Precondition: the answer is no.
        """
        first = self.blockers[0]
        message = "; ".join(blocker.message for blocker in self.blockers)
        hint = "; ".join(dict.fromkeys(blocker.remedy for blocker in self.blockers))
        if issubclass(first.raises, Unsupported):
            return first.raises(message, hint=hint, blockers=self.blockers, **facts)
        return first.raises(message, hint=hint, **facts)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "can": bool(self),
            "note": self.note,
            "blockers": [blocker.as_dict() for blocker in self.blockers],
        }


YES = Answer()
"""The answer without a but."""
