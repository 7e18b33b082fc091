"""What moving a machine will cost: bytes, seconds, and how long it stands still.

The model is that of pre-copy: all memory is sent, then what was written meanwhile, and so on, until the rest fits into
the downtime that is aimed at. Each round is smaller by written / sent a second (Clark et al., "Live Migration of
Virtual Machines", NSDI 2005; as geometric series in Liu et al., "Performance and energy modeling for live migration of
virtual machines", 2011). It doesn't know that most guests write the same pages again and again, so it is cautious.
"""

from __future__ import annotations

from typing import NamedTuple

from vhal.fleet.snapshot import SeenHost, SeenMachine
from vhal.spec.units import Bytes

DOWNTIME_S = 0.3
"""What the last round aims at: the default of QEMU's ``downtime-limit``."""
ROUNDS = 30
"""After these a machine that writes faster than it is sent is stopped, and what is left is sent (Xen's limit, 2005)."""


class Cost(NamedTuple):
    """Of one move."""

    transferred: Bytes
    total_s: float
    downtime_s: float


def cost(machine: SeenMachine, source: SeenHost, destination: SeenHost) -> Cost:
    """Return what moving a machine from one host to another will cost; no times where no bandwidth is known."""
    speeds = [host.bandwidth for host in (source, destination) if host.bandwidth > 0]
    if not speeds or not machine.state.active:
        return Cost(machine.memory, 0.0, 0.0)
    speed = min(speeds)
    size = left = float(machine.memory)
    sent = 0.0
    for _ in range(ROUNDS):
        if left <= DOWNTIME_S * speed:
            break
        sent += left
        # A guest can't have more memory to send again than it has.
        left = min(left * machine.dirty_rate / speed, size)
    return Cost(Bytes(round(sent + left)), (sent + left) / speed, left / speed)
