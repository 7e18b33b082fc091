"""What each action of a scenario does: calls of the users' API to machines, troubles to hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vhal.errors import InvalidState
from vhal_mock.scenario.event import (
    Abort,
    Delete,
    HostEvent,
    MachineCrash,
    MachineEvent,
    Power,
    Resize,
    SlowLink,
    Stop,
    Trouble,
)

if TYPE_CHECKING:
    from vhal.machine import Machine
    from vhal_mock.host import SimHost
    from vhal_mock.world import World

LONG = frozenset({"migrate", "save", "restore"})
"""Actions during which the SDK refuses another one on the machine; during the others the other one waits."""


def _power(machine: Machine, event: Power) -> None:
    getattr(machine, event.action)()


def _stop(machine: Machine, event: Stop) -> None:
    machine.stop(force=event.force, timeout_s=event.timeout_s)


def _delete(machine: Machine, event: Delete) -> None:
    machine.delete(force=event.force)


def _resize(machine: Machine, event: Resize) -> None:
    machine.resize(cpus=event.cpus, memory=event.memory)


CALLS: dict[type[MachineEvent], Callable[[Machine, Any], None]] = {
    Power: _power,
    Stop: _stop,
    Delete: _delete,
    Resize: _resize,
}
"""Those that are called on a machine, each in its time."""


def strike(world: World, event: HostEvent) -> None:
    """Let a trouble begin or end, on the host or in the failure domain that is named. Takes no time."""
    for host in hosts(world, event):
        trouble = host.trouble
        if isinstance(event, Trouble):
            {
                "host-crash": trouble.crash,
                "partition": trouble.partition,
                "hang": trouble.hang,
                "disk-full": trouble.fill_disk,
            }[event.action](event.seconds)
        elif isinstance(event, SlowLink):
            trouble.slow_down(event.factor, event.seconds)
        else:
            world.log.add("recover", host.name)
            trouble.recover()


def hosts(world: World, event: HostEvent) -> list[SimHost]:
    """Return the hosts that an event is about."""
    return world.in_domain(**event.domain) if event.host is None else [world.host(event.host)]


def interfere(world: World, event: Abort | MachineCrash) -> None:
    """Do to a machine what isn't a call on it. Takes no time.

    Raises:
        vhal.errors.NotFound: It isn't there.
        vhal.errors.InvalidState: Its migration shall be aborted, and it isn't on its way.
    """
    machine = world.machine(event.machine)
    if isinstance(event, Abort):
        journey = world.journeys.get(machine.id)
        if journey is None:
            raise InvalidState(
                f"machine {event.machine!r} isn't on its way", hint="let it happen while it is", machine=event.machine
            )
        journey.abort()
        return
    for host in world.hosts.values():
        if host.machines.get(machine.id) is machine:
            host.trouble.crash_machine(machine, "a scenario's event")
