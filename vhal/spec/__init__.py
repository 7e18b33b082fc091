"""The nouns of virtual hardware: frozen models with units in their types, and no I/O but reading a spec file.

It is not an engine's schema: nothing here knows libvirt or podman. Read :mod:`vhal.spec.machine` first; the contract
that works with these nouns is :mod:`vhal.driver`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.spec.devices import AnyDevice, Device, Disk, Gpu, Nic, Serial
    from vhal.spec.frozen import FrozenDict
    from vhal.spec.hardware import (
        BootArchive,
        BootDisk,
        BootImage,
        BootKernel,
        BootRootfs,
        Cpus,
        Firmware,
        Memory,
        Topology,
    )
    from vhal.spec.host import GpuInfo, HostCpus, HostInfo, NumaNode, Resources
    from vhal.spec.init import Init
    from vhal.spec.load import load_spec, parse_spec
    from vhal.spec.machine import MachineInfo, MachineKind, MachineSpec, machine_json_schema
    from vhal.spec.model import Model
    from vhal.spec.process import Health, Mount, Process, Ulimit
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.state import MachineState
    from vhal.spec.units import Bytes, HostPath, Name
    from vhal.spec.usage import Rates, Usage, rates

__all__ = [
    "AnyDevice",
    "BootArchive",
    "BootDisk",
    "BootImage",
    "BootKernel",
    "BootRootfs",
    "Bytes",
    "Cpus",
    "Device",
    "Disk",
    "Firmware",
    "FrozenDict",
    "Gpu",
    "GpuInfo",
    "Health",
    "HostCpus",
    "HostInfo",
    "HostPath",
    "Init",
    "MachineInfo",
    "MachineKind",
    "MachineSpec",
    "MachineState",
    "Memory",
    "Model",
    "Mount",
    "Name",
    "Nic",
    "NumaNode",
    "Process",
    "Rates",
    "Resources",
    "Serial",
    "SnapshotInfo",
    "Topology",
    "Ulimit",
    "Usage",
    "load_spec",
    "machine_json_schema",
    "parse_spec",
    "rates",
]

_HOMES = {
    "devices": ["AnyDevice", "Device", "Disk", "Gpu", "Nic", "Serial"],
    "frozen": ["FrozenDict"],
    "hardware": [
        "BootArchive",
        "BootDisk",
        "BootImage",
        "BootKernel",
        "BootRootfs",
        "Cpus",
        "Firmware",
        "Memory",
        "Topology",
    ],
    "host": ["GpuInfo", "HostCpus", "HostInfo", "NumaNode", "Resources"],
    "init": ["Init"],
    "load": ["load_spec", "parse_spec"],
    "machine": ["MachineInfo", "MachineKind", "MachineSpec", "machine_json_schema"],
    "model": ["Model"],
    "process": ["Health", "Mount", "Process", "Ulimit"],
    "snapshot": ["SnapshotInfo"],
    "state": ["MachineState"],
    "units": ["Bytes", "HostPath", "Name"],
    "usage": ["Rates", "Usage", "rates"],
}

__getattr__ = attach(__name__, {name: f"vhal.spec.{home}" for home, names in _HOMES.items() for name in names})
