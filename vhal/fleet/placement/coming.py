"""A machine that isn't there yet, as it will be seen on the host that it is made on."""

from __future__ import annotations

from collections import Counter

from vhal.fleet.snapshot import SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineSpec
from vhal.spec.state import MachineState


def coming(spec: MachineSpec, host: str) -> SeenMachine:
    """Return what ``host`` will hold when the machine was made there."""
    return SeenMachine.trusted(
        id=f"coming:{host}/{spec.name}",
        name=spec.name,
        host=host,
        kind=spec.kind,
        state=MachineState.STOPPED,
        cpus=spec.cpus.count,
        memory=spec.memory.size,
        gpus=FrozenDict(whole_gpus(spec)),
        labels=FrozenDict(spec.labels),
    )


def whole_gpus(spec: MachineSpec) -> dict[str, int]:
    """Return how many whole GPUs of each model a spec asks for; ``""`` is any model.

    What asks for a part of one is left out: how many parts there are, only the engine knows.
    """
    return Counter(gpu.model or "" for gpu in spec.gpus if gpu.profile is None and gpu.share is None)
