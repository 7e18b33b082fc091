"""What a spec can say to the simulator: ``options = {mock = {dirty_rate = "64MiB"}}``."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.spec import Bytes, Model
from vhal_mock.workload import SHORTEST_S, Constant

if TYPE_CHECKING:
    from vhal_mock.workload import Workload
    from vhal_mock.world import World

Seconds = Annotated[float, Field(ge=0, le=86400)]
Long = Annotated[float, Field(gt=0, le=31_536_000)]
Cycle = Annotated[float, Field(ge=SHORTEST_S, le=31_536_000)]
Level = Annotated[float, Field(ge=0, le=1)]


class PeriodicWorkload(Model):
    """Up and down again: a day and a night."""

    profile: Literal["periodic"]
    low: Level = 0.05
    high: Level = 0.8
    period_s: Cycle = 86400.0
    phase_s: Annotated[float, Field(ge=0, le=31_536_000)] = 0.0
    """How far into a period the world's beginning is."""


class BurstWorkload(Model):
    """Quiet, with a burst now and then."""

    profile: Literal["burst"]
    low: Level = 0.05
    high: Level = 1.0
    every_s: Cycle = 3600.0
    length_s: Long = 300.0
    jitter: Level = 0.0
    """How far a burst may be from the beginning of its time: 1 anywhere in it, by the world's seed."""

    @model_validator(mode="after")
    def _fits(self) -> BurstWorkload:
        if self.length_s > self.every_s:
            raise PydanticCustomError("workload", "a burst is no longer than the time between two")
        return self


class TraceWorkload(Model):
    """What was measured somewhere, from a CSV file: :mod:`vhal_mock.trace` says what is in it."""

    profile: Literal["trace"]
    file: Annotated[str, Field(min_length=1, max_length=4096)]
    """Where it is on this machine; beside the file that the world was made from, if it isn't absolute."""
    column: Annotated[str, Field(min_length=1, max_length=128)] = "cpu"
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What a value is multiplied with: 0.01 for percent."""


class ConstantWorkload(Model):
    """Always the same."""

    profile: Literal["constant"]
    level: Level = 0.1


AnyWorkload = Annotated[
    ConstantWorkload | PeriodicWorkload | BurstWorkload | TraceWorkload, Field(discriminator="profile")
]


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
    pattern: Literal["sweep", "random"] = "sweep"
    """How it goes over its working set: page after page, or anywhere."""
    touched: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of its memory that isn't empty: empty pages need not be sent."""
    used: Annotated[float, Field(gt=0, le=1)] | None = None
    """Fraction of its memory that it uses of its host's; None for its working set."""
    load: Level = 0.1
    """Fraction of its processors that it keeps busy."""
    read: Bytes = Bytes(0)
    """Bytes a second that it reads from its disks, as the three that follow."""
    write: Bytes = Bytes(0)
    receive: Bytes = Bytes(0)
    send: Bytes = Bytes(0)
    workload: AnyWorkload | None = None
    """How busy it is over time, instead of ``load``. What it writes, reads, sends and receives goes with it: the rates
    are those of a level of 1."""
    migratable: bool = True
    """Whether it may move; False stands for a device that can't."""

    @cached_property
    def moves_data(self) -> bool:
        """Whether it has any disk or network traffic."""
        return bool(self.read or self.write or self.receive or self.send)

    @cached_property
    def steady(self) -> Workload | None:
        """How busy the guest is if that is always the same; machines share it."""
        if self.workload is None or isinstance(self.workload, ConstantWorkload):
            return Constant(self.load if self.workload is None else self.workload.level)
        return None

    def make_workload(self, seed: str, world: World) -> Workload:
        """Return how busy the guest is.

        Args:
            seed: Of what is random in it.
            world: The one that it is in, which keeps the traces that were read.

        Raises:
            vhal.errors.NotFound: There is no such trace.
            vhal.errors.InvalidSpec: It isn't as it should be.
        """
        from vhal_mock import workload

        wanted = self.workload
        if isinstance(wanted, PeriodicWorkload):
            return workload.Periodic(wanted.low, wanted.high, wanted.period_s, wanted.phase_s)
        if isinstance(wanted, BurstWorkload):
            return workload.Burst(wanted.low, wanted.high, wanted.every_s, wanted.length_s, wanted.jitter, seed)
        if isinstance(wanted, TraceWorkload):
            return world.traces.read(wanted.file, wanted.column, wanted.scale)
        assert self.steady is not None  # noqa: S101 - what else there is
        return self.steady


DEFAULTS = MockOptions()
"""What a spec that says nothing means."""
