"""What a backend may be able to do besides the required calls: typed keys, each with a Protocol of one task's size.

``driver.provides(PAUSE)`` is the backend's :class:`Pause` or None, and type checkers know it. Whether it can be done
*here and now* is ``driver.can(PAUSE, machine)``. A capability enters this list with two backends that have it and one
user of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vhal.driver.answer import Answer
    from vhal.driver.context import Context
    from vhal.driver.event import Event
    from vhal.driver.migration import MigrationPolicy, Offer, Ticket, Transfer
    from vhal.spec.machine import MachineInfo
    from vhal.spec.snapshot import SnapshotInfo
    from vhal.spec.units import Bytes
    from vhal.spec.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Capability(Generic[T]):
    """A key: ``T`` is the Protocol behind it."""

    id: str
    """Stable, for JSON, the command line and the docs."""
    summary: str
    since: tuple[int, int] = (1, 0)
    """Version of the contract that brought it."""


class Power(Protocol):
    """Required of every backend; the calls are the driver's own."""


class Pause(Protocol):
    """Halt the processors, keep the memory."""

    def pause(self, id: str, ctx: Context) -> None:
        """Running → paused."""

    def resume(self, id: str, ctx: Context) -> None:
        """Paused → running."""


class Reboot(Protocol):
    """Restart the guest. Without it the core stops and starts the machine."""

    def reboot(self, id: str, ctx: Context) -> None:
        """Ask the guest to restart; returns when it was asked."""


class Save(Protocol):
    """Memory to disk and back."""

    def save(self, id: str, ctx: Context) -> None:
        """Running or paused → saved. A failure leaves the machine as it was."""

    def restore(self, id: str, ctx: Context) -> None:
        """Saved → running; the saved memory is used up. A failure leaves it saved."""


class Readiness(Protocol):
    """Whether the guest, not only the machine, is up."""

    def ready(self, id: str) -> bool:
        """Return whether the guest says it is ready (an agent, a health check). Never waits."""


class ConsoleStream(Protocol):
    """A console's two directions, in bytes. One reader and one writer at a time; close from any thread."""

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came, at least a byte; ``b""`` at the end, or when ``timeout_s`` passed."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def close(self) -> None:
        """End it; a read that waits returns ``b""``. Idempotent."""


class Consoles(Protocol):
    """The machine's first serial line, or a container's output."""

    def console(self, id: str) -> ConsoleStream:
        """Return a new stream from now on."""


class Events(Protocol):
    """The engine's own events. Without it the core tells of its own calls only."""

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event, from a thread of the backend's, until the returned function is called.

        The listener is quick and doesn't raise. After the returned function has returned, no more calls begin.
        """


class Resize(Protocol):
    """More or fewer processors, more or less memory."""

    def resize(self, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        """Give the machine that much, now and whenever it is started; None leaves one as it is.

        A failure leaves both as they were. What can't be changed while it runs is refused by ``can`` or raises
        ``Unsupported`` before anything is done.
        """


class ProcessStream(Protocol):
    """A program that runs in a machine. One reader and one writer at a time; close from any thread."""

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return the descriptor (1: output, 2: errors) and what came on it, at least a byte.

        ``(0, b"")`` at the end, or when ``timeout_s`` passed. With a terminal all is on 1.
        """

    def write(self, data: bytes) -> None:
        """Send all of ``data`` to its input."""

    def close_input(self) -> None:
        """Have it see the end of its input. Idempotent."""

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        """Return what it ended with, waiting for that at most ``timeout_s``; None if it runs. By a signal: 128 more."""

    def close(self) -> None:
        """Let go of it; one that still runs goes on without us. A read that waits ends. Idempotent."""


class Exec(Protocol):
    """Run programs beside what runs in the machine already."""

    def execute(
        self,
        id: str,
        command: Iterable[str],
        ctx: Context,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
    ) -> ProcessStream:
        """Start ``command``, without a shell, and return it running.

        Raises:
            vhal.errors.NotFound: There is no such program, user or folder in the machine.
        """


class Files(Protocol):
    """Files into the machine and out of it, as tar archives, which keep owners, modes and links."""

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        """Yield an archive of the file or folder at ``path``; its names begin with the last part of the path.

        Raises:
            vhal.errors.NotFound: There is none; raised before anything is yielded.
        """

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        """Unpack ``archive`` into the folder at ``path``. What it doesn't name stays. A failure may leave a part.

        Raises:
            vhal.errors.NotFound: There is no such folder.
        """


