"""What a simulated host is made of: plain values, which cost nothing to import.

What people write in files is :mod:`vhal_mock.spec`, which checks it and makes these of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A GPU that a host has."""

    model: str = "H100-80GB"
    scheme: str = "passthrough"
    """How it is given away: ``passthrough`` (whole), ``mig`` (partitions of :mod:`vhal_mock.gpu`), ``vgpu`` (the same,
    to virtual machines that can move while they run) or ``share`` (fractions of its time)."""
    memory: int = 80 * GIB


@dataclass(frozen=True, slots=True)
class HostModel:
    """What a host is made of."""

    name: str
    cpus: int = 16
    memory: int = 64 * GIB
    """Bytes for machines."""
    cpu_overcommit: float = 4.0
    """Virtual processors that may be active for each one there is."""
    bandwidth: int = 1_250_000_000
    """Bytes a second to other hosts: 10 Gbit/s."""
    memory_overcommit: float = 1.0
    """Bytes of memory that may be promised for each one there is. What is used can't be more than there is: then the
    machine that uses most is ended, as by a kernel that is out of memory."""
    latency_s: float = 0.0001
    """From the host to the next switch."""
    disk: int = 2048 * GIB
    """Bytes for the machines' disks."""
    disk_overcommit: float = 1.0
    disk_bandwidth: int = 1 << 30
    """Bytes a second of its disks, reading and writing together."""
    numa: int = 1
    """Nodes that its processors and memory are spread over."""
    cpu_model: str = "mock"
    cpu_features: frozenset[str] = frozenset()
    gpus: tuple[GpuModel, ...] = ()
    domains: Mapping[str, str] = field(default_factory=dict)
    """Failure domains it is in: ``rack`` → ``r1``. What fails together can be made to."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Component → version: ``qemu`` → ``7.2.0``."""
    quirks: frozenset[str] = frozenset()
    """What its engine gets wrong: see :mod:`vhal_mock.quirks`."""


@dataclass(frozen=True, slots=True)
class LinkModel:
    """A link that a group of hosts shares."""

    name: str
    hosts: tuple[str, ...]
    bandwidth: int
    latency_s: float = 0.0
