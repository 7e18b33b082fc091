"""What was moved lately: how much more may be, and which machines rest.

A move that failed counts as one that came about: it cost as much, and would be tried again and again. What others
moved, or a watch before this one, is in the journal: so one that is begun anew, or two at once, move no more than one
that goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vhal.fleet.moves.applied import Applied, MoveResult, Outcome
from vhal.fleet.moves.works import PLAN
from vhal.fleet.plan import Move
from vhal.fleet.snapshot import FleetSnapshot
from vhal.journal import Journal, Step, StepState

HOUR_S = 3600.0


class _Tried(NamedTuple):
    at_s: float
    id: str
    memory: int
    arrived: bool
    counted: bool
    """Whether it counts for how much may be moved in an hour."""


class Lately:
    """The moves of the last hour, or as far back as machines rest.

    Args:
        rest_s: How long a machine rests after a move.
    """

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._tried: dict[tuple[str, int], _Tried] = {}
        """By work and place in it: what is left in the middle is counted again when it is gone on with."""

    def count(self, at_s: float, applied: Applied) -> None:
        """Take note of what came of a plan."""
        self._note(at_s, applied.work, enumerate(applied.moves), counted=True)

    def recall(self, at_s: float, journal: Journal, snapshot: FleetSnapshot) -> None:
        """Take note of what a journal knows of a fleet's machines: all of them rest, what balanced it counts, too."""
        there = {machine.id for machine in snapshot.machines}
        for work in journal.works(PLAN, ended=True):
            # With a simulated clock, what was written down by the real one is neither before nor after.
            if work.ended_s is not None and 0 <= at_s - work.ended_s < self._kept_s:
                ended = [step for step in work.steps if step.subject in there and step.state is StepState.ENDED]
                results = ((step.place, _result(step)) for step in ended)
                self._note(work.ended_s, work.id, results, counted=work.data["kind"] == "balance")

    def last_hour(self, at_s: float) -> tuple[int, int]:
        """Return how many machines were moved in the hour before, and how much memory they have."""
        self._tried = {key: each for key, each in self._tried.items() if at_s - each.at_s < self._kept_s}
        sizes = [each.memory for each in self._tried.values() if each.counted and at_s - each.at_s < HOUR_S]
        return len(sizes), sum(sizes)

    def rested(self, snapshot: FleetSnapshot, at_s: float) -> FleetSnapshot:
        """Return the snapshot with the machines unmovable that were moved lately, by whomever."""
        moves = [(each.moved_s, "it was moved", each.id) for each in snapshot.machines if each.moved_s is not None]
        moves += [
            (each.at_s, "it was moved" if each.arrived else "a move failed", each.id) for each in self._tried.values()
        ]
        why = {  # of several, the last one says it
            machine: f"{what} {at_s - when_s:.0f} s ago"
            for when_s, what, machine in sorted(moves)
            if at_s - when_s < self._rest_s
        }
        machines = tuple(
            each.model_copy(update={"movable": False, "reason": why[each.id]})
            if each.movable and each.id in why
            else each
            for each in snapshot.machines
        )
        return snapshot.model_copy(update={"machines": machines})

    @property
    def _kept_s(self) -> float:
        return max(HOUR_S, self._rest_s)

    def _note(self, at_s: float, work: str, results: Iterable[tuple[int, MoveResult]], counted: bool) -> None:
        for place, result in results:
            if result.outcome.arrived or result.outcome is Outcome.FAILED:
                tried = _Tried(at_s, result.move.id, result.move.memory, result.outcome.arrived, counted)
                self._tried.setdefault((work, place), tried)


def _result(step: Step) -> MoveResult:
    return MoveResult(move=Move(**step.data), **step.note)
