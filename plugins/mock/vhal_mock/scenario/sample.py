"""The usage of hosts over time, as it is at the moments at which somebody looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vhal_mock.usage import busy

if TYPE_CHECKING:
    from vhal_mock.host import SimHost
    from vhal_mock.world import World


@dataclass(slots=True)
class Usage:
    """What one host's machines used, a value for each moment."""

    all_cpus: int
    """Processors that the host has."""
    all_memory: int
    """Bytes that it has."""
    cpus: list[float] = field(default_factory=list)
    """Processors that were busy."""
    memory: list[int] = field(default_factory=list)
    """Bytes that were promised to active machines."""
    machines: list[int] = field(default_factory=list)
    """Active machines."""
    sent: list[int] = field(default_factory=list)
    """Bytes a second of moves that left it."""
    received: list[int] = field(default_factory=list)
    """Bytes a second of moves that came."""

    def add(self, host: SimHost) -> None:
        """Look at the host. Precondition: the world's lock is held."""
        sent, received = host.world.network.rates(host.name)
        self.cpus.append(round(busy(host), 3))
        self.memory.append(host.used_memory)
        self.machines.append(sum(machine.state.active and not machine.arriving for machine in host.machines.values()))
        self.sent.append(int(sent))
        self.received.append(int(received))


class Samples:
    """The usage of all hosts of a world.

    Args:
        world: Whose.
    """

    def __init__(self, world: World) -> None:
        self.times_s: list[float] = []
        self.hosts = {name: Usage(host.model.cpus, host.model.memory) for name, host in world.hosts.items()}
        self._world = world

    def take(self) -> None:
        """Look at all hosts now. Precondition: the world's lock is held."""
        self.times_s.append(round(self._world.clock.now_s, 6))
        for name, usage in self.hosts.items():
            usage.add(self._world.hosts[name])

    def as_dict(self) -> dict[str, Any]:
        """Return them JSON-ready, a column for each kind."""
        return {
            "times_s": self.times_s,
            "hosts": [
                {
                    "name": name,
                    "all_cpus": usage.all_cpus,
                    "all_memory": usage.all_memory,
                    "cpus": usage.cpus,
                    "memory": usage.memory,
                    "machines": usage.machines,
                    "sent": usage.sent,
                    "received": usage.received,
                }
                for name, usage in self.hosts.items()
            ],
        }
