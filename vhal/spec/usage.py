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


class Rates(Model):
    """What a machine used between two moments. None: not told, or it was started again in between."""

    seconds: float
    """How far apart the two moments were."""
    cpus: float | None = None
    """Processors that it kept busy: 1.5 is one and a half."""
    read: float | None = None
    """Bytes a second, as all that follow."""
    written: float | None = None
    received: float | None = None
    sent: float | None = None


def rates(before: Usage, after: Usage) -> Rates:
    """Return what was used between two measurements of one machine on one host.

    Where no time passed between them, or a counter went back since the machine was started again, there is no rate.
    """
    seconds = after.time_s - before.time_s

    def rate(name: str) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        if first is None or last is None or last < first or seconds <= 0:
            return None
        return float((last - first) / seconds)

    return Rates(
        seconds=max(0.0, seconds),
        cpus=rate("cpu_s"),
        read=rate("read"),
        written=rate("written"),
        received=rate("received"),
        sent=rate("sent"),
    )
