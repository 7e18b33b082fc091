"""A scenario as it is written down: a world's spec, how long it goes on, and what happens when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.errors import VhalError
from vhal.spec.load import load_model
from vhal_mock.scenario.event import AnyEvent, Create, HostEvent, Span
from vhal_mock.spec import WorldSpec, unknown, wrong
from vhal_mock.world import World

SAMPLES = 100
"""How often usage is recorded where a scenario doesn't say."""

MOST_SAMPLES = 100_000


class Scenario(WorldSpec):
    """A world and its story. Each world's spec is one, in which nothing is done."""

    until_s: Span = 3600.0
    """How many virtual seconds it goes on."""
    sample_s: Span | None = None
    """How often the usage of hosts is recorded; none for a hundredth of the time that it goes on."""
    events: Annotated[tuple[AnyEvent, ...], Field(max_length=1_000_000)] = ()
    """What happens, by the time at which it does."""

    @model_validator(mode="after")
    def _is_recordable(self) -> Scenario:
        if self.until_s / self.interval_s > MOST_SAMPLES:
            raise PydanticCustomError("scenario", "sample_s: more than 100,000 samples; let 'sample_s' be larger")
        return self

    @property
    def interval_s(self) -> float:
        """Return how often usage is recorded."""
        return self.until_s / SAMPLES if self.sample_s is None else self.sample_s

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Return the scenario in a TOML or JSON file.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: With the file, and the path and the reason of each problem.
        """
        return load_model(path, cls)

    def cut(self, until_s: float) -> Scenario:
        """Return the scenario until another time, without what happens later."""
        early = tuple(event for event in self.events if event.time_s <= until_s)
        return self.replace(until_s=until_s, sample_s=self.interval_s, events=early)

    def world(self, source: Path | None = None) -> World:
        """Return its world as it is at the beginning.

        Args:
            source: The file that it is from: paths of traces in it begin there, and errors name it.

        Raises:
            vhal.errors.InvalidSpec: It names something that isn't there, or a machine can't be where it shall be.
            vhal.errors.NotFound: It names a trace that isn't there.
        """
        world = World.from_spec(self, source)
        _check(self, world, "Scenario" if source is None else str(source))
        return world


def _check(scenario: Scenario, world: World, source: str) -> None:
    """Return if what the events name is there, or will have been made."""
    machines = {name: None for host in world.hosts.values() for name in host.by_name}
    machines.update((event.spec.name, None) for event in scenario.events if isinstance(event, Create))
    for place, event in enumerate(scenario.events):
        path = f"events[{place}]"
        if event.time_s > scenario.until_s:
            raise wrong(
                source,
                f"{path}.time_s",
                f"it is after the end, which is at {scenario.until_s:g} s",
                "let 'until_s' be later",
            )
        if isinstance(event, Create):
            _check_machine(event, world, source, path)
        for field, known in (("host", world.hosts), ("to", world.hosts), ("machine", machines)):
            name = getattr(event, field, None)
            if name is not None and name not in known:
                raise unknown(source, f"{path}.{field}", "host" if field == "to" else field, name, known)
        if isinstance(event, HostEvent) and event.domain and not world.in_domain(**event.domain):
            _check_domain(event, world, source, path)


def _check_domain(event: HostEvent, world: World, source: str, path: str) -> None:
    for key, value in event.domain.items():
        known = {host.model.domains[key] for host in world.hosts.values() if key in host.model.domains}
        if not known:
            keys = {key for host in world.hosts.values() for key in host.model.domains}
            raise unknown(source, f"{path}.domain", "kind of failure domain", key, sorted(keys))
        if value not in known:
            raise unknown(source, f"{path}.domain.{key}", key, value, sorted(known))
    raise wrong(source, f"{path}.domain", "no host is in all of them", "name fewer")


def _check_machine(event: Create, world: World, source: str, path: str) -> None:
    from vhal_mock.creation import options_of

    try:
        options_of(event.spec).make_workload("", world)
    except VhalError as error:
        raise wrong(source, f"{path}.spec", error.message, error.hint or "correct it") from error
