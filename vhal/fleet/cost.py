"""What a move will cost: bytes, time, and how long the machine stands still. A prediction from a snapshot's figures.

What a move did cost is :class:`vhal.driver.migration.MigrationResult`.
"""

from __future__ import annotations

from vhal.fleet.plan import Move
from vhal.fleet.snapshot import SeenHost, SeenMachine
from vhal.spec.units import Bytes

DOWNTIME_S = 0.3
"""How much memory is left for the last pass, as time to send it: QEMU's default ``downtime-limit``."""

PASSES = 30
"""After so many passes over the memory a move ends, whatever is left: a guest may write faster than can be sent."""


def moved(
    machine: SeenMachine, source: SeenHost, destination: SeenHost, reason: str, after: tuple[int, ...] = ()
) -> Move:
    """Return the move of a machine, with what it will cost.

    Pre-copy as in Clark et al., "Live Migration of Virtual Machines" (NSDI 2005): each pass sends what was written
    during the one before.
    """
    rate = min((host.bandwidth for host in (source, destination) if host.bandwidth), default=0.0)
    sent, total_s, downtime_s = float(machine.memory), 0.0, 0.0
    if not machine.state.active:
        sent = 0.0
    elif rate:
        left, sent = float(machine.memory), 0.0
        for _ in range(PASSES):
            if left <= rate * DOWNTIME_S:
                break
            sent += left
            left = min(left / rate * machine.dirty_rate, machine.memory)
        sent += left
        total_s, downtime_s = sent / rate, left / rate
    return Move(
        machine=machine.name,
        id=machine.id,
        source=source.name,
        destination=destination.name,
        reason=reason,
        memory=machine.memory,
        transferred=Bytes(int(sent)),
        total_s=total_s,
        downtime_s=downtime_s,
        after=after,
    )
