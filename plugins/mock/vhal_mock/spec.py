"""What a world can be made from: a table, as in TOML or JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vhal.spec import Bytes, Model, Name


class HostSpec(Model):
    """One host; the fields are those of :class:`vhal_mock.host.HostModel`."""

    name: Name
    cpus: Annotated[int, Field(ge=1, le=4096)] = 16
    memory: Annotated[Bytes, Field(ge=1 << 20)] = Bytes("64GiB")
    cpu_overcommit: Annotated[float, Field(ge=1, le=100)] = 4.0
    bandwidth: Annotated[Bytes, Field(ge=1 << 20)] = Bytes(1_250_000_000)
    """Bytes a second to other hosts."""


class WorldSpec(Model):
    """Hosts that see each other."""

    hosts: tuple[HostSpec, ...]
    speed: Annotated[float, Field(gt=0)] | None = None
    """Virtual seconds in a real one; without it, as fast as it goes."""
