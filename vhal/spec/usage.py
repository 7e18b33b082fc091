"""What a machine uses of its host, at one moment."""

from __future__ import annotations

from vhal.spec.model import Model
from vhal.spec.units import Bytes


class Usage(Model):
    """Counters and gauges of one machine; a rate is the difference of two over their times. None: not told."""

    time_s: float
    """When it was measured, on the host's clock of :meth:`vhal.driver.Driver.clock_s`."""
    cpu_s: float | None = None
    """Processor time since it was started, of all its processors together."""
    memory: Bytes | None = None
    """What it holds of the host's memory now."""
    read: Bytes | None = None
    """Bytes read from disks since it was started."""
    written: Bytes | None = None
    received: Bytes | None = None
    """Bytes received by its network cards since it was started."""
    sent: Bytes | None = None
    processes: int | None = None
