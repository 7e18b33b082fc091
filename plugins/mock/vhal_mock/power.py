"""How a simulated machine comes up and goes down, besides the calls themselves, which are the driver's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver.event import EventKind
from vhal.errors import EngineError, InsufficientResources, OperationTimeout
from vhal.spec.state import MachineState
from vhal_mock.boot import Boot

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.driver import MockDriver
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine
    from vhal_mock.world import World

# Looked up once: Python 3.11 runs a function for each look at an enum's member.
_RUNNING, _STARTED = MachineState.RUNNING, EventKind.STARTED


def check_room(host: SimHost, machine: SimMachine, cpus: int, memory: int) -> None:
    """Return if a machine can be active on its host with these sizes.

    Raises:
        vhal.errors.InsufficientResources: It can't.
    """
    if machine.state.active:
        shortage = host.shortage(cpus - machine.cpus, memory - machine.memory)
    else:
        shortage = host.shortage(cpus, memory)
        if shortage is None and machine.spec.gpus and host.gpu_parts(machine) is None:
            shortage = "its GPUs, or the places on them, are taken"
    if shortage is not None:
        raise InsufficientResources(
            f"host {host.name!r} is full: {shortage}", hint="stop a machine there, or move one to another host"
        )


def start(host: SimHost, machine: SimMachine, ctx: Context) -> None:
    """Claim what a machine needs, begin its boot, and let it run. It is as it was if that fails.

    Raises:
        vhal.errors.InsufficientResources: There is no room.
        vhal.errors.VhalError: A fault struck.
    """
    check_room(host, machine, machine.cpus, machine.memory)
    if not host.world.faults.idle:
        _claim(host, machine, ctx)
    machine.restart_counters()
    machine.boot = boot(machine, host.world)
    host.turn(machine, _RUNNING)
    host.tell(_STARTED, machine)


def _claim(host: SimHost, machine: SimMachine, ctx: Context) -> None:
    """Claim its room before a fault may strike: time may pass in that, and others must see that the room is taken."""
    before = machine.state
    host.turn(machine, MachineState.STARTING)
    try:
        host.visit("start.after_claim_before_power", machine.name, ctx)
    except BaseException:
        if machine.state is MachineState.STARTING:
            host.turn(machine, before)
        raise
    if machine.state is not MachineState.STARTING:
        raise EngineError(f"machine {machine.name!r} became {machine.state} while it started", hint="start it again")


def boot(machine: SimMachine, world: World) -> Boot:
    """Return the boot of a machine that begins now."""
    takes_s, progression = machine.options.boot_s, world.progression.get("boot")
    if progression is None:
        return Boot(world.clock.now_s, takes_s)
    return Boot(world.clock.now_s, progression.duration(takes_s), progression.looks)


def ask_to_stop(driver: MockDriver, machine: SimMachine, ctx: Context) -> None:
    """Let the guest stop in its time; it is what it was if it doesn't until the deadline.

    Where it stops by looks, it is ``stopping`` on return.

    Raises:
        vhal.errors.OperationTimeout: It doesn't listen, or needs longer.
        vhal.errors.VhalError: A fault struck, or the call was aborted.
    """
    host, before, stop_s = driver.host, machine.state, machine.options.stop_s
    host.visit("stop.after_request", machine.name, ctx)
    if machine.state is not before:
        return
    progression = driver.world.progression.get("stop")
    if stop_s is None:
        if ctx.left_s is None:
            raise OperationTimeout("the guest doesn't listen", hint="stop(force=True)")
        stop_s = ctx.left_s + 1.0
    elif progression is not None:
        stop_s = progression.duration(stop_s)
        machine.stopping = progression.looks
    host.turn(machine, MachineState.STOPPING)
    if machine.stopping is not None:
        return
    try:
        driver.spend(stop_s, ctx)
    except BaseException:
        if machine.state is MachineState.STOPPING:
            host.turn(machine, before)
        raise
