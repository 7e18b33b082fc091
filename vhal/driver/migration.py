"""The nouns of a migration: how it shall go, what is offered, what holds the place, what came of it.

Offers and tickets are plain data: they survive a JSON round trip, so that a journal can keep them and another process
can go on. What only the backend understands is in their ``payload``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineInfo
from vhal.spec.model import Model, O, backend_options
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes


class MigrationPolicy(Model):
    """How a machine shall move. The defaults suit a guest of ordinary size on a network of ordinary speed."""

    advice = "correct what is named; docs/how-to/live-migration.md has every setting"

    live: bool = True
    """Move a running machine while it runs. Without it: stop, move, start."""
    route: Literal["auto", "peer-to-peer", "managed"] = "auto"
    """Who drives the transfer: the source's engine, or this process. Auto takes the first that works."""
    bandwidth: Bytes | None = None
    """At most this many bytes a second."""
    max_downtime_s: Annotated[float, Field(gt=0, le=2000)] | None = None
    """How long the machine may stand still at the end of a pre-copy; None for the engine's default."""
    auto_converge: bool = False
    """Slow the guest down if it writes faster than its memory can be sent."""
    post_copy: bool = False
    """Switch after the first pass and fetch the rest on demand: always ends, but a failure after the switch loses the
    machine. See the explanation of migration before using it."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Connections that carry memory."""
    allow_unsafe: bool = False
    """Go on although a disk's cache mode or place, or the engine's age, could corrupt the machine. Only when you know
    better than vhal."""
    allow_plaintext: bool = False
    """Send memory over a network unencrypted. Without it, what leaves this machine goes through TLS."""
    options: FrozenDict[str, dict[str, Any]] = FrozenDict()
    """Backend → settings that only it understands, validated by its own model."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            live: bool = ...,
            route: str = ...,
            bandwidth: Bytes | int | str | None = ...,
            max_downtime_s: float | None = ...,
            auto_converge: bool = ...,
            post_copy: bool = ...,
            parallel: int = ...,
            allow_unsafe: bool = ...,
            allow_plaintext: bool = ...,
            options: Mapping[str, Mapping[str, Any]] = ...,
        ) -> None: ...

    def options_for(self, backend: str, model: type[O]) -> O:
        """Return this policy's options for ``backend`` as ``model``, with its defaults filled in.

        Raises:
            vhal.errors.InvalidSpec: They don't fit the model; the path begins with ``options.<backend>``.
        """
        return backend_options("MigrationPolicy", self.options, backend, model)

    @model_validator(mode="after")
    def _sensible(self) -> MigrationPolicy:
        if self.bandwidth is not None and self.bandwidth < 1 << 20:
            raise PydanticCustomError("bandwidth", "a migration needs at least 1 MiB a second")
        return self


class Offer(Model):
    """What the source would give away; made without any effect."""

    backend: str
    host_uuid: str
    """The source's; a destination with the same one is the same host."""
    machine: MachineInfo
    state: MachineState
    """The state the machine shall have on the other side."""
    payload: FrozenDict[str, Any] = FrozenDict()


class Ticket(Model):
    """The place that the destination holds."""

    host_uuid: str
    """The destination's."""
    machine_id: str
    state: MachineState
    payload: FrozenDict[str, Any] = FrozenDict()


class Transfer(Model):
    """What the engine measured while it sent; None where it doesn't tell."""

    setup_s: float | None = None
    elapsed_s: float | None = None
    """From the engine's beginning until the machine was on the other side; its tidying up afterwards not counted."""
    downtime_s: float | None = None
    transferred: Bytes = Bytes(0)
    iterations: int = 0
    dirty_rate: Bytes | None = None
    """Bytes a second that the guest dirtied at the end."""


class MigrationResult(Model):
    """How a migration went. Times are seconds of this process's clock; the downtime is the engine's measurement."""

    machine: str
    source: str
    destination: str
    live: bool
    """Whether it ran while it moved."""
    setup_s: float
    """Offer, examination, preparation, and the engine's own."""
    transfer_s: float
    """From the first byte to the machine's being the destination's, without the engine's setup."""
    downtime_s: float
    """How long the machine did not run; 0 for one that wasn't running."""
    cleanup_s: float
    """Until nothing was left on the source."""
    total_s: float
    transferred: Bytes
    iterations: int

    def __str__(self) -> str:
        moved = f"{self.machine}: {self.source} → {self.destination}"
        return (
            f"{moved} in {self.total_s:.2f} s (setup {self.setup_s:.2f}, transfer {self.transfer_s:.2f}, "
            f"cleanup {self.cleanup_s:.2f}), downtime {self.downtime_s * 1000:.0f} ms, "
            f"{self.transferred} in {self.iterations} pass{'' if self.iterations == 1 else 'es'}"
        )
