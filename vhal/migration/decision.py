"""Who has the machine? A pure table from what both hosts show to what is to be done.

A return value says how a call ended, not where the machine is: an engine can report failure when the machine already
runs on the other side, and success when it has died there. So after every transfer, however it ended, both hosts are
looked at, and this table decides. Its rule: never may two copies run; rather none for a moment than two.
"""

from __future__ import annotations

from enum import Enum, auto

from vhal.spec.state import MachineState


class Sight(Enum):
    """What one host shows of the machine."""

    ABSENT = auto()
    """The host answers, and has no such machine."""
    INACTIVE = auto()
    """Stopped or crashed: nothing of it runs and nothing of its memory is left."""
    HELD = auto()
    """Its memory is there, but it isn't running: paused, half arrived, or saved, as a container is to be sent."""
    RUNNING = auto()
    """Its processors run."""
    UNSEEN = auto()
    """The host doesn't answer. Not the same as absent: nothing may be concluded from it."""


class Verdict(Enum):
    """What is to be done."""

    COMMITTED = auto()
    """The destination has it: commit there, release the source."""
    ROLL_BACK = auto()
    """The source has it: cancel at the destination, make sure that nothing is left there, resume the source."""
    ENDED = auto()
    """It ended while it was being moved, and the destination has nothing of it: it is the source's, stopped."""
    IN_DOUBT = auto()
    """It can't be told, or both run: touch nothing, tell somebody."""
    LOST = auto()
    """Neither has it in memory any more, though it was."""


def sight(state: MachineState | None) -> Sight:
    """Return what a state amounts to; None stands for a machine that isn't there."""
    if state is None:
        return Sight.ABSENT
    if state in (MachineState.RUNNING, MachineState.STOPPING):
        return Sight.RUNNING
    if state in (MachineState.PAUSED, MachineState.SAVED, MachineState.STARTING, MachineState.MIGRATING):
        return Sight.HELD
    if state is MachineState.UNKNOWN:
        return Sight.UNSEEN
    return Sight.INACTIVE


def decide(offered: MachineState, source: Sight, destination: Sight, *, claimed: bool) -> Verdict:
    """Return what is to be done.

    Args:
        offered: The state the machine had, and shall have again.
        source: What the source shows of it.
        destination: What the destination shows of it.
        claimed: Whether the engine said that the transfer succeeded. It only matters where the machine runs on
            neither side and both could go on from where it was: then the one that the engine meant does.
    """
    if Sight.UNSEEN in (source, destination):
        return Verdict.IN_DOUBT
    if source is Sight.RUNNING and destination is Sight.RUNNING:
        return Verdict.IN_DOUBT
    if destination is Sight.RUNNING:
        return Verdict.COMMITTED
    if source is Sight.RUNNING:
        return Verdict.ROLL_BACK
    # From here on nothing runs.
    if offered is MachineState.STOPPED:
        return _where_stopped(source, destination, claimed)
    if destination is Sight.HELD and (claimed or source is not Sight.HELD):
        return Verdict.COMMITTED
    if source is Sight.HELD:
        return Verdict.ROLL_BACK
    if source is Sight.INACTIVE and destination is Sight.ABSENT:
        return Verdict.ENDED
    return Verdict.LOST


def _where_stopped(source: Sight, destination: Sight, claimed: bool) -> Verdict:
    if source is Sight.ABSENT:
        return Verdict.LOST if destination is Sight.ABSENT else Verdict.COMMITTED
    # A source that holds it in memory was started by someone else meanwhile: releasing that would kill it.
    if destination is Sight.INACTIVE and source is Sight.INACTIVE and claimed:
        return Verdict.COMMITTED
    return Verdict.ROLL_BACK
