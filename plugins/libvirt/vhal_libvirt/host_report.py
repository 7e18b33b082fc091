"""A host as vhal describes it: what it is, and how full it is now."""

from __future__ import annotations

from collections.abc import Iterable

import libvirt

from vhal.spec import Bytes, FrozenDict, HostInfo, MachineInfo, Resources
from vhal_libvirt.host_facts import HostFacts


def describe(conn: libvirt.virConnect, name: str, facts: HostFacts, machines: Iterable[MachineInfo]) -> HostInfo:
    """Return the host's description. Active machines count with all they may use, not with what they use."""
    active = [machine for machine in machines if machine.state.active]
    allocated = Resources(
        cpus=sum(machine.cpus for machine in active),
        memory=Bytes(sum(machine.memory for machine in active)),
    )
    return HostInfo(
        name=name,
        uuid=facts.uuid,
        backend="libvirt",
        cpus=facts.cpus,
        memory=facts.memory,
        numa=facts.numa,
        versions=FrozenDict(
            {
                "libvirt": version(conn.getLibVersion()),
                conn.getType().lower(): version(conn.getVersion()),
                "client": version(libvirt.getVersion()),
            }
        ),
        capacity=Resources(cpus=facts.cpus.count, memory=facts.memory),
        allocated=allocated,
        free=Resources(
            cpus=max(0, facts.cpus.count - allocated.cpus),
            memory=Bytes(max(0, facts.memory - allocated.memory)),
        ),
    )


def version(number: int) -> str:
    """Return a version as libvirt counts it (9000000) as people write it (9.0.0)."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
