"""A host as vhal describes it: what it is, and how full it is now."""

from __future__ import annotations

from collections.abc import Iterable

from vhal.spec import Bytes, FrozenDict, HostCpus, HostInfo, MachineInfo, Resources
from vhal_containers import gpu
from vhal_containers.engine import Engine
from vhal_containers.engine_process import EngineProcess


def describe(engine: Engine, machines: Iterable[MachineInfo]) -> HostInfo:
    """Return the host's description. Active machines count with all they may use, not with what they use."""
    facts = engine.facts()
    info = facts.info
    active = [machine for machine in machines if machine.state.active]
    allocated = Resources(
        cpus=sum(machine.cpus for machine in active), memory=Bytes(sum(machine.memory for machine in active))
    )
    process = EngineProcess.behind(engine.address)
    return HostInfo(
        name=facts.name,
        uuid=engine.host_id,
        backend="containers",
        cpus=HostCpus(count=info.cpus, cores=info.cpus, arch=facts.architecture),
        memory=Bytes(info.memory),
        gpus=() if process is None else gpu.read(process).gpus,
        versions=FrozenDict(facts.versions),
        capacity=Resources(cpus=info.cpus, memory=Bytes(info.memory)),
        allocated=allocated,
        free=Resources(cpus=max(0, info.cpus - allocated.cpus), memory=Bytes(max(0, info.memory - allocated.memory))),
    )
