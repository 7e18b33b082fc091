"""The capabilities of a driver as the guard hands them out: the same Protocols, with its care around each call.

What the care is, :mod:`vhal.layers.guard` says; here is only which of it each capability needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

from vhal.driver.answer import YES, Answer
from vhal.driver.context import Context
from vhal.driver.driver import StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import InvalidState
from vhal.layers.locks import LOCKS
from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from vhal.layers.guard import Guard
    from vhal.spec.machine import MachineInfo
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.units import Bytes


class Translating:
    """A capability whose errors are translated; states are the caller's business."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._guard.call(method, *args, **kwargs)

        return call


class Changing:
    """A capability of which every method is a changing call ``(id, ctx)``."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        @wraps(method)
        def change(id: str, ctx: Context) -> None:
            self._guard.change(name, id, ctx, method)

        return change


class Files:
    """Archives out of a machine, translated piece by piece, and into it, one change at a time."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        """Yield an archive of what is at ``path``; states are the caller's business."""
        pieces = iter(self._guard.call(self._inner.read_archive, id, path))
        try:
            while (piece := self._guard.call(next, pieces, None)) is not None:
                yield piece
        finally:
            # An archive that nobody reads to its end: what the engine holds for it is let go of now.
            close = getattr(pieces, "close", None)
            if close is not None:
                self._guard.call(close)

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        """Unpack ``archive`` into the folder at ``path``."""

        def act(id: str, ctx: Context) -> None:
            self._inner.write_archive(id, path, archive, ctx)

        self._guard.change("copy", id, ctx, act)


class Resize:
    """New sizes, one change at a time."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def resize(self, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        """Give the machine that much."""

        def act(id: str, ctx: Context) -> None:
            self._inner.resize(id, cpus, memory, ctx)

        self._guard.change("resize", id, ctx, act)


class Snapshots:
    """Snapshots, each taken, used and deleted alone."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def snapshot(self, id: str, name: str, memory: bool, ctx: Context) -> SnapshotInfo:
        """Keep the machine as it is now."""
        taken: list[SnapshotInfo] = []

        def act(id: str, ctx: Context) -> None:
            taken.append(self._inner.snapshot(id, name, memory, ctx))

        self._guard.change("snapshot", id, ctx, act, check=_has_memory if memory else None)
        return taken[0]

    def snapshots(self, id: str) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""
        return self._guard.call(self._inner.snapshots, id)

    def revert(self, id: str, name: str, ctx: Context) -> None:
        """Make a stopped machine what it was then."""

        def act(id: str, ctx: Context) -> None:
            self._inner.revert(id, name, ctx)

        with LOCKS.hold(self._guard.host_id, id, "revert", ctx):
            self._guard.change("revert", id, ctx, act)
            if self._guard.tells:
                now = self._guard.inspect(id)
                if now.state is MachineState.RUNNING:
                    self._guard.tell(EventKind.RESTORED, now)

    def delete_snapshot(self, id: str, name: str, ctx: Context) -> None:
        """Forget one."""
        with LOCKS.hold(self._guard.host_id, id, "delete_snapshot", ctx):
            self._guard.call(self._inner.delete_snapshot, id, name, ctx)


class Reboot:
    """The engine's restart, or stop and start where it has none."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner

    def reboot(self, id: str, ctx: Context) -> None:
        """Restart the guest."""
        if self._inner is not None:
            self._guard.change("reboot", id, ctx, self._inner.reboot)
            return

        def act(id: str, ctx: Context) -> None:
            self._guard.inner.stop(id, StopMode.GRACEFUL, ctx)
            self._guard.inner.start(id, ctx)

        self._guard.change("reboot", id, ctx, act)


class Events:
    """The engine's events, or those of the guard's own calls."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event until the returned function is called."""
        return self._guard.listen(listener)


def _has_memory(info: MachineInfo) -> Answer:
    if info.state.active:
        return YES
    return Answer.no(
        "no-memory",
        f"machine {info.name!r} is {info.state}: it has no memory that could be kept",
        "start() it first, or take the snapshot without its memory",
        raises=InvalidState,
    )
