"""How a change comes about in a world, as people know it from moto: at once, in its time, or after so many looks.

Without a progression a change takes its time, which is virtual. ``immediate`` is for tests that want no time to pass,
``looks`` for those of code that polls: it sees the state in between exactly so often.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.spec import Model

Change = Literal["boot", "stop"]
"""What can come about in a way of its own."""


class Progression(Model):
    """How one kind of change comes about."""

    by: Literal["immediate", "time", "looks"] = "time"
    """At once, in its time, or when it was looked at often enough."""
    seconds: Annotated[float, Field(ge=0, le=31_536_000)] | None = None
    """By time: how long it takes; None for what the machine's options say."""
    looks: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """By looks: how often somebody must look until it has come about."""

    @model_validator(mode="after")
    def _fits(self) -> Progression:
        if (self.by == "looks") is (self.looks is None):
            raise PydanticCustomError("progression", "'looks' goes with by = 'looks', and is needed there")
        if self.seconds is not None and self.by != "time":
            raise PydanticCustomError("progression", "'seconds' goes with by = 'time'")
        return self

    def duration(self, otherwise_s: float) -> float:
        """Return how long the change takes that takes ``otherwise_s`` without a progression."""
        if self.by != "time":
            return 0.0
        return otherwise_s if self.seconds is None else self.seconds


AS_IT_IS = Progression()
"""In its time."""
