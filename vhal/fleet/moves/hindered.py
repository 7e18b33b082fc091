"""What a new plan is not to try again, after moves that didn't come about."""

from __future__ import annotations

from collections.abc import Iterable

from vhal.errors import InvalidSpec
from vhal.fleet.moves.applied import MoveResult, Outcome
from vhal.fleet.rules import AnyRule, Never
from vhal.fleet.snapshot import FleetSnapshot


def hindered(now: FleetSnapshot, fresh: Iterable[MoveResult], ended: Iterable[MoveResult]) -> FleetSnapshot:
    """Return the snapshot that a new plan is made from.

    A machine whose move was refused may go elsewhere: a host may have an older engine, another processor. One whose
    move failed stays: it was sent once, and whether it was the host's fault nobody knows.

    Args:
        now: The fleet as it is.
        fresh: What didn't come about since the last plan.
        ended: All that has ended.
    """
    failed = {result.move.id: result.error for result in fresh if result.outcome is Outcome.FAILED}
    rules: list[AnyRule] = list(now.rules)
    for result in ended:
        if result.outcome is Outcome.REFUSED:
            move = result.move
            try:
                why = f"{move.machine} was refused there: {result.error}"
                rules.append(Never(machines=f"id={move.id}", hosts=f"name={move.destination}", name=why))
            except InvalidSpec:  # a host whose name, an address, is no pattern
                failed[move.id] = result.error
    machines = tuple(
        machine.model_copy(update={"movable": False, "reason": failed[machine.id]}) if machine.id in failed else machine
        for machine in now.machines
    )
    return now.model_copy(update={"machines": machines, "rules": tuple(dict.fromkeys(rules))})
