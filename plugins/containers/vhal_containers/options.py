"""What only podman understands: the model behind ``options["containers"]`` of a spec.

No option can name a program, a folder of the host, or give a container rights over its host: specs come from people who
may make machines, not from those who may do anything on the host.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vhal.spec import Model


class ContainersOptions(Model):
    """``MachineSpec.options["containers"]``."""

    network_mode: Literal["host"] | None = None
    """``host``: no network of its own but its host's, with all that listens there; it can't be moved alive then."""
    runtime: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] | None = None
    """Which runtime it needs, as ``runc`` or ``crun``. The engine's own configuration chooses it: an engine with
    another one doesn't take the machine. None for any."""
    pull: Literal["missing", "never"] = "missing"
    """Whether an image that the engine doesn't have is fetched from its registry."""
    stop_timeout_s: Annotated[int, Field(ge=0, le=86400)] = 10
    """How long podman's own commands, and a restart, wait for it to end before they end it."""
