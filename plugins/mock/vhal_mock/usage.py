"""What simulated machines use of their host: what they want, as far as there is enough for all.

Counted when somebody asks, or when who runs there changes; between two steps of the workloads everything is constant,
so the sums are exact. Where machines want more than the host has, each gets the same part of what it wants.
"""

from __future__ import annotations

from math import fsum  # exact, and so the same on each version of Python, which sum() isn't
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine


def count(host: SimHost) -> None:
    """Count up to now what the machines of a host have used. Precondition: the world's lock is held."""
    then, now_s = host.counted_s, host.world.clock.now_s
    host.counted_s = now_s
    running = list(host.running.values())
    if not running:
        return
    cpus = host.model.cpus
    moving = [machine for machine in running if machine.options.moves_data]
    while then < now_s:
        end = now_s
        wanted = 0.0
        levels = []
        for machine in running:
            workload = machine.workload
            level = workload.level(then)
            levels.append(level)
            wanted += level * machine.cpus
            change = workload.until(then)
            if change < end:
                end = change
        seconds = end - then
        each = seconds if wanted <= cpus else seconds * cpus / wanted
        for machine, level in zip(running, levels, strict=True):
            machine.guest.cpu_s += level * machine.cpus * each
        if moving:
            _move(host, moving, then, seconds)
        then = end


def share(host: SimHost) -> float:
    """Return what part of the processor time that its machines want now a host has for them: 0 to 1."""
    now_s = host.world.clock.now_s
    wanted = fsum(machine.workload.level(now_s) * machine.cpus for machine in host.running.values())
    return 1.0 if wanted <= host.model.cpus else host.model.cpus / wanted


def busy(host: SimHost) -> float:
    """Return how many processors' worth of work its machines do now."""
    now_s = host.world.clock.now_s
    wanted = fsum(machine.workload.level(now_s) * machine.cpus for machine in host.running.values())
    return min(wanted, float(host.model.cpus))


def dirtied(machine: SimMachine, begun_s: float, ended_s: float) -> float:
    """Return the mean rate at which a guest that isn't held up writes to memory between two times: bytes a second."""
    rate = float(machine.options.dirty_rate)
    if machine.options.workload is None or ended_s <= begun_s:
        return rate * (machine.workload.level(begun_s) if machine.options.workload is not None else 1.0)
    total, then = 0.0, begun_s
    while then < ended_s:
        end = min(ended_s, machine.workload.until(then))
        total += machine.workload.level(then) * (end - then)
        then = end
    return rate * total / (ended_s - begun_s)


def _move(host: SimHost, machines: list[SimMachine], then: float, seconds: float) -> None:
    """Count what went to and from disks and networks."""
    levels = [machine.workload.level(then) if machine.options.workload is not None else 1.0 for machine in machines]
    pairs = list(zip(machines, levels, strict=True))
    disk = fsum((machine.options.read + machine.options.write) * level for machine, level in pairs)
    outward = fsum(machine.options.send * level for machine, level in pairs)
    inward = fsum(machine.options.receive * level for machine, level in pairs)
    bandwidth = host.model.bandwidth * host.trouble.slow
    on_disk = seconds if disk <= host.model.disk_bandwidth else seconds * host.model.disk_bandwidth / disk
    sent = seconds if outward <= bandwidth else seconds * bandwidth / outward
    received = seconds if inward <= bandwidth else seconds * bandwidth / inward
    for machine, level in pairs:
        options, guest = machine.options, machine.guest
        guest.read += options.read * level * on_disk
        guest.written += options.write * level * on_disk
        guest.sent += options.send * level * sent
        guest.received += options.receive * level * received
