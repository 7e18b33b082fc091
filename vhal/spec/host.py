"""A host: what it has, what of that is given away, and what is left."""

from __future__ import annotations

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model
from vhal.spec.units import Bytes

__all__ = ["GpuInfo", "HostCpus", "HostInfo", "NumaNode", "Resources"]


class Resources(Model):
    """An amount of what machines take from a host."""

    cpus: int = 0
    """Processors; allocated ones may be more than there are, where the engine overcommits."""
    memory: Bytes = Bytes(0)


class HostCpus(Model):
    """The processors of a host."""

    count: int
    """Logical processors."""
    sockets: int = 1
    cores: int = 1
    """Cores of one socket."""
    threads: int = 1
    """Threads of one core."""
    arch: str = "x86_64"
    model: str | None = None
    features: frozenset[str] = frozenset()


class NumaNode(Model):
    """Memory and the processors next to it."""

    id: int
    cpus: tuple[int, ...] = ()
    memory: Bytes = Bytes(0)


class GpuInfo(Model):
    """A GPU of a host."""

    id: str
    vendor: str
    model: str
    memory: Bytes = Bytes(0)
    address: str | None = None
    """PCI address."""


class HostInfo(Model):
    """What a host is, at the moment its engine was asked."""

    name: str
    uuid: str
    """Unique among hosts; two connections with one uuid are one host."""
    backend: str
    cpus: HostCpus
    memory: Bytes
    numa: tuple[NumaNode, ...] = ()
    gpus: tuple[GpuInfo, ...] = ()
    versions: FrozenDict[str, str] = FrozenDict()
    """Component → version: the engine's, the hypervisor's, the library's."""
    capacity: Resources
    """All there is for machines."""
    allocated: Resources
    """What active machines were promised."""
    free: Resources
    """What a new machine can have: capacity less what is allocated, never negative."""
