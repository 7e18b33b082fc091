"""A machine as users hold it: its life, its size, what runs in it, its files, its way to another host.

It is a handle: what it is now, its engine says (:meth:`Machine.info`). Each call is one call of the guard; the
states are drawn in :mod:`vhal.spec.state`. What one does inside of it is in :mod:`vhal.guest`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from vhal.driver.capability import (
    CONSOLE,
    METRICS,
    PAUSE,
    READINESS,
    REBOOT,
    RESIZE,
    SAVE,
    SNAPSHOTS,
)
from vhal.driver.context import Progress
from vhal.driver.driver import STOP_TIMEOUT_S, StopMode
from vhal.errors import InvalidSpec, InvalidState, MigrationInDoubt, NotFound, OperationTimeout, VhalError
from vhal.guest import Guest
from vhal.operation import call_context
from vhal.registry import registry
from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from vhal.console import Console
    from vhal.driver.answer import Answer
    from vhal.driver.migration import MigrationPolicy, MigrationResult
    from vhal.host import Host
    from vhal.layers.guard import Guard
    from vhal.migration.handshake import Keep
    from vhal.spec.machine import MachineInfo, MachineKind
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.units import Bytes
    from vhal.spec.usage import Usage

READY_TIMEOUT_S = 300.0
"""How long :meth:`Machine.wait` waits by default."""


class Machine(Guest):
    """One machine on one host. After :meth:`migrate` it is the machine on the new host.

    Concurrency: safe from any thread; two changing calls on one machine never run at once.

    Errors that any method may raise, besides its own: ``NotFound`` (it was deleted), ``HostUnreachable``,
    ``AccessDenied``, ``EngineError``; the changing ones also ``InvalidState``, ``Busy``, ``OperationAborted``.
    """

    def __init__(self, host: Host, info: MachineInfo) -> None:
        self._host = host
        self._seen = info

    @property
    def _guard(self) -> Guard:
        return self._host.guard

    @property
    def host(self) -> Host:
        """The host it is on."""
        return self._host

    @property
    def id(self) -> str:
        """The engine's id, kept for life and through migration."""
        return self._seen.id

    @property
    def name(self) -> str:
        """Its name, unique on its host."""
        return self._seen.name

    @property
    def kind(self) -> MachineKind:
        """A virtual machine or a container."""
        return self._seen.kind

    @property
    def seen(self) -> MachineInfo:
        """What it was when it was last asked; costs nothing and may be old."""
        return self._seen

    def state(self) -> MachineState:
        """Return its state now."""
        return self.info().state

    def info(self) -> MachineInfo:
        """Return what it is now."""
        self._seen = self._guard.inspect(self.id)
        return self._seen

    def start(self, *, timeout_s: float | None = None) -> None:
        """Start it: stopped or crashed → running. Returns when its processors run; see :meth:`wait`."""
        ctx = call_context(timeout_s)
        self._host.guard.start(self._seen.id, ctx)

    def stop(self, *, force: bool = False, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop it: running → stopped, by asking the guest.

        Args:
            force: Take the power away instead. Also discards the memory of a saved machine.
            timeout_s: How long the guest may take.

        Raises:
            vhal.errors.OperationTimeout: The guest didn't stop in time. It keeps running.
        """
        ctx = call_context(timeout_s)
        self._guard.stop(self.id, StopMode.FORCED if force else StopMode.GRACEFUL, ctx)

    def reboot(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Restart the guest; where the engine can't, stop and start the machine."""
        ctx = call_context(timeout_s)
        self._guard.require(REBOOT, self._seen).reboot(self.id, ctx)

    def pause(self, *, timeout_s: float | None = None) -> None:
        """Halt its processors and keep its memory: running → paused."""
        ctx = call_context(timeout_s)
        self._guard.require(PAUSE, self._seen).pause(self.id, ctx)

    def resume(self, *, timeout_s: float | None = None) -> None:
        """Let it go on: paused → running."""
        ctx = call_context(timeout_s)
        self._guard.require(PAUSE, self._seen).resume(self.id, ctx)

    def save(self, *, timeout_s: float | None = None) -> None:
        """Put its memory on disk and free its host of it: running or paused → saved."""
        ctx = call_context(timeout_s)
        self._guard.require(SAVE, self._seen).save(self.id, ctx)

    def restore(self, *, timeout_s: float | None = None) -> None:
        """Bring it back from disk: saved → running."""
        ctx = call_context(timeout_s)
        self._guard.require(SAVE, self._seen).restore(self.id, ctx)

    def delete(self, *, force: bool = False, keep_disks: bool = False, timeout_s: float | None = None) -> None:
        """Remove it, and the disks that were made for it; disks that were there before it stay.

        Args:
            force: Stop it first, forcibly, if it is active.
            keep_disks: Leave those that were made for it too: right for what is left of a machine that moved, since
                the disks are in use elsewhere.
            timeout_s: The whole call's deadline.
        """
        ctx = call_context(timeout_s)
        if force and self._guard.inspect(self.id).state.active:
            self._guard.stop(self.id, StopMode.FORCED, ctx)
        self._guard.delete(self.id, ctx, keep_disks)

    def wait(
        self, condition: MachineState | Literal["ready"] | str = "ready", *, timeout_s: float = READY_TIMEOUT_S
    ) -> MachineInfo:
        """Wait until it is in a state, or ``"ready"``: its guest says that it is up.

        Returns:
            What it is then.

        Raises:
            vhal.errors.OperationTimeout: It didn't come about in time.
            vhal.errors.Unsupported: ``"ready"``, and the backend can't know.
        """
        if condition != "ready" and condition not in set(MachineState):
            raise InvalidSpec(
                f"can't wait for {condition!r}", hint=f"wait for 'ready' or one of {', '.join(MachineState)}"
            )
        ready = self._guard.require(READINESS, self._seen) if condition == "ready" else None
        pause_s = 0.005
        ctx = call_context(timeout_s)
        try:
            while True:
                info = self.info()
                if ready is None:
                    if info.state == condition:
                        return info
                elif info.state is MachineState.RUNNING and ready.ready(self.id):
                    return info
                ctx.report(Progress("wait", message=f"{self.name} is {info.state}"))
                ctx.wait(pause_s)
                pause_s = min(0.25, pause_s * 2)
        except OperationTimeout:
            hint = "does its guest run an agent or a health check?" if ready else "has somebody asked it to?"
            raise OperationTimeout(
                f"machine {self.name!r} wasn't {condition} within {timeout_s:g} s; it is {self._seen.state}",
                hint=hint,
                machine=self.name,
                host=self._guard.name,
                backend=self._guard.backend,
            ) from None

    def resize(
        self, cpus: int | None = None, memory: Bytes | int | str | None = None, *, timeout_s: float | None = None
    ) -> None:
        """Give it so many processors and so much memory, now and whenever it is started; None leaves one as it is.

        A failure leaves both as they were. Its spec stays what it was made from; :meth:`info` has the new sizes.

        Raises:
            vhal.errors.InvalidSpec: Neither is given, or one is no size.
            vhal.errors.InsufficientResources: Its host has no room.
            vhal.errors.Unsupported: It can't be changed so, or not while it runs; nothing was changed.
        """
        from vhal.arguments import sizes

        wanted = sizes(self.name, cpus, memory)
        ctx = call_context(timeout_s)
        self._guard.require(RESIZE, self._seen).resize(self.id, *wanted, ctx)

    def snapshot(self, name: str, *, memory: bool = False, timeout_s: float | None = None) -> SnapshotInfo:
        """Keep it as it is now, on its host, with its memory or without; it goes on as before.

        Without its memory, what its guest hasn't written to disk yet isn't in it, as after a power cut.

        Raises:
            vhal.errors.AlreadyExists: It has one of that name.
            vhal.errors.InvalidSpec: That is no name.
            vhal.errors.InvalidState: Its memory is wanted and it has none now.
        """
        from vhal.arguments import snapshot_name

        ctx = call_context(timeout_s)
        able = self._guard.require(SNAPSHOTS, self._seen)
        return able.snapshot(self.id, snapshot_name(name), memory, ctx)

    def snapshots(self) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""
        return self._guard.require(SNAPSHOTS, self._seen).snapshots(self.id)

    def revert(self, name: str, *, timeout_s: float | None = None) -> None:
        """Make it what it was: stopped → stopped, or running if the snapshot has its memory. What it is now is lost.

        Raises:
            vhal.errors.NotFound: It has no such snapshot.
        """
        from vhal.arguments import snapshot_name

        ctx = call_context(timeout_s)
        self._guard.require(SNAPSHOTS, self._seen).revert(self.id, snapshot_name(name), ctx)

    def delete_snapshot(self, name: str, *, timeout_s: float | None = None) -> None:
        """Forget a snapshot; the machine isn't changed.

        Raises:
            vhal.errors.NotFound: It has no such snapshot.
        """
        from vhal.arguments import snapshot_name

        ctx = call_context(timeout_s)
        self._guard.require(SNAPSHOTS, self._seen).delete_snapshot(self.id, snapshot_name(name), ctx)

    def usage(self) -> Usage:
        """Return what it uses of its host now; a rate is :func:`vhal.spec.rates` of two.

        Raises:
            vhal.errors.InvalidState: It isn't active, so it uses nothing.
        """
        guard = self._guard
        found = guard.require(METRICS, self._seen).usage().get(self.id)
        if found is None:
            raise InvalidState(
                f"machine {self.name!r} uses nothing: it is {self.info().state}",
                hint="start() it",
                backend=guard.backend,
                host=guard.name,
                machine=self.name,
            )
        return found

    def console(self) -> Console:
        """Open its console, from now on. Use it in a ``with`` block.

        Raises:
            vhal.errors.InvalidState: It isn't running or paused.
        """
        from vhal.console import Console

        guard, info = self._guard, self._in_state("console")
        return Console(guard.require(CONSOLE, info).console(self.id), self.name, guard.call)

    def migrate(
        self,
        destination: Host,
        policy: MigrationPolicy | None = None,
        *,
        timeout_s: float | None = None,
        keep: Keep | None = None,
    ) -> MigrationResult:
        """Move it to another host, while it runs if it runs.

        Args:
            destination: A host of the same backend.
            policy: How; the default moves it live.
            timeout_s: Until then it must have been decided; else the move is undone.
            keep: Called with what :func:`vhal.migration.handshake.recover` needs if this process dies: for journals.

        Returns:
            Times, bytes and downtime. Afterwards this object is the machine on the destination.

        Raises:
            vhal.errors.MigrationRefused: The preflight says no; nothing was touched.
            vhal.errors.MigrationFailed: It was undone; the machine goes on here.
            vhal.errors.OperationAborted: The same, on request.
            vhal.errors.OperationTimeout: The same, since the deadline passed.
            vhal.errors.MigrationInDoubt: A host couldn't be asked how it ended. Look before acting.
        """
        from vhal.driver.migration import MigrationPolicy
        from vhal.migration.cold import migrate_cold
        from vhal.migration.handshake import migrate

        policy = policy or MigrationPolicy()
        target = self._destination(destination, policy)
        info = self.info()
        ctx = call_context(timeout_s)
        move = migrate if policy.live or info.state is not MachineState.RUNNING else migrate_cold
        try:
            result, arrived = move(self._guard, target, info, policy, ctx, keep)
        except MigrationInDoubt:
            self._follow(destination)
            raise
        self._host, self._seen = destination, arrived
        return result

    def _destination(self, destination: Host, policy: MigrationPolicy) -> Guard:
        guard: Guard | None = getattr(destination, "guard", None)
        if guard is None:
            raise InvalidSpec(
                f"a machine moves to a Host, not to a {type(destination).__name__}",
                hint="vhal.connect(URL) gives one",
                machine=self.name,
            )
        registry.check_options(policy.options, self._guard.backend)
        return guard

    def _follow(self, destination: Host) -> None:
        """Be the machine on the destination if only that has it; what can't be told stays as it was."""
        with suppress(VhalError):
            try:
                self._guard.inspect(self.id)
            except NotFound:
                self._seen = destination.guard.inspect(self.id)
                self._host = destination

    def preflight(self, destination: Host, policy: MigrationPolicy | None = None) -> Answer:
        """Return whether it could move there now, with every reason against; touches nothing."""
        from vhal.driver.migration import MigrationPolicy
        from vhal.migration.preflight import preflight

        policy = policy or MigrationPolicy()
        return preflight(self._guard, self._destination(destination, policy), self.info(), policy)[0]

    def __repr__(self) -> str:
        return f"<Machine {self.name!r} on {self._host.name}>"
