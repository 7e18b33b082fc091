"""A fleet and its moves for Prometheus: gauges of hosts and machines, counters of moves.

The library ``prometheus_client`` writes and serves them (``pip install 'vhal[metrics]'``); here is what they are. Of
a host that doesn't answer only that is told, so that no old value passes for a present one. Labels of machines aren't
told.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from vhal.errors import Busy, InvalidConfig, Unsupported
from vhal.fleet.moves.applied import MoveEvent, MoveResult
from vhal.fleet.moves.works import PLAN
from vhal.fleet.plan import Move
from vhal.fleet.show.text import busy
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.journal import Journal, Step, StepState

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
"""Buckets of how long moves take."""
DOWNTIME = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)
"""Buckets of how long machines stand still: around QEMU's limit of 0.3 s."""


class Source(Protocol):
    """Where snapshots come from: a fleet."""

    def snapshot(self) -> FleetSnapshot:
        """Return what there is now."""


def require() -> None:
    """Return if the library is there.

    Raises:
        vhal.errors.Unsupported: It isn't.
    """
    from importlib.util import find_spec

    if find_spec("prometheus_client") is None:
        raise Unsupported("metrics need prometheus_client, which isn't installed", hint="pip install 'vhal[metrics]'")


class FleetMetrics:
    """Takes a snapshot whenever somebody reads, and tells its figures: register it in a registry.

    Args:
        source: The fleet.
        machines: Whether to tell of each machine, too: as many time series as there are machines, several times.
    """

    def __init__(self, source: Source, *, machines: bool = False) -> None:
        require()
        self._source = source
        self._machines = machines

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families. Called by the library, in its threads."""
        snapshot = self._source.snapshot()
        yield from _hosts(snapshot)
        if self._machines:
            yield from _machines(snapshot)


class MoveMetrics:
    """Counts moves: those that it is told of, or those in a journal.

    In the process that carries a plan out it is an ``on_event`` of :func:`vhal.fleet.moves.apply.apply`. Elsewhere it
    reads the journal whenever somebody reads the metrics; what had ended before is counted, too.

    Args:
        registry: Where the counters are registered.
        journal: To read; None where it is told.
    """

    def __init__(self, registry: CollectorRegistry, journal: Journal | None = None) -> None:
        require()
        from prometheus_client import Counter as Total
        from prometheus_client import Gauge, Histogram

        self._journal = journal
        self._counted: set[tuple[str, int]] = set()
        self._going: set[str] = set()
        self._turn = threading.Lock()
        registry.register(self)  # first: it is asked before the counters are

        self._moves = Total("vhal_moves", "Moves of machines that have ended.", ["outcome"], registry=registry)
        self._bytes = Total("vhal_move_bytes", "Bytes that moves have sent.", registry=registry)
        self._now = Gauge("vhal_moves_under_way", "Moves of machines that have begun and not ended.", registry=registry)
        self._seconds = Histogram(
            "vhal_move_seconds", "How long moves that came about took.", registry=registry, buckets=SECONDS
        )
        self._downtime = Histogram(
            "vhal_move_downtime_seconds",
            "How long machines stood still while they moved.",
            registry=registry,
            buckets=DOWNTIME,
        )

    def __call__(self, event: MoveEvent) -> None:
        """Take notice of what happened to a move. Safe from any thread."""
        with self._turn:
            if event.kind == "begun":
                self._going.add(event.move.id)
            elif event.kind == "ended" and event.result is not None:
                # One that was refused never began.
                self._going.discard(event.move.id)
                self._count(event.result)
            self._now.set(len(self._going))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the journal, and yield nothing: the counters are collectors of their own. Called by the library."""
        if self._journal is not None:
            with self._turn:
                self._read(self._journal)
        yield from ()

    def _read(self, journal: Journal) -> None:
        ended: dict[tuple[str, int], Step] = {}
        under_way = 0
        for work in journal.works(PLAN):
            for step in work.steps:
                if step.state is StepState.ENDED:
                    ended[work.id, step.place] = step
                elif step.state is StepState.BEGUN and work.under_way:
                    under_way += 1
        for step in [step for key, step in ended.items() if key not in self._counted]:
            self._count(MoveResult(move=Move(**step.data), **step.note))
        # What the journal has forgotten needn't be remembered here.
        self._counted = set(ended)
        self._now.set(under_way)

    def _count(self, result: MoveResult) -> None:
        self._moves.labels(str(result.outcome)).inc()
        self._bytes.inc(result.transferred)
        if result.outcome == "moved":
            self._seconds.observe(result.seconds)
            self._downtime.observe(result.downtime_s)


