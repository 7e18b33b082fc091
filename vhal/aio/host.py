"""A host, with ``await``. What each call does, :class:`vhal.host.Host` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vhal import host as blocking
from vhal.aio.call import call
from vhal.aio.events import AsyncEventStream
from vhal.aio.machine import AsyncMachine
from vhal.driver.driver import Driver

if TYPE_CHECKING:
    from vhal.driver.answer import Answer
    from vhal.driver.capability import Capability
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal.spec.usage import Usage


async def connect(where: str | Driver, *, layers: Iterable[Callable[[Driver], Driver]] = ()) -> AsyncHost:
    """Open a host; ``where`` and ``layers`` are what :func:`vhal.connect` takes."""
    return AsyncHost(await call(blocking.connect, where, layers=layers))


class AsyncHost:
    """A connection to a host. Closes at the end of an ``async with`` block; its machines stay."""

    def __init__(self, host: blocking.Host) -> None:
        self.host = host
        """The blocking one."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.host.name

    @property
    def url(self) -> str:
        """What it was opened with."""
        return self.host.url

    @property
    def backend(self) -> str:
        """Name of its backend."""
        return self.host.backend

    @property
    def uuid(self) -> str:
        """Unique among hosts."""
        return self.host.uuid

    @property
    def closed(self) -> bool:
        """Whether it was let go of."""
        return self.host.closed

    async def info(self) -> HostInfo:
        """Return what the host is and how full it is, now."""
        return await call(self.host.info)

    async def machines(self, labels: Mapping[str, str] | None = None) -> list[AsyncMachine]:
        """Return the host's machines, or those with all of ``labels``."""
        return [AsyncMachine(self, machine) for machine in await call(self.host.machines, labels)]

    async def machine(self, ref: str) -> AsyncMachine:
        """Return one machine, by name or id."""
        return AsyncMachine(self, await call(self.host.machine, ref))

    async def create(self, spec: MachineSpec, *, timeout_s: float | None = None) -> AsyncMachine:
        """Make a machine, stopped."""
        return AsyncMachine(self, await call(self.host.create, spec, timeout_s=timeout_s))

    async def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        """Return whether something can be done."""
        return await call(self.host.can, capability, subject)

    async def events(self) -> AsyncEventStream:
        """Return the events of the host's machines, from now on."""
        return AsyncEventStream(await call(self.host.events))

    async def usage(self) -> dict[str, Usage]:
        """Return what each active machine uses now, by its id."""
        return await call(self.host.usage)

    async def close(self) -> None:
        """Let go of the engine."""
        await call(self.host.close)

    async def __aenter__(self) -> AsyncHost:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncHost {self.name}>"
