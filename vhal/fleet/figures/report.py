"""How well a fleet is used: what is bought, allocated, used and wasted, for each host and in all.

bought
    what the hosts have.
allocated
    what was promised to machines, running or not.
used
    what running machines really use, smoothed; unknown until it was measured on all of them.
wasted
    what was promised and isn't used: what smaller machines would give back.
free
    what can still be promised: with overcommit, without what hosts keep for themselves. Of a host that takes nothing
    new, nothing.

A pure function of a snapshot; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vhal.fleet.placement.placement import candidate
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.model import Model
from vhal.spec.units import Bytes


class Amount(Model):
    """Of one resource. Processors are counted in processors, memory in bytes."""

    bought: float = 0.0
    allocated: float = 0.0
    free: float = 0.0
    used: float | None = None
    """None where it isn't known."""

    @property
    def wasted(self) -> float | None:
        """What was promised and isn't used."""
        return None if self.used is None else max(0.0, self.allocated - self.used)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            bought=self.bought + other.bought,
            allocated=self.allocated + other.allocated,
            free=self.free + other.free,
            used=None if self.used is None or other.used is None else self.used + other.used,
        )


class Use(Model):
    """Of one host, or of all."""

    name: str
    status: HostStatus = HostStatus.UP
    machines: int = 0
    running: int = 0
    cpus: Amount = Amount()
    memory: Amount = Amount()


class UseReport(Model):
    """How well a fleet is used."""

    taken_s: float
    hosts: tuple[Use, ...]
    """Those that don't answer have nothing in them."""
    fleet: Use
    """Of all that answer."""

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready, with what is wasted."""

        def of(use: Use) -> dict[str, Any]:
            wasted = {"cpus": use.cpus.wasted, "memory": use.memory.wasted}
            return {**use.model_dump(mode="json"), "wasted": wasted}

        return {"taken_s": self.taken_s, "hosts": [of(use) for use in self.hosts], "fleet": of(self.fleet)}

    def __str__(self) -> str:
        return "\n".join(_lines([HEADERS, *(row(use) for use in (*self.hosts, self.fleet))]))


HEADERS = ("HOST", "STATUS", "MACHINES", "CPUS", "ALLOCATED", "USED", "WASTED", "FREE",
           "MEMORY", "ALLOCATED", "USED", "WASTED", "FREE")  # fmt: skip
"""Of the table; the columns after CPUS are of processors, those after MEMORY of memory."""


def report(snapshot: FleetSnapshot) -> UseReport:
    """Return how well the fleet of a snapshot is used."""
    hosts = tuple(_of(host, snapshot.on[host.name]) for host in snapshot.hosts)
    known = [use for use in hosts if use.status is not HostStatus.UNREACHABLE]
    return UseReport(taken_s=snapshot.taken_s, hosts=hosts, fleet=_sum(known))


def row(use: Use) -> tuple[str, ...]:
    """Return one line of the table: what people read of a host."""
    machines = f"{use.running}/{use.machines}"
    if use.status is HostStatus.UNREACHABLE:
        return (use.name, str(use.status), *("-",) * (len(HEADERS) - 2))
    cpus = [f"{value:.4g}" if value is not None else "-" for value in _values(use.cpus)]
    memory = [str(Bytes(int(value))) if value is not None else "-" for value in _values(use.memory)]
    return (use.name, str(use.status) if use.name else "", machines, *cpus, *memory)


def _values(amount: Amount) -> tuple[float | None, ...]:
    return (amount.bought, amount.allocated, amount.used, amount.wasted, amount.free)


def _of(host: SeenHost, machines: tuple[SeenMachine, ...]) -> Use:
    if host.status is HostStatus.UNREACHABLE:
        return Use(name=host.name, status=host.status)
    seen = candidate(host, machines)
    active = [machine for machine in machines if machine.state.active]
    loads = [machine.load for machine in active if machine.load is not None]
    known = len(loads) == len(active)
    takes = host.status is HostStatus.UP
    return Use(
        name=host.name,
        status=host.status,
        machines=len(machines),
        running=len(active),
        cpus=Amount(
            bought=host.cpus,
            allocated=seen.held_cpus,
            free=max(0.0, seen.cpus - seen.held_cpus) if takes else 0.0,
            used=sum(load.cpus for load in loads) if known else None,
        ),
        memory=Amount(
            bought=host.memory,
            allocated=seen.held_memory,
            free=max(0, seen.memory - seen.held_memory) if takes else 0,
            used=sum(load.memory for load in loads) if known else None,
        ),
    )


def _sum(uses: Iterable[Use]) -> Use:
    none = Amount(used=0.0)
    whole = Use(name="", cpus=none, memory=none)
    for use in uses:
        whole = Use(
            name="",
            machines=whole.machines + use.machines,
            running=whole.running + use.running,
            cpus=whole.cpus + use.cpus,
            memory=whole.memory + use.memory,
        )
    return whole


def _lines(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
