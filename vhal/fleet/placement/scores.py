"""How good a host is for a machine: the built-in scores of placement, by policy.

Each is a pure function of one host, from 0 to 1. The numbers are ours; what they shall bring about is what the tests
say: the emptiest host, the fullest that still has room, or the one with the fewest machines of the same kind.
"""

from __future__ import annotations

from typing import Literal, get_args

from vhal.driver.placement import Candidate, PlacementScore
from vhal.errors import InvalidSpec
from vhal.spec.machine import MachineSpec

Policy = Literal["balance", "pack", "spread"]
"""``balance``: the emptiest and least busy host. ``pack``: the fullest, so that others stay free. ``spread``: the one
with the fewest machines that have a label in common with this one, then the fewest machines."""


def _share(host: Candidate, spec: MachineSpec) -> float:
    """Return how much of a host would be given away: of what there is less of."""
    cpus = (host.held_cpus + spec.cpus.count) / max(1.0, host.cpus)
    memory = (host.held_memory + spec.memory.size) / max(1, host.memory)
    return min(1.0, max(cpus, memory))


def _empty(host: Candidate, spec: MachineSpec) -> float:
    return 1 - _share(host, spec)


def _idle(host: Candidate, spec: MachineSpec) -> float:
    """Rate how little of a host's processors is busy; where that isn't known, how little is given away."""
    if host.busy_cpus is None:
        return _empty(host, spec)
    return max(0.0, 1 - host.busy_cpus / max(1, host.processors))


def _alike(host: Candidate, spec: MachineSpec) -> float:
    wanted = spec.labels.items()
    return 1 / (1 + sum(any(words.get(key) == value for key, value in wanted) for words in host.machines))


def _few(host: Candidate, spec: MachineSpec) -> float:
    return 1 / (1 + len(host.machines))


def _gpus(host: Candidate, spec: MachineSpec) -> float:
    """Rate how few GPUs would be left: those who want several at once shall find them on one host."""
    whole = sum(gpu.profile is None and gpu.share is None for gpu in spec.gpus)
    return 1 / (1 + sum(host.gpus.values()) - min(whole, sum(host.gpus.values())))


_GPUS = PlacementScore("gpus", _gpus, 0.5)

_POLICIES: dict[Policy, tuple[PlacementScore, ...]] = {
    "balance": (PlacementScore("empty", _empty, 0.5), PlacementScore("idle", _idle, 0.5), _GPUS),
    "pack": (PlacementScore("full", _share, 1.0), _GPUS),
    "spread": (PlacementScore("alike", _alike, 0.8), PlacementScore("few", _few, 0.2), _GPUS),
}


def built_in(policy: Policy) -> tuple[PlacementScore, ...]:
    """Return the scores of a policy.

    Raises:
        vhal.errors.InvalidSpec: There is no such policy.
    """
    found = _POLICIES.get(policy)
    if found is None:
        raise InvalidSpec(
            f"there is no policy {policy!r}",
            problems=[("policy", "there is no such policy")],
            hint=f"use one of {', '.join(get_args(Policy))}",
        )
    return found
