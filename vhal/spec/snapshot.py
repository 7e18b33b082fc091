"""A machine as it was at a moment, kept on its host."""

from __future__ import annotations

from vhal.spec.model import Model


class SnapshotInfo(Model):
    """One snapshot of one machine."""

    name: str
    memory: bool
    """Whether it holds the memory too, so that going back to it lets the machine run from there."""
    created: float
    """Seconds since the epoch, by the host's clock."""
