"""What a plugin can bring to the choice of a host: filters, which say no, and scores, which say how good.

The whole of such a plugin::

    import vhal.driver

    def quiet_at_night(host, spec):
        return "it is switched off at night" if host.labels.get("green") == "yes" else ""

    @vhal.driver.hookimpl
    def vhal_placement_filters():
        return [vhal.driver.PlacementFilter("night", quiet_at_night)]

and, in its ``pyproject.toml``, ``[project.entry-points."vhal.placement"]`` with ``night = "that_module"``.
Hooks register; they don't dispatch: every later call is a plain call of a function. Who calls it is
:mod:`vhal.fleet.placement.placement`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vhal.driver.backend import hookspec

if TYPE_CHECKING:
    from vhal.spec.machine import MachineSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that a machine may go to, as it was seen a moment ago."""

    name: str
    backend: str
    labels: Mapping[str, str]
    cpus: float
    """Virtual processors that it may give away in all: with overcommit, without what it keeps for itself."""
    memory: int
    """Bytes that it may give away in all."""
    held_cpus: int
    """Virtual processors of the machines that are there, running or not, and of those that are being made."""
    held_memory: int
    busy_cpus: float | None
    """Processors kept busy, smoothed; None where it isn't known of all machines that run."""
    processors: int
    """Its own, without overcommit."""
    gpus: Mapping[str, int]
    """Model → how many whole ones nobody has."""
    machines: tuple[Mapping[str, str], ...]
    """What each machine there is chosen by: its labels, name, kind and state."""


@dataclass(frozen=True, slots=True)
class PlacementFilter:
    """Says which hosts a machine may not go to."""

    name: str
    against: Callable[[Candidate, MachineSpec], str]
    """Returns what is against it, a few words after "it"; or an empty text. Takes microseconds, asks nobody."""


@dataclass(frozen=True, slots=True)
class PlacementScore:
    """Says how good a host would be."""

    name: str
    rate: Callable[[Candidate, MachineSpec], float]
    """Returns a number from 0 to 1; 1 is best. Takes microseconds, asks nobody."""
    weight: float = 1.0
    """What it counts, where the built-in scores count 1 together."""


class PlacementHooks:
    """The hooks that vhal calls, once for each plugin."""

    @hookspec
    def vhal_placement_filters(self) -> list[PlacementFilter]:  # type: ignore[empty-body]
        """Return the plugin's filters."""

    @hookspec
    def vhal_placement_scores(self) -> list[PlacementScore]:  # type: ignore[empty-body]
        """Return the plugin's scores."""
