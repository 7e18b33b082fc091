"""A real engine's two hosts and two simulated ones that can do as much, with the same operations on both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vhal_mock.driver import MockDriver
from vhal_mock.world import World as SimWorld

from tests.parity.limits import LIMITS
from vhal.driver import CAPABILITIES, EventKind
from vhal.host import connect
from vhal.layers.without import Without
from vhal.testing import Harness
from vhal.testing.model import World
from vhal.testing.oracle import Create, Operation, step
from vhal.testing.stage import Sight, Stage


@dataclass(frozen=True)
class Seen:
    """What came of one operation."""

    error: str
    """The class of the error, or none."""
    machines: tuple[Sight | None, ...]
    """Each machine that was ever made; None for one that is gone."""
    events: tuple[tuple[EventKind, ...], ...]
    """What each host told of the machine since the operation before."""


@dataclass(frozen=True)
class Pair:
    """Both stages."""

    engine: str
    real: Stage
    mock: Stage
    abilities: frozenset[str]

    @staticmethod
    @contextmanager
    def of(engine: str, harness: Harness) -> Iterator[Pair]:
        """Open both ends of a harness that has a peer, and two simulated hosts without what the engine lacks."""
        assert harness.peer is not None
        simulated = SimWorld.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
        as_simulated = Harness(open=lambda: MockDriver(simulated.host("a")), spec=harness.spec)
        with connect(harness.open()) as a, connect(harness.peer()) as b, Stage(harness, [a, b]) as real:
            abilities = real.abilities()
            lacking = [key for key in CAPABILITIES.values() if key.id not in abilities]
            drivers = [Without(MockDriver(simulated.host(name)), *lacking) for name in ("a", "b")]
            hosts = [connect(driver) for driver in drivers]
            with hosts[0], hosts[1], Stage(as_simulated, hosts) as mock:
                yield Pair(engine, real, mock, abilities)

    def compare(self, operations: Sequence[Operation]) -> None:
        """Make all of ``operations`` on both, and compare after each.

        Raises:
            AssertionError: With the sequence and the first difference.
        """
        try:
            world = World(self.abilities)
            for place, operation in enumerate(operations):
                outcome = step(world, operation)
                mock = _make(self.mock, world, operation)
                expected = self._limited(operation, mock)
                real = _make(self.real, world, operation)
                assert real == expected, "\n".join(
                    [
                        *(f"  {number}. {one}" for number, one in enumerate(operations[: place + 1])),
                        f"the mock: {expected}",
                        f"{self.engine}: {real}",
                    ]
                )
                world = outcome.world
        finally:
            self.mock.clear()
            self.real.clear()

    def _limited(self, operation: Operation, seen: Seen) -> Seen:
        limit = LIMITS[self.engine].get(type(operation).__name__.lower())
        if limit is None or seen.error:
            return seen
        told = next(kinds for kinds in seen.events if kinds)
        assert told != limit.tells, f"{limit} is none: the mock does the same"
        return Seen(seen.error, seen.machines, tuple(limit.tells if kinds else () for kinds in seen.events))


def _make(stage: Stage, world: World, operation: Operation) -> Seen:
    """Make one operation, wait for the events that it must have, and look at everything."""
    outcome = step(world, operation)
    number = world.made if isinstance(operation, Create) else operation.machine
    hosts = range(len(stage.hosts))
    before = {host: len(stage.heard(number, host)) if number in stage.machines else 0 for host in hosts}
    error = stage.make(operation, number)
    events: list[tuple[EventKind, ...]] = []
    for host in hosts if number in stage.machines else ():
        more = sum(1 for teller, _ in stage.told(operation, outcome.events) if teller == host)
        events.append(tuple(stage.heard(number, host, at_least=before[host] + more)[before[host] :]))
    machines = tuple(stage.look(made) for made in sorted(stage.machines))
    return Seen(type(error).__name__ if error else "", machines, tuple(events))
