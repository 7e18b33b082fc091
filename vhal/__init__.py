"""One typed interface to virtual machines and containers, any engine behind it.

Begin with :func:`connect`; several hosts are a :class:`Fleet`. What a machine shall be is a :class:`MachineSpec`;
whatever takes long can be an :class:`Operation` (:func:`begin`). The other nouns are in :mod:`vhal.spec`, the errors in
:mod:`vhal.errors`, the contract for backends in :mod:`vhal.driver`, the asynchronous face in :mod:`vhal.aio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.driver.answer import Answer, Blocker
    from vhal.driver.context import Progress
    from vhal.driver.event import Event, EventKind
    from vhal.driver.migration import MigrationPolicy, MigrationResult
    from vhal.errors import VhalError
    from vhal.fleet.fleet import Fleet
    from vhal.host import Host, connect
    from vhal.machine import Machine
    from vhal.operation import Operation, begin
    from vhal.spec.devices import Disk, Gpu, Nic, Serial
    from vhal.spec.hardware import BootDisk, BootImage, BootKernel
    from vhal.spec.load import load_spec
    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal.spec.state import MachineState
    from vhal.spec.units import Bytes

__version__ = "0.1.0"

_HOMES = {
    "driver.answer": ["Answer", "Blocker"],
    "driver.context": ["Progress"],
    "driver.event": ["Event", "EventKind"],
    "driver.migration": ["MigrationPolicy", "MigrationResult"],
    "errors": ["VhalError"],
    "fleet.fleet": ["Fleet"],
    "host": ["Host", "connect"],
    "machine": ["Machine"],
    "operation": ["Operation", "begin"],
    "spec.devices": ["Disk", "Gpu", "Nic", "Serial"],
    "spec.hardware": ["BootDisk", "BootImage", "BootKernel"],
    "spec.load": ["load_spec"],
    "spec.machine": ["MachineInfo", "MachineSpec"],
    "spec.state": ["MachineState"],
    "spec.units": ["Bytes"],
}

__all__ = [
    "Answer",
    "Blocker",
    "BootDisk",
    "BootImage",
    "BootKernel",
    "Bytes",
    "Disk",
    "Event",
    "EventKind",
    "Fleet",
    "Gpu",
    "Host",
    "Machine",
    "MachineInfo",
    "MachineSpec",
    "MachineState",
    "MigrationPolicy",
    "MigrationResult",
    "Nic",
    "Operation",
    "Progress",
    "Serial",
    "VhalError",
    "begin",
    "connect",
    "load_spec",
]

__getattr__ = attach(__name__, {name: f"vhal.{home}" for home, names in _HOMES.items() for name in names})
