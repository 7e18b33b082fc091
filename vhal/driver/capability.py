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
    from vhal.driver.answer import Answer
    from vhal.driver.context import Context
    from vhal.driver.event import Event
    from vhal.driver.migration import MigrationPolicy, Offer, Ticket, Transfer
    from vhal.spec.machine import MachineInfo

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
        """Leave nothing of it here, except disks that the destination uses."""

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
MIGRATION: Capability[Migration] = Capability("migration", "move a machine to another host")

CAPABILITIES: dict[str, Capability[object]] = {
    key.id: key  # type: ignore[misc]
    for key in (CREATE, POWER, PAUSE, REBOOT, SAVE, READINESS, CONSOLE, EVENTS, MIGRATION)
}
"""Every key by its id."""
