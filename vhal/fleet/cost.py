"""What a move will cost: bytes, time, and how long the machine stands still. A prediction from a snapshot's figures.

The model is that of pre-copy: all memory is sent, then what was written meanwhile, and so on, until the rest fits into
the downtime that is aimed at. Each pass is smaller by written / sent a second (Clark et al., "Live Migration of Virtual
Machines", NSDI 2005; as geometric series in Liu et al., "Performance and energy modeling for live migration of virtual
machines", 2011). It doesn't know that most guests write the same pages again and again, so it is cautious.

What a move did cost is :class:`vhal.driver.migration.MigrationResult`.
"""

from __future__ import annotations

from typing import NamedTuple

from vhal.fleet.plan import Move
from vhal.fleet.snapshot import SeenHost, SeenMachine
from vhal.spec.units import Bytes

DOWNTIME_S = 0.3
"""How much memory is left for the last pass, as time to send it: QEMU's default ``downtime-limit``."""

PASSES = 30
"""After these a machine that writes faster than it is sent is stopped, and what is left is sent (Xen's limit, 2005)."""


class Cost(NamedTuple):
    """Of one move."""

    transferred: Bytes
    total_s: float
    """0 where no bandwidth is known."""
    downtime_s: float


def cost(machine: SeenMachine, source: SeenHost, destination: SeenHost) -> Cost:
    """Return what moving a machine from one host to another will cost. One that doesn't run has no memory to send."""
    if not machine.state.active:
        return Cost(Bytes(0), 0.0, 0.0)
    speed = min((host.bandwidth for host in (source, destination) if host.bandwidth), default=0.0)
    if not speed:
        return Cost(machine.memory, 0.0, 0.0)
    left, sent = float(machine.memory), 0.0
    for _ in range(PASSES):
        if left <= DOWNTIME_S * speed:
            break
        sent += left
        # A guest can't have more memory to send again than it has.
        left = min(left * machine.dirty_rate / speed, machine.memory)
    return Cost(Bytes(round(sent + left)), (sent + left) / speed, left / speed)


def moved(
    machine: SeenMachine,
    source: SeenHost,
    destination: SeenHost,
    reason: str,
    after: tuple[int, ...] = (),
    gain: float = 0.0,
) -> Move:
    """Return the move of a machine, with what it will cost; the other arguments are as in the move."""
    sent = cost(machine, source, destination)
    return Move.trusted(
        machine=machine.name,
        id=machine.id,
        source=source.name,
        destination=destination.name,
        reason=reason,
        memory=machine.memory,
        transferred=sent.transferred,
        total_s=sent.total_s,
        downtime_s=sent.downtime_s,
        after=after,
        gain=gain,
    )
