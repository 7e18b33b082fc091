"""A work and its steps, as they are written down in a journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vhal.journal import owner


class StepState(StrEnum):
    """How far a step has come."""

    WAITING = "waiting"
    """Nothing was done."""
    BEGUN = "begun"
    """It may have been done, in part or whole: look."""
    ENDED = "ended"
    """Nothing more is to be done about it; its note says what came of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a work, as it is written down."""

    place: int
    kind: str
    subject: str
    """What it is about: a machine's id."""
    state: StepState
    data: Any
    """What is to be done."""
    note: Any
    """What became known since: how to go on, or what came of it."""


@dataclass(frozen=True, slots=True)
class Work:
    """A work, as it is written down."""

    id: str
    kind: str
    data: Any
    begun_s: float
    """In seconds since the epoch."""
    ended_s: float | None
    result: Any
    owner: str | None
    """Who carries it out; None where nobody does."""
    steps: tuple[Step, ...]

    @property
    def under_way(self) -> bool:
        """Whether a process that lives carries it out."""
        return self.owner is not None and owner.lives(self.owner)
