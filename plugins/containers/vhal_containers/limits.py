"""Sizes of a machine as limits of its control group, and limits on its processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vhal.spec import MachineSpec
from vhal_containers.engine_process import EngineProcess

PERIOD_US = 100_000
"""Over which a quota of processor time is counted: the kernel's own default."""
LEAST_MEMORY = 6 << 20
"""With less, the runtime's own process that starts the container is ended for want of memory."""

ULIMITS = frozenset(
    {
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio", "rttime", "sigpending", "stack",
    }
)  # fmt: skip
"""What the engine knows, as in setrlimit(2)."""

_ALWAYS = {"nofile": 8192, "nproc": 16384}
"""Always given: podman's own defaults are more than an engine in a container, or one of a user, may give."""


def resources(cpus: int, memory: int, cpuset: str = "") -> dict[str, Any]:
    """Return OCI's LinuxResources for a machine of that size; 0 leaves one out.

    The memory is all there is: a machine that may swap as much again would be twice as large.
    """
    found: dict[str, Any] = {}
    if memory:
        found["memory"] = {"limit": memory, "swap": memory}
    cpu: dict[str, Any] = {"quota": cpus * PERIOD_US, "period": PERIOD_US} if cpus else {}
    if cpuset:
        cpu["cpus"] = cpuset
    if cpu:
        found["cpu"] = cpu
    return found


def cpuset(spec: MachineSpec) -> str:
    """Return the host's processors that a machine may use, or ``""`` for all.

    A container has no processors of its own that could be bound one by one: all may run on all of these.
    """
    wanted = {number for text in spec.cpus.pinning.values() for number in numbers(text)}
    return ",".join(map(str, sorted(wanted)))


def numbers(text: str) -> list[int]:
    """Return the processors in the kernel's notation: ``0-2,5``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def ulimits(spec: MachineSpec, process: EngineProcess | None) -> list[dict[str, Any]]:
    """Return the limits on a machine's processes, with defaults that the engine may give."""
    wanted: dict[str, tuple[int, int]] = {}
    for name, most in _ALWAYS.items():
        hard = None if process is None else process.ceiling(name)
        value = most if hard is None else min(most, hard)
        wanted[name] = (value, value)
    given = spec.process.ulimits if spec.process is not None else {}
    wanted |= {name: (limit.soft, limit.hard) for name, limit in given.items()}
    return [{"type": name, "soft": soft, "hard": hard} for name, (soft, hard) in sorted(wanted.items())]


def above_ceiling(given: Mapping[str, Any], process: EngineProcess | None) -> dict[str, int]:
    """Return the limits that the engine isn't allowed to give, each with the most that it is."""
    found: dict[str, int] = {}
    for name, limit in given.items():
        hard = None if process is None else process.ceiling(name)
        if hard is not None and (limit.hard == -1 or limit.hard > hard):
            found[name] = hard
    return found
