"""The contract between the core and a backend.

A plugin imports from here, from :mod:`vhal.spec` and from :mod:`vhal.errors`, and from nowhere else in vhal. Start
with :class:`Driver`; ``plugins/mock`` is a complete example. What users hold is in :mod:`vhal.host`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.driver.answer import YES, Answer, Blocker, Level
    from vhal.driver.backend import Backend, Finding, hookimpl
    from vhal.driver.capability import (
        CAPABILITIES,
        CONSOLE,
        CREATE,
        EVENTS,
        EXEC,
        FILES,
        METRICS,
        MIGRATION,
        PAUSE,
        POWER,
        READINESS,
        REBOOT,
        RESIZE,
        SAVE,
        SNAPSHOTS,
        Capability,
        Consoles,
        ConsoleStream,
        Events,
        Exec,
        Files,
        Metrics,
        Migration,
        Pause,
        ProcessStream,
        Readiness,
        Reboot,
        Resize,
        Save,
        Snapshots,
    )
    from vhal.driver.context import Context, Progress
    from vhal.driver.driver import Driver, StopMode
    from vhal.driver.event import Event, EventKind
    from vhal.driver.fault import Fault, FaultKind
    from vhal.driver.fault_plan import FaultPlan
    from vhal.driver.migration import MigrationPolicy, MigrationResult, Offer, Ticket, Transfer
    from vhal.driver.placement import Candidate, PlacementFilter, PlacementScore
    from vhal.driver.url import HostUrl, Transport
    from vhal.driver.version import SPI

_HOMES = {
    "answer": ["YES", "Answer", "Blocker", "Level"],
    "backend": ["Backend", "Finding", "hookimpl"],
    "capability": [
        "CAPABILITIES",
        "CONSOLE",
        "CREATE",
        "EVENTS",
        "EXEC",
        "FILES",
        "METRICS",
        "MIGRATION",
        "PAUSE",
        "POWER",
        "READINESS",
        "REBOOT",
        "RESIZE",
        "SAVE",
        "SNAPSHOTS",
        "Capability",
        "ConsoleStream",
        "Consoles",
        "Events",
        "Exec",
        "Files",
        "Metrics",
        "Migration",
        "Pause",
        "ProcessStream",
        "Readiness",
        "Reboot",
        "Resize",
        "Save",
        "Snapshots",
    ],
    "context": ["Context", "Progress"],
    "driver": ["Driver", "StopMode"],
    "event": ["Event", "EventKind"],
    "fault": ["Fault", "FaultKind"],
    "fault_plan": ["FaultPlan"],
    "migration": ["MigrationPolicy", "MigrationResult", "Offer", "Ticket", "Transfer"],
    "placement": ["Candidate", "PlacementFilter", "PlacementScore"],
    "url": ["HostUrl", "Transport"],
    "version": ["SPI"],
}

__all__ = [
    "CAPABILITIES",
    "CONSOLE",
    "CREATE",
    "EVENTS",
    "EXEC",
    "FILES",
    "METRICS",
    "MIGRATION",
    "PAUSE",
    "POWER",
    "READINESS",
    "REBOOT",
    "RESIZE",
    "SAVE",
    "SNAPSHOTS",
    "SPI",
    "YES",
    "Answer",
    "Backend",
    "Blocker",
    "Candidate",
    "Capability",
    "ConsoleStream",
    "Consoles",
    "Context",
    "Driver",
    "Event",
    "EventKind",
    "Events",
    "Exec",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "Files",
    "Finding",
    "HostUrl",
    "Level",
    "Metrics",
    "Migration",
    "MigrationPolicy",
    "MigrationResult",
    "Offer",
    "Pause",
    "PlacementFilter",
    "PlacementScore",
    "ProcessStream",
    "Progress",
    "Readiness",
    "Reboot",
    "Resize",
    "Save",
    "Snapshots",
    "StopMode",
    "Ticket",
    "Transfer",
    "Transport",
    "hookimpl",
]

__getattr__ = attach(__name__, {name: f"vhal.driver.{home}" for home, names in _HOMES.items() for name in names})
