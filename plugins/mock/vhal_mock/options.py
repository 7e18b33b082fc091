"""What a spec can say to the simulator: ``options = {mock = {dirty_rate = "64MiB"}}``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vhal.spec import Bytes, Model

Seconds = Annotated[float, Field(ge=0, le=86400)]


class MockOptions(Model):
    """How a simulated guest behaves."""

    boot_s: Seconds = 5.0
    """Virtual seconds from start to ready."""
    stop_s: Seconds | None = 2.0
    """Virtual seconds that the guest takes to stop when asked; None for a guest that doesn't listen."""
    dirty_rate: Bytes = Bytes("16MiB")
    """Bytes a virtual second that it writes to memory."""
    working_set: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Fraction of its memory that it writes to."""
    load: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Fraction of its processors that it keeps busy."""
    migratable: bool = True
    """Whether it may move; False stands for a device that can't."""


DEFAULTS = MockOptions()
"""What a spec that says nothing means."""
