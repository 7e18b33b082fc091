"""A machine, with ``await``. What each call does, :class:`vhal.machine.Machine` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vhal.aio.call import call
from vhal.aio.console import AsyncConsole
from vhal.driver.driver import STOP_TIMEOUT_S
from vhal.machine import READY_TIMEOUT_S, Machine

if TYPE_CHECKING:
    from vhal.aio.host import AsyncHost
    from vhal.driver.answer import Answer
    from vhal.driver.migration import MigrationPolicy, MigrationResult
    from vhal.spec.machine import MachineInfo, MachineKind
    from vhal.spec.state import MachineState


class AsyncMachine:
    """One machine on one host."""

    def __init__(self, host: AsyncHost, machine: Machine) -> None:
        self._host = host
        self.machine = machine
        """The blocking one."""

    @property
    def host(self) -> AsyncHost:
        """The host it is on."""
        return self._host

    @property
    def id(self) -> str:
        """The engine's id."""
        return self.machine.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.machine.name

    @property
    def kind(self) -> MachineKind:
        """A virtual machine or a container."""
        return self.machine.kind

    @property
    def seen(self) -> MachineInfo:
        """What it was when it was last asked."""
        return self.machine.seen

    async def info(self) -> MachineInfo:
        """Return what it is now."""
        return await call(self.machine.info)

    async def state(self) -> MachineState:
        """Return its state now."""
        return await call(self.machine.state)

    async def start(self, *, timeout_s: float | None = None) -> None:
        """Start it."""
        await call(self.machine.start, timeout_s=timeout_s)

    async def stop(self, *, force: bool = False, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop it."""
        await call(self.machine.stop, force=force, timeout_s=timeout_s)

    async def reboot(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Restart the guest."""
        await call(self.machine.reboot, timeout_s=timeout_s)

    async def pause(self, *, timeout_s: float | None = None) -> None:
        """Halt its processors."""
        await call(self.machine.pause, timeout_s=timeout_s)

    async def resume(self, *, timeout_s: float | None = None) -> None:
        """Let it go on."""
        await call(self.machine.resume, timeout_s=timeout_s)

    async def save(self, *, timeout_s: float | None = None) -> None:
        """Put its memory on disk."""
        await call(self.machine.save, timeout_s=timeout_s)

    async def restore(self, *, timeout_s: float | None = None) -> None:
        """Bring it back from disk."""
        await call(self.machine.restore, timeout_s=timeout_s)

    async def delete(self, *, force: bool = False, keep_disks: bool = False, timeout_s: float | None = None) -> None:
        """Remove it."""
        await call(self.machine.delete, force=force, keep_disks=keep_disks, timeout_s=timeout_s)

    async def wait(
        self, condition: MachineState | Literal["ready"] | str = "ready", *, timeout_s: float = READY_TIMEOUT_S
    ) -> MachineInfo:
        """Wait until it is in a state, or its guest is up."""
        return await call(self.machine.wait, condition, timeout_s=timeout_s)

    async def console(self) -> AsyncConsole:
        """Open its console."""
        return AsyncConsole(await call(self.machine.console))

    async def migrate(
        self, destination: AsyncHost, policy: MigrationPolicy | None = None, *, timeout_s: float | None = None
    ) -> MigrationResult:
        """Move it to another host."""
        result = await call(self.machine.migrate, destination.host, policy, timeout_s=timeout_s)
        self._host = destination
        return result

    async def preflight(self, destination: AsyncHost, policy: MigrationPolicy | None = None) -> Answer:
        """Return whether it could move there now."""
        return await call(self.machine.preflight, destination.host, policy)

    def __repr__(self) -> str:
        return f"<AsyncMachine {self.name!r} on {self._host.name}>"
