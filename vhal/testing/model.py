"""The world as the oracle sees it: machines with what can be seen of them, and nothing else.

Values, not machines: an operation of :mod:`vhal.testing.oracle` makes a new world of one. Machines are numbered as they
are made, hosts from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vhal.spec.state import MachineState

MEMORY_SNAPSHOTS = "snapshots.memory"
"""An ability that no capability names: snapshots with memory, which some that have snapshots lack."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """How much of its host a machine has."""

    cpus: int
    memory: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One snapshot."""

    name: str
    memory: bool
    size: Size
    """The machine's size when it was taken."""


@dataclass(frozen=True, slots=True)
class Model:
    """One machine as it must be."""

    id: int
    name: str
    host: int
    size: Size
    state: MachineState = MachineState.STOPPED
    snapshots: tuple[Kept, ...] = ()
    """The oldest first."""
    epoch: int = 1

    def snapshot(self, name: str) -> Kept | None:
        """Return its snapshot of that name, or None."""
        return next((kept for kept in self.snapshots if kept.name == name), None)


@dataclass(frozen=True, slots=True)
class World:
    """All machines as they must be, and what their hosts can do."""

    abilities: frozenset[str] = frozenset()
    """Ids of capabilities, and perhaps :data:`MEMORY_SNAPSHOTS`."""
    machines: tuple[Model, ...] = ()
    made: int = 0
    """How many have been made: the number of the next one."""

    def machine(self, id: int) -> Model | None:
        """Return a machine by its number, or None if it isn't there."""
        return next((model for model in self.machines if model.id == id), None)

    def named(self, name: str, host: int) -> bool:
        """Return whether a host has a machine of that name."""
        return any((model.name, model.host) == (name, host) for model in self.machines)

    def turned(self, model: Model) -> World:
        """Return the world with one machine as ``model``."""
        return replace(self, machines=tuple(model if one.id == model.id else one for one in self.machines))

    def without(self, id: int) -> World:
        """Return the world with one machine less."""
        return replace(self, machines=tuple(one for one in self.machines if one.id != id))
