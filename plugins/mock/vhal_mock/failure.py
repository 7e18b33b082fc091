"""What a fault does where it strikes: each kind to the host, the machine or the call that was at the point."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vhal.driver.fault import Fault, FaultKind
from vhal.errors import EngineError

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.host import SimHost

DELAY_S = 1.0
"""How long a delay lasts that doesn't say."""


def strike(host: SimHost, fault: Fault, point: str, machine: str, ctx: Context | None) -> None:
    """Let ``fault`` happen to ``host``, at a point of an operation on ``machine``.

    Raises:
        vhal.errors.VhalError: What the call that is at the point is told.
    """
    world, trouble, kind = host.world, host.trouble, fault.kind
    world.log.add("fault", host.name, machine, f"{kind} at {point}")
    if kind is FaultKind.ERROR:
        raise EngineError(fault.message, hint="a fault that the world's plan has; retry, or see world.log")
    if kind is FaultKind.LOST_REPLY:
        world.unanswered.add(threading.get_ident())
    elif kind is FaultKind.DELAY:
        world.clock.spend(DELAY_S if fault.seconds is None else fault.seconds, ctx)
    elif kind is FaultKind.ABORT and ctx is not None:
        ctx.abort()
        ctx.check()
    elif kind is FaultKind.SLOW_LINK:
        trouble.slow_down(fault.factor, fault.seconds)
    elif kind is FaultKind.DISK_FULL:
        trouble.fill_disk(fault.seconds)
    elif kind is FaultKind.MACHINE_CRASH:
        found = host.by_name.get(machine)
        if found is not None:
            trouble.crash_machine(found, "a fault")
    elif kind in (FaultKind.HOST_CRASH, FaultKind.PARTITION, FaultKind.HANG):
        {
            FaultKind.HOST_CRASH: trouble.crash,
            FaultKind.PARTITION: trouble.partition,
            FaultKind.HANG: trouble.hang,
        }[kind](fault.seconds)
        trouble.check(ctx)
