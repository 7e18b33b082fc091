"""What somebody sees of a machine past its backend: with the engine's own tools, or in ``/proc``.

Who looks is the harness's ``witness``; what the suite does with it is in :mod:`vhal.testing.conformance.witnessed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from vhal.spec.state import MachineState


@dataclass(frozen=True, slots=True)
class Sighting:
    """A machine as it is seen on one host. None stands for what the witness can't see."""

    host: str
    """Which of the harness's hosts, by whatever name the witness gives it."""
    state: MachineState | None = None
    cpus: int | None = None
    memory: int | None = None
    """Bytes."""
    processes: int | None = None
    """How many processes of the host's run the machine: one if it is active, none if it isn't."""
