"""What can happen in a scenario: to machines, by the users' API; to hosts, by the world.

Each action is a model, so that a field which doesn't go with it is an error. What they do is in
:mod:`vhal_mock.scenario.action`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.driver.migration import MigrationPolicy
from vhal.spec import Bytes, MachineSpec, Model, Name
from vhal.spec.frozen import FrozenDict
from vhal_mock.spec import Word

LONGEST_S = 31_536_000.0
"""A year."""

Moment = Annotated[float, Field(ge=0, le=LONGEST_S)]
Span = Annotated[float, Field(gt=0, le=LONGEST_S)]


class Event(Model):
    """The base of all: when it is."""

    time_s: Moment = 0.0
    """Virtual seconds after the beginning. Of several at one moment the first in the file is first."""


class Create(Event):
    """Make a machine."""

    action: Literal["create"]
    host: Name
    spec: MachineSpec
    start: bool = False
    """Whether to start it, too."""


class MachineEvent(Event):
    """What is done to one machine, wherever it is then."""

    machine: Name


class Power(MachineEvent):
    """Do to a machine what needs no more words: as the method of that name does."""

    action: Literal["start", "pause", "resume", "reboot", "save", "restore"]


class Stop(MachineEvent):
    """Stop a machine."""

    action: Literal["stop"]
    force: bool = False
    """Take its power away, instead of asking its guest."""
    timeout_s: Span = 60.0
    """How long its guest may take."""


class Delete(MachineEvent):
    """Delete a machine."""

    action: Literal["delete"]
    force: bool = False
    """Stop it first."""


class Resize(MachineEvent):
    """Give a machine other sizes."""

    action: Literal["resize"]
    cpus: Annotated[int, Field(ge=1, le=4096)] | None = None
    memory: Bytes | None = None

    @model_validator(mode="after")
    def _wants_something(self) -> Resize:
        if self.cpus is None and self.memory is None:
            raise PydanticCustomError("resize", "give it 'cpus', 'memory' or both")
        return self


class Migrate(Event):
    """Move a machine, or all that are active on a host, at one moment."""

    action: Literal["migrate"]
    machine: Name | None = None
    host: Name | None = None
    """Instead of a machine: move all that are active there then."""
    to: Name
    policy: MigrationPolicy = MigrationPolicy()
    timeout_s: Span | None = None
    """Until then it must have been decided; else it is undone."""

    @model_validator(mode="after")
    def _has_one_subject(self) -> Migrate:
        if (self.machine is None) is (self.host is None):
            raise PydanticCustomError("migrate", "give it a 'machine', or a 'host' to move all from")
        return self


class Abort(MachineEvent):
    """Abort the migration of a machine that is under way."""

    action: Literal["abort"]


class MachineCrash(MachineEvent):
    """Let a machine crash."""

    action: Literal["machine-crash"]


class HostEvent(Event):
    """What befalls a host, or all that are in some failure domains."""

    host: Name | None = None
    domain: FrozenDict[Word, Word] = FrozenDict()

    @model_validator(mode="after")
    def _has_one_subject(self) -> HostEvent:
        if (self.host is None) is (not self.domain):
            raise PydanticCustomError("host", "give it a 'host' or a 'domain'")
        return self


class Trouble(HostEvent):
    """Let a host lose its power, be cut off, not answer, or have no room on its disk."""

    action: Literal["host-crash", "partition", "hang", "disk-full"]
    seconds: Span | None = None
    """How long it lasts; none for until it is recovered."""


class SlowLink(HostEvent):
    """Let the links of a host carry less."""

    action: Literal["slow-link"]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What they still carry."""
    seconds: Span | None = None


class Recover(HostEvent):
    """End all troubles of a host."""

    action: Literal["recover"]


AnyEvent = Annotated[
    Create | Power | Stop | Delete | Resize | Migrate | Abort | MachineCrash | Trouble | SlowLink | Recover,
    Field(discriminator="action"),
]
