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
from vhal.errors import EngineError, VhalError

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

    @property
    def concurrent(self) -> bool:  # type: ignore[override]
        """The inner driver's."""
        return self.inner.concurrent

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

    def sleep(self, seconds: float, ctx: Context) -> None:
        self.inner.sleep(seconds, ctx)

    def translate(self, error: Exception) -> VhalError | None:
        return self.inner.translate(error)


def innermost(driver: Driver) -> Driver:
    """Return the backend's driver, without the layers around it."""
    while isinstance(driver, Layer):
        driver = driver.inner
    return driver


def typed(driver: Driver, error: Exception) -> VhalError:
    """Return what ``driver`` raised as one of ours; never raises."""
    if isinstance(error, VhalError):
        return error
    try:
        ours = driver.translate(error)
    except Exception:  # noqa: BLE001 - what it was asked about is the better explanation
        ours = None
    if ours is None:
        ours = EngineError(
            f"backend {driver.backend!r} failed: {type(error).__name__}: {error}",
            hint="this looks like a defect of the backend; report it with the traceback",
        )
    ours.native = error
    return ours
