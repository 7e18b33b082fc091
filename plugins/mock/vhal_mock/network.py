"""The links between simulated hosts, and what flows over them at one time.

Each host has one link out and one in; a world may have more, that whoever enters or leaves a group of hosts shares (a
rack's uplink). Flows that meet on a link share it as TCP's are modelled to: max-min fair, found by progressive filling
(Bertsekas and Gallager, "Data Networks", 2nd edition, section 6.5.2). A flow's rate is constant between two changes;
each change makes all of them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import fsum
from typing import TYPE_CHECKING

from vhal.errors import HostUnreachable

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.clock import Alarm, Clock, Signal


@dataclass(slots=True, eq=False)
class Link:
    """One direction of a wire."""

    name: str
    bandwidth: float
    """Bytes a second."""
    latency_s: float = 0.0
    factor: float = 1.0
    """What of its bandwidth it carries now."""
    flows: dict[Flow, None] = field(default_factory=dict)

    @property
    def capacity(self) -> float:
        """Bytes a second that it carries now."""
        return self.bandwidth * self.factor


@dataclass(slots=True, eq=False)
class Flow:
    """Bytes on their way from one host to another."""

    source: str
    destination: str
    path: tuple[Link, ...]
    left: float
    limit: float
    """Bytes a second that it sends at most."""
    done: Signal
    rate: float = 0.0
    since_s: float = 0.0
    alarm: Alarm | None = None


class Network:
    """The links of a world. Everything is done with the clock's lock held.

    Args:
        clock: The world's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out: dict[str, Link] = {}
        self._in: dict[str, Link] = {}
        self._shared: list[tuple[frozenset[str], Link, Link]] = []
        self._cut: set[str] = set()
        self.flows: dict[Flow, None] = {}

    def add_host(self, name: str, bandwidth: float, latency_s: float = 0.0) -> None:
        """Give a host its links."""
        self._out[name] = Link(f"{name} out", bandwidth, latency_s)
        self._in[name] = Link(f"{name} in", bandwidth, latency_s)

    def share(self, name: str, hosts: Iterable[str], bandwidth: float, latency_s: float = 0.0) -> None:
        """Let all that enters or leaves a group of hosts share a link, one in each direction."""
        self._shared.append(
            (frozenset(hosts), Link(f"{name} out", bandwidth, latency_s), Link(f"{name} in", bandwidth, latency_s))
        )

    def path(self, source: str, destination: str) -> tuple[Link, ...]:
        """Return the links between two hosts."""
        links = [self._out[source]]
        for hosts, outward, inward in self._shared:
            if source in hosts and destination not in hosts:
                links.append(outward)
            if destination in hosts and source not in hosts:
                links.append(inward)
        links.append(self._in[destination])
        return tuple(links)

    def capacity(self, source: str, destination: str) -> float:
        """Return what a flow between two hosts has if it is alone: bytes a second."""
        return min(link.capacity for link in self.path(source, destination))

    def latency_s(self, source: str, destination: str) -> float:
        """Return how long a byte is on its way."""
        return fsum(link.latency_s for link in self.path(source, destination))

    def rates(self, host: str) -> tuple[float, float]:
        """Return what leaves a host now and what reaches it: bytes a second."""
        return sum(flow.rate for flow in self._out[host].flows), sum(flow.rate for flow in self._in[host].flows)

    def reaches(self, source: str, destination: str) -> bool:
        """Return whether the two hosts see each other."""
        return source not in self._cut and destination not in self._cut

    def send(self, source: str, destination: str, size: float, limit: float | None, ctx: Context | None) -> float:
        """Let ``size`` bytes go over and return how many seconds that took.

        Args:
            source: The host they leave.
            destination: The host they reach.
            size: Bytes.
            limit: Bytes a second at most.
            ctx: Deadline and abort.

        Raises:
            vhal.errors.HostUnreachable: The hosts don't see each other, or no longer.
        """
        from vhal_mock.clock import Signal

        clock = self._clock
        with clock.lock:
            if not self.reaches(source, destination):
                raise _unreachable(source, destination)
            if size <= 0:
                return 0.0
            begun = clock.now_s
            flow = Flow(
                source,
                destination,
                self.path(source, destination),
                float(size),
                float("inf") if limit is None else float(limit),
                Signal(clock),
                since_s=begun,
            )
            self.flows[flow] = None
            for link in flow.path:
                link.flows[flow] = None
            self._share_out()
            try:
                clock.wait(flow.done, ctx)
            finally:
                if flow in self.flows:
                    self._remove(flow)
                    self._share_out()
            return clock.now_s - begun

    def cut(self, host: str) -> None:
        """Let nothing reach a host or leave it; what is on its way fails."""
        self._cut.add(host)
        lost = [flow for flow in self.flows if host in (flow.source, flow.destination)]
        for flow in lost:
            self._remove(flow)
            flow.done.set(_unreachable(flow.source, flow.destination))
        if lost:
            self._share_out()

    def mend(self, host: str) -> None:
        """Undo :meth:`cut`."""
        self._cut.discard(host)

    def slow(self, host: str, factor: float) -> None:
        """Let a host's links carry ``factor`` of their bandwidth from now on; 1 is all of it."""
        for link in (self._out[host], self._in[host]):
            link.factor = factor
        self._share_out()

    def _remove(self, flow: Flow) -> None:
        self._clock.cancel(flow.alarm)
        del self.flows[flow]
        for link in flow.path:
            del link.flows[flow]

    def _share_out(self) -> None:
        """Give each flow its rate, and set the alarm for its end."""
        now_s = self._clock.now_s
        for flow in self.flows:
            flow.left -= flow.rate * (now_s - flow.since_s)
            flow.since_s = now_s
        for flow, rate in _fair(self.flows).items():
            flow.rate = rate
            self._clock.cancel(flow.alarm)
            at_s = now_s + max(0.0, flow.left) / rate
            flow.alarm = self._clock.at(at_s, lambda flow=flow: self._arrive(flow))  # type: ignore[misc]

    def _arrive(self, flow: Flow) -> None:
        self._remove(flow)
        flow.done.set()
        if self.flows:
            self._share_out()


def _fair(flows: Iterable[Flow]) -> dict[Flow, float]:
    """Return each flow's rate: raise all alike, and stop those whose link is full or that have their limit."""
    rates: dict[Flow, float] = {}
    open_flows = dict.fromkeys(flows)
    room = {link: link.capacity for flow in open_flows for link in flow.path}
    counts = {link: sum(flow in open_flows for flow in link.flows) for link in room}
    while open_flows:
        level = min(room[link] / counts[link] for link in room if counts[link])
        level = min(level, min(flow.limit for flow in open_flows))
        full = {link for link in room if counts[link] and room[link] / counts[link] <= level * (1 + 1e-12)}
        settled = [flow for flow in open_flows if flow.limit <= level or any(link in full for link in flow.path)]
        for flow in settled:
            rates[flow] = level
            del open_flows[flow]
            for link in flow.path:
                room[link] -= level
                counts[link] -= 1
    return rates


def _unreachable(source: str, destination: str) -> HostUnreachable:
    return HostUnreachable(
        f"hosts {source!r} and {destination!r} don't see each other", hint="mend the network between them"
    )
