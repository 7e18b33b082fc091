"""One move of a real guest, as it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.physics.cells import Cell

GIVE_UP_S = 20.0
"""When a move that isn't expected to end is called off."""
MOST_S = 120.0


@dataclass(frozen=True)
class Run:
    """One move, as it was."""

    cell: Cell
    load: float
    """Of this machine, the average of the minute before."""
    dirty_rate: float
    """Bytes a second that the guest wrote before the move."""
    dirty_rate_during: float
    """The same while it moved, its downtime and throttling counted."""
    dirty_rate_engine: float
    """The highest that QEMU reported while it moved; it looks at most once a second."""
    complete: bool
    total_s: float
    setup_s: float
    downtime_s: float
    sent: int
    iterations: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> Run:
        """Read it from JSON."""
        return cls(**{**document, "cell": Cell.of(document["cell"])})

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)
