"""How a plan shall be carried out, what is told meanwhile, and what came of it: data.

Who acts is :mod:`vhal.fleet.moves.carrier`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from vhal.driver.context import Progress
from vhal.driver.migration import MigrationPolicy
from vhal.errors import InsufficientResources, MigrationFailed, MigrationInDoubt
from vhal.fleet.plan import Move
from vhal.spec.model import Model
from vhal.spec.units import Bytes

AtOnce = Annotated[int, Field(ge=1, le=1024)]


class ApplySettings(Model):
    """How a plan shall be carried out."""

    advice = "correct what is named; docs/reference/fleet.md has every setting of carrying plans out"

    per_host: AtOnce = 4
    """Moves at once that one host takes part in, as source or destination (vSphere: 4 on 1 GbE, 8 on 10 GbE)."""
    per_link: AtOnce = 2
    """Moves at once from one host to one other."""
    fleet: AtOnce = 8
    """Moves at once in all."""
    policy: MigrationPolicy = MigrationPolicy()
    """How each machine moves."""
    move_timeout_s: Annotated[float, Field(gt=0)] | None = None
    """How long one move may take; then it is undone, and counts as failed."""
    replans: Annotated[int, Field(ge=0, le=100)] = 3
    """How often a new plan is made after moves that failed, if somebody makes one."""


class Outcome(StrEnum):
    """What came of a move."""

    MOVED = "moved"
    THERE = "there"
    """It was on its destination already."""
    FAILED = "failed"
    """It was begun and undone: the machine is where it was."""
    REFUSED = "refused"
    """It wasn't begun: what it was planned for isn't so any more, or the preflight says no."""
    DROPPED = "dropped"
    """It wasn't begun: it needs one that didn't come about, or there is a new plan."""
    ABORTED = "aborted"
    """It was undone, or not begun, on request or since the time was over."""
    IN_DOUBT = "in-doubt"
    """It can't be told who has the machine. Nothing more is done with its hosts; resume when they can be reached."""

    @property
    def arrived(self) -> bool:
        """Whether the machine is on the move's destination."""
        return self in (Outcome.MOVED, Outcome.THERE)


class MoveResult(Model):
    """What came of a move."""

    move: Move
    outcome: Outcome
    seconds: float = 0.0
    """How long it took, by its source's clock."""
    downtime_s: float = 0.0
    """How long the machine stood still."""
    transferred: Bytes = Bytes(0)
    error: str = ""
    """Why it didn't come about, and what to do."""

    def plain(self) -> dict[str, Any]:
        """Return all but the move, for the journal, which has that already."""
        return self.model_dump(mode="json", exclude={"move"}, exclude_defaults=True)


class Applied(Model):
    """What came of a plan."""

    work: str
    """Its id in the journal."""
    moves: tuple[MoveResult, ...]
    """In the plan's order, then those of new plans."""
    left: tuple[str, ...] = ()
    """What is on hosts that were to be emptied, after all: a sentence for each machine, with why, if that is known."""
    seconds: float = 0.0
    """From the first move's beginning to the last one's end."""

    @property
    def arrived(self) -> tuple[MoveResult, ...]:
        """The moves whose machine is where it should be."""
        return tuple(result for result in self.moves if result.outcome.arrived)

    @property
    def missed(self) -> tuple[MoveResult, ...]:
        """The moves that didn't come about."""
        return tuple(result for result in self.moves if not result.outcome.arrived)

    def check(self) -> Applied:
        """Return itself if no move failed, or is in doubt, and hosts that were to be emptied are empty.

        Raises:
            vhal.errors.MigrationInDoubt: One is in doubt.
            vhal.errors.MigrationFailed: One failed, was refused or dropped, and no new plan took its place.
            vhal.errors.InsufficientResources: Machines are still on a host that was to be emptied.
        """
        doubt = [result for result in self.moves if result.outcome is Outcome.IN_DOUBT]
        if doubt:
            raise MigrationInDoubt(
                f"{len(doubt)} of {len(self.moves)} moves are in doubt: {_told(doubt)}",
                hint=f"make the hosts reachable, then 'vhal fleet resume {self.work}' looks and puts it right",
            )
        placed = {result.move.id for result in self.arrived}
        missed = [result for result in self.missed if result.move.id not in placed]
        if missed:
            raise MigrationFailed(
                f"{len(missed)} of {len(self.moves)} moves did not come about: {_told(missed)}",
                hint="these machines are where they were; plan again when the reasons are gone",
            )
        if self.left:
            raise InsufficientResources(
                f"{len(self.left)} machines are still there: {'; '.join(self.left)}",
                hint="make room or stop them, then drain again",
            )
        return self

    def __str__(self) -> str:
        return f"{len(self.arrived)} of {len(self.moves)} moves in {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class MoveEvent:
    """What happened to a move of a plan that is being carried out."""

    kind: Literal["begun", "progress", "ended"]
    place: int
    """In the plan, from 0; those of new plans go on counting."""
    move: Move
    progress: Progress | None = None
    result: MoveResult | None = None


def _told(results: list[MoveResult]) -> str:
    shown = [f"{result.move.machine} ({result.error or result.outcome})" for result in results[:3]]
    return "; ".join(shown) + ("; …" if len(results) > 3 else "")
