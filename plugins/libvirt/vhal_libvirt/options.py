"""What only libvirt understands: the models behind ``options["libvirt"]`` of a spec and of a migration policy.

No option can name a program, a file to run or raw XML: specs come from people who may make machines, not from those
who may do anything on the host. The rest of a spec can name files; which ones is :mod:`vhal_libvirt.host_paths`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from vhal.errors import InvalidUrl
from vhal.spec import Model
from vhal_libvirt.address import checked


class LibvirtOptions(Model):
    """``MachineSpec.options["libvirt"]``."""

    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    """KVM, emulation, or KVM where it truly runs a guest and emulation where it doesn't."""
    machine: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    """The chipset, as ``q35``, ``pc`` or a versioned ``pc-q35-7.2``; None for the newest fitting one."""


class LibvirtMigrationOptions(Model):
    """``MigrationPolicy.options["libvirt"]``."""

    peer: str | None = None
    """URL at which the *source's daemon* reaches the destination's; None to derive it from the destination's URL."""
    data: Literal["auto", "tcp", "unix"] = "auto"
    """What carries the memory. Auto: a Unix socket if both hosts are on this machine, TCP otherwise."""
    data_host: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$|^[0-9a-fA-F:]{2,45}$")
    ] | (None) = None
    """Address of the destination for the memory; None for the one its own configuration names."""
    data_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port for the memory; None for one of those that its own configuration names."""
    strict: bool = False
    """Let the machine go on at the destination only when the source's copy is known to be gone. Costs a second or two
    of standstill, and makes two running copies impossible even where no disk's lock would prevent them."""

    @field_validator("peer")
    @classmethod
    def _allowed(cls, peer: str | None) -> str | None:
        if peer is not None:
            try:
                url = checked(peer)
            except InvalidUrl as error:
                raise PydanticCustomError("peer", "{reason}", {"reason": str(error)}) from None
            if url.transport == "test":
                raise PydanticCustomError("peer", "the test driver has no migration")
        return peer