class Snapshots(Protocol):
    """The machine as it is now, kept on its host; they are deleted with it."""

    def snapshot(self, id: str, name: str, memory: bool, ctx: Context) -> SnapshotInfo:
        """Keep its disks, with ``memory`` also its memory. It goes on as before; a failure leaves no snapshot.

        Raises:
            vhal.errors.AlreadyExists: It has one of that name.
        """

    def snapshots(self, id: str) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""

    def revert(self, id: str, name: str, ctx: Context) -> None:
        """Make a stopped machine what it was then: stopped, or with memory, running.

        Raises:
            vhal.errors.NotFound: It has no such snapshot.
        """

    def delete_snapshot(self, id: str, name: str, ctx: Context) -> None:
        """Forget one. The machine isn't changed.

        Raises:
            vhal.errors.NotFound: It has no such snapshot.
        """


class Metrics(Protocol):
    """What machines use."""

    def usage(self) -> Mapping[str, Usage]:
        """Return the usage of every active machine by its id, in one round trip or two, never one per machine."""


class Migration(Protocol):
    """Move a machine between two hosts of this backend, in five steps that each may be repeated.

    ====================  ======  ==========================================================================
    step                  on      effect, and what undoes it
    ====================  ======  ==========================================================================
    ``offer``             source  none: says what would move
    ``examine``           dest.   none: says what stands against it
    ``prepare``           dest.   room and name are held; undone by ``cancel``
    ``transfer``          source  memory and state go over; undone by ``cancel`` then ``resume``
    ``commit``            dest.   the machine is this host's; from here on there is only forward
    ``cancel``            dest.   nothing of it is left here; does nothing if there was nothing
    ``release``           source  nothing of it is left here; does nothing if there was nothing
    ``resume``            source  the machine goes on as before the transfer; does nothing if it never stopped
    ====================  ======  ==========================================================================

    Who calls them, and in which order, is :mod:`vhal.migration`; a driver never calls another driver's.
    """

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Return what would move, as it is now."""

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Return whether this host would take it."""

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Hold what it needs here, and say how the source reaches it."""

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Send it. Reports progress; on an abort or a passed deadline it stops and raises."""

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Take it over, in the state it was offered in."""

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Leave nothing of it here. Never touches a machine that isn't the ticket's."""

    def release(self, offer: Offer, ctx: Context) -> None:
        """Leave nothing of it here, except disks that the destination uses.

        Raises:
            vhal.errors.VhalError: It runs here, so it never left; it isn't touched.
        """

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Bring it back to the state it was offered in."""


CREATE: Capability[Power] = Capability("create", "make a machine from a spec")
POWER: Capability[Power] = Capability("power", "start and stop")
PAUSE: Capability[Pause] = Capability("pause", "pause and resume")
REBOOT: Capability[Reboot] = Capability("reboot", "restart the guest")
SAVE: Capability[Save] = Capability("save", "save the memory to disk and restore it")
READINESS: Capability[Readiness] = Capability("readiness", "know when the guest is up")
CONSOLE: Capability[Consoles] = Capability("console", "talk to the guest's console")
EVENTS: Capability[Events] = Capability("events", "tell what happens to machines")
RESIZE: Capability[Resize] = Capability("resize", "change processors and memory", (1, 1))
EXEC: Capability[Exec] = Capability("exec", "run programs in the machine", (1, 1))
FILES: Capability[Files] = Capability("files", "copy files in and out", (1, 1))
SNAPSHOTS: Capability[Snapshots] = Capability("snapshots", "keep the machine as it is and go back to it", (1, 1))
METRICS: Capability[Metrics] = Capability("metrics", "measure what machines use", (1, 1))
MIGRATION: Capability[Migration] = Capability("migration", "move a machine to another host")

CAPABILITIES: dict[str, Capability[object]] = {
    key.id: key  # type: ignore[misc]
    for key in (
        CREATE,
        POWER,
        PAUSE,
        REBOOT,
        SAVE,
        RESIZE,
        READINESS,
        CONSOLE,
        EXEC,
        FILES,
        SNAPSHOTS,
        METRICS,
        EVENTS,
        MIGRATION,
    )
}
"""Every key by its id."""
