"""A driver that hands every call on to another one: the base of the layers.

By itself it changes nothing; a layer overrides what it is about.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from vhal.driver.answer import Answer
from vhal.driver.capability import Capability
from vhal.driver.context import Context
from vhal.driver.driver import Driver, StopMode
from vhal.errors import VhalError

if TYPE_CHECKING:
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")


class Layer(Driver):
    """A driver around ``inner``."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.host_id = inner.host_id

    @property
    def backend(self) -> str:  # type: ignore[override]
        """The inner driver's."""
        return self.inner.backend

    def describe(self) -> HostInfo:
        return self.inner.describe()

    def machines(self) -> list[MachineInfo]:
        return self.inner.machines()

    def inspect(self, ref: str) -> MachineInfo:
        return self.inner.inspect(ref)

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        return self.inner.create(spec, ctx)

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        self.inner.delete(id, ctx, keep_disks)

    def start(self, id: str, ctx: Context) -> None:
        self.inner.start(id, ctx)

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        self.inner.stop(id, mode, ctx)

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        return self.inner.can(capability, subject)

    def provides(self, capability: Capability[T]) -> T | None:
        return self.inner.provides(capability)

    def close(self) -> None:
        self.inner.close()

    def clock_s(self) -> float:
        return self.inner.clock_s()

    def hold_clock(self) -> AbstractContextManager[None]:
        return self.inner.hold_clock()

    def translate(self, error: Exception) -> VhalError | None:
        return self.inner.translate(error)