@contextmanager
def served(registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """Serve a registry over HTTP as long as the block runs; give the port, which is chosen where it is 0.

    Raises:
        vhal.errors.Busy: Somebody else listens there.
        vhal.errors.InvalidConfig: This machine has no such address, or may not listen there.
    """
    import errno

    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise Busy(f"somebody listens on {where} already", hint="give another port") from error
        raise InvalidConfig(
            f"can't listen on {where}: {error.strerror}", hint="give an address of this machine"
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _hosts(snapshot: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    status = GaugeMetricFamily(
        "vhal_host_status", "1 for what a host is, 0 for what it isn't.", labels=["host", "status"]
    )
    for host in snapshot.hosts:
        for each in HostStatus:
            status.add_metric([host.name, str(each)], float(host.status is each))
    yield status
    known = [host for host in snapshot.hosts if host.status is not HostStatus.UNREACHABLE]
    counts = GaugeMetricFamily("vhal_host_machines", "Machines on a host, by state.", labels=["host", "state"])
    for host in known:
        for state, count in sorted(Counter(str(machine.state) for machine in snapshot.on[host.name]).items()):
            counts.add_metric([host.name, state], count)
    yield counts
    for name, help_text, figure in _HOST_FIGURES:
        family = GaugeMetricFamily(f"vhal_host_{name}", help_text, labels=["host"])
        for host in known:
            value = figure(host, [machine for machine in snapshot.on[host.name] if machine.state.active])
            if value is not None:
                family.add_metric([host.name], value)
        yield family


def _used_memory(host: SeenHost, active: list[SeenMachine]) -> float | None:
    if host.load is not None:
        return host.load.memory
    loads = [machine.load.memory for machine in active if machine.load is not None]
    return sum(loads) if len(loads) == len(active) else None


_HOST_FIGURES = (
    ("cpus", "Processors of a host.", lambda host, active: host.cpus),
    ("cpus_allocated", "Virtual processors given to active machines.", lambda host, active: _sum(active, "cpus")),
    ("cpus_used", "Processors busy.", busy),
    ("memory_bytes", "Memory of a host.", lambda host, active: host.memory),
    ("memory_allocated_bytes", "Memory given to active machines.", lambda host, active: _sum(active, "memory")),
    ("memory_used_bytes", "Memory held.", _used_memory),
)


def _sum(active: list[SeenMachine], field: str) -> float:
    return float(sum(getattr(machine, field) for machine in active))


def _machines(snapshot: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    labels = ["machine", "id", "host"]
    cpus = GaugeMetricFamily("vhal_machine_cpus", "Virtual processors of a machine.", labels=labels)
    memory = GaugeMetricFamily("vhal_machine_memory_bytes", "Memory that a machine was promised.", labels=labels)
    used = GaugeMetricFamily("vhal_machine_cpus_used", "Processors that a machine keeps busy.", labels=labels)
    held = GaugeMetricFamily("vhal_machine_memory_used_bytes", "Memory that a machine holds.", labels=labels)
    for machine in snapshot.machines:
        who = [machine.name, machine.id, machine.host]
        cpus.add_metric(who, machine.cpus)
        memory.add_metric(who, machine.memory)
        if machine.load is not None:
            used.add_metric(who, machine.load.cpus)
            held.add_metric(who, machine.load.memory)
    yield from (cpus, memory, used, held)
