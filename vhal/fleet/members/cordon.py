"""What keeps machines off hosts, lastingly: written down in the journal when a host is cordoned, drained or evacuated.

It holds for every process of the user until it is taken off, whichever fleet the host is looked at in. So it is about
the host itself, by its uuid; only of one that never answered it is by the name that the fleet has for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vhal.fleet.snapshot import HostStatus
from vhal.journal import Journal, default_path

CORDON = "cordon"
"""The kind of its works: without steps, and not ended as long as it holds, so that the journal doesn't forget it."""


@dataclass(frozen=True, slots=True)
class Cordon:
    """Why nothing new is put on a host."""

    work: str
    """Its id in the journal."""
    host: str
    """What the host was called."""
    uuid: str
    """The host's; empty where it wasn't known."""
    status: HostStatus
    """:attr:`~vhal.fleet.snapshot.HostStatus.CORDONED`, or draining where its machines shall leave, too."""
    reason: str

    def __str__(self) -> str:
        return f"{self.host} is {self.status}" + (f": {self.reason}" if self.reason else "")

    def is_of(self, name: str, uuid: str | None) -> bool:
        """Return whether it is about a host; None is for the uuid of one that hasn't answered yet."""
        return self.uuid == uuid if self.uuid and uuid else self.host == name


def cordon(journal: Journal, name: str, uuid: str | None, status: HostStatus, reason: str) -> None:
    """Write down that nothing new is put on a host, instead of what is written down of it with that status.

    Raises:
        vhal.errors.JournalError: It can't be written down.
    """
    former = [each for each in cordons(journal) if each.status is status and each.is_of(name, uuid)]
    journal.begin(CORDON, {"host": name, "uuid": uuid or "", "status": status, "reason": reason}, ()).release()
    _end(journal, former)


def uncordon(journal: Journal, name: str, uuid: str | None) -> list[Cordon]:
    """Take off whatever keeps machines off a host; return what that was.

    Raises:
        vhal.errors.JournalError: It can't be written down.
    """
    found = [each for each in cordons(journal) if each.is_of(name, uuid)]
    _end(journal, found)
    return found


def cordons(journal: Journal) -> list[Cordon]:
    """Return what keeps machines off hosts, the oldest first."""
    return [
        Cordon(work.id, **{**work.data, "status": HostStatus(work.data["status"])})
        for work in journal.works(CORDON, ended=False)
    ]


def kept(journal: Journal | None) -> list[Cordon]:
    """Return the cordons of a journal; None is for the user's, which isn't made if it isn't there.

    Raises:
        vhal.errors.JournalError: It can't be read.
    """
    if journal is not None:
        return cordons(journal)
    if not default_path().exists():
        return []
    # With each snapshot: reading all of a large journal would take longer than asking the hosts.
    with Journal(checked=False) as book:
        return cordons(book)


def _end(journal: Journal, cordons: Iterable[Cordon]) -> None:
    for each in cordons:
        with journal.take(each.work) as held:
            held.end()
