"""What happened to a machine.

An event is sent after what it tells can be seen, and a machine's events come in their order. Across machines there
is no order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What can happen."""

    CREATED = "created"
    STARTED = "started"
    STOPPED = "stopped"
    REBOOTED = "rebooted"
    PAUSED = "paused"
    RESUMED = "resumed"
    SAVED = "saved"
    RESTORED = "restored"
    CRASHED = "crashed"
    DELETED = "deleted"
    CHANGED = "changed"
    """Its definition or labels."""
    MIGRATED_IN = "migrated-in"
    MIGRATED_OUT = "migrated-out"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one machine."""

    kind: EventKind
    machine_id: str
    machine: str
    """The machine's name."""
    host: str
    """The host's name."""
    time: float = field(default_factory=time.time)
    """Seconds since the epoch, by the clock of whoever noticed; a simulated host gives its own time."""
    detail: str = ""
    """The engine's reason, if it gave one."""

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "kind": str(self.kind),
            "machine": self.machine,
            "machine_id": self.machine_id,
            "host": self.host,
            "time": self.time,
            "detail": self.detail,
        }
