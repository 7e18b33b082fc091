"""What can go wrong with the test bed itself."""

from __future__ import annotations

__all__ = ["DeadlineError", "LabError"]


class LabError(Exception):
    """The test bed cannot do its work; the message says why and, where known, what to do."""


class DeadlineError(LabError, TimeoutError):
    """A condition did not come true in time."""
