"""A machine, with ``await``. What each call does, :class:`vhal.machine.Machine` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vhal.aio.call import call
from vhal.aio.console import AsyncConsole
from vhal.aio.execution import AsyncExecution
from vhal.driver.driver import STOP_TIMEOUT_S
from vhal.machine import READY_TIMEOUT_S, Machine

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from vhal.aio.host import AsyncHost
    from vhal.driver.answer import Answer
    from vhal.driver.migration import MigrationPolicy, MigrationResult
    from vhal.execution import Completed
    from vhal.migration.handshake import Keep
    from vhal.spec.machine import MachineInfo, MachineKind
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.state import MachineState
    from vhal.spec.units import Bytes
    from vhal.spec.usage import Usage


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

    async def resize(
        self, cpus: int | None = None, memory: Bytes | int | str | None = None, *, timeout_s: float | None = None
    ) -> None:
        """Give it so many processors and so much memory."""
        await call(self.machine.resize, cpus, memory, timeout_s=timeout_s)

    async def snapshot(self, name: str, *, memory: bool = False, timeout_s: float | None = None) -> SnapshotInfo:
        """Keep it as it is now."""
        return await call(self.machine.snapshot, name, memory=memory, timeout_s=timeout_s)

    async def snapshots(self) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""
        return await call(self.machine.snapshots)

    async def revert(self, name: str, *, timeout_s: float | None = None) -> None:
        """Make it what it was."""
        await call(self.machine.revert, name, timeout_s=timeout_s)

    async def delete_snapshot(self, name: str, *, timeout_s: float | None = None) -> None:
        """Forget a snapshot."""
        await call(self.machine.delete_snapshot, name, timeout_s=timeout_s)

    async def usage(self) -> Usage:
        """Return what it uses of its host now."""
        return await call(self.machine.usage)

    async def exec(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        input: bytes | str | None = None,
        timeout_s: float | None = None,
        check: bool = False,
    ) -> Completed:
        """Run a program in it to its end."""
        return await call(
            self.machine.exec, command, env=env, user=user, cwd=cwd, input=input, timeout_s=timeout_s, check=check
        )

    async def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
        timeout_s: float | None = None,
    ) -> AsyncExecution:
        """Start a program in it and return it running."""
        return AsyncExecution(
            await call(self.machine.spawn, command, env=env, user=user, cwd=cwd, terminal=terminal, timeout_s=timeout_s)
        )

    async def read_file(self, path: str, *, timeout_s: float | None = None) -> bytes:
        """Return what is in a file of it."""
        return await call(self.machine.read_file, path, timeout_s=timeout_s)

    async def write_file(
        self, path: str, data: bytes | str, mode: int = 0o644, *, timeout_s: float | None = None
    ) -> None:
        """Make or replace a file in it."""
        await call(self.machine.write_file, path, data, mode, timeout_s=timeout_s)

    async def copy_in(self, local: str | os.PathLike[str], path: str, *, timeout_s: float | None = None) -> None:
        """Copy a local file or folder into it."""
        await call(self.machine.copy_in, local, path, timeout_s=timeout_s)

    async def copy_out(self, path: str, local: str | os.PathLike[str], *, timeout_s: float | None = None) -> None:
        """Copy a file or folder of it here."""
        await call(self.machine.copy_out, path, local, timeout_s=timeout_s)

    async def migrate(
        self,
        destination: AsyncHost,
        policy: MigrationPolicy | None = None,
        *,
        timeout_s: float | None = None,
        keep: Keep | None = None,
    ) -> MigrationResult:
        """Move it to another host."""
        result = await call(self.machine.migrate, destination.host, policy, timeout_s=timeout_s, keep=keep)
        self._host = destination
        return result

    async def preflight(self, destination: AsyncHost, policy: MigrationPolicy | None = None) -> Answer:
        """Return whether it could move there now."""
        return await call(self.machine.preflight, destination.host, policy)

    def __repr__(self) -> str:
        return f"<AsyncMachine {self.name!r} on {self._host.name}>"
