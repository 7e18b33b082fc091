"""What a simulated host says of itself and of its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.spec.frozen import FrozenDict
from vhal.spec.host import GpuInfo, HostCpus, HostInfo, NumaNode, Resources
from vhal.spec.machine import MachineInfo
from vhal.spec.units import Bytes

if TYPE_CHECKING:
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine

VERSION = "0.1.0"


def machine_info(machine: SimMachine) -> MachineInfo:
    """Return a machine as it is, now. Precondition: the world's lock is held."""
    spec, memory = machine.spec, machine.memory
    return MachineInfo.holding(
        {
            "id": machine.id,
            "name": machine.name,
            "kind": spec.kind,
            "state": machine.state,
            "cpus": machine.cpus,
            "memory": memory if type(memory) is Bytes else Bytes(memory),
            "labels": spec.labels,
            "managed": True,
            "epoch": machine.epoch,
            "spec": spec if spec.init is None else spec.without_secrets(),
        }
    )


def host_info(host: SimHost) -> HostInfo:
    """Return what a host is and how full it is, now. Precondition: the world's lock is held."""
    model = host.model
    each, rest = divmod(model.cpus, model.numa)
    nodes, first = [], 0
    for number in range(model.numa):
        count = each + (number < rest)
        nodes.append(
            NumaNode(id=number, cpus=tuple(range(first, first + count)), memory=Bytes(model.memory // model.numa))
        )
        first += count
    return HostInfo(
        name=model.name,
        uuid=host.uuid,
        backend="mock",
        cpus=HostCpus(count=model.cpus, cores=model.cpus, model=model.cpu_model, features=model.cpu_features),
        memory=Bytes(model.memory),
        numa=tuple(nodes),
        gpus=tuple(
            GpuInfo(id=f"{model.name}-gpu{number}", vendor="nvidia", model=gpu.model, memory=Bytes(gpu.memory))
            for number, gpu in enumerate(model.gpus)
        ),
        versions=FrozenDict({"mock": VERSION, **model.versions}),
        capacity=Resources(cpus=host.cpu_limit, memory=Bytes(host.memory_limit)),
        allocated=Resources(cpus=host.used_cpus, memory=Bytes(host.used_memory)),
        free=Resources(
            cpus=max(0, host.cpu_limit - host.used_cpus), memory=Bytes(max(0, host.memory_limit - host.used_memory))
        ),
    )
