"""The hosts of a fleet together: by name, asked at once, and kept off where they are cordoned.

Where they come from is :mod:`vhal.fleet.members.roster`; what their answers mean, whoever asks decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from vhal.errors import NotFound, VhalError
from vhal.fleet.members.ask import ask
from vhal.fleet.members.member import Member
from vhal.fleet.snapshot import HostStatus, SeenHost
from vhal.host import Host

if TYPE_CHECKING:
    from vhal.journal import Journal

T = TypeVar("T")

CLOSING_S = 2.0
"""How long closing waits for hosts that hang; they are left to end by themselves."""


class Members:
    """All members of a fleet, in its order.

    Concurrency: safe from any thread.

    Args:
        members: They; each has a name of its own.
        patience_s: How long one may take to answer.
        journal: Where it is written down which of them are cordoned; None for the user's.
    """

    def __init__(self, members: Iterable[Member], patience_s: float, journal: Journal | None = None) -> None:
        self._by_name = {member.name: member for member in members}
        self._patience_s = patience_s
        self._journal = journal

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(self._by_name)

    def one(self, name: str) -> Member:
        """Return the member of a name.

        Raises:
            vhal.errors.NotFound: None is called so.
        """
        found = self._by_name.get(name)
        if found is None:
            raise NotFound(
                f"there is no host {name!r} in the fleet", hint=f"there are {', '.join(self._by_name)}", host=name
            )
        return found

    def ask(
        self, question: Callable[[Host], T], members: Sequence[Member] | None = None, over_s: float = 0.0
    ) -> dict[Member, T | VhalError]:
        """Put a question to all of them at once, or to some; return each one's answer or error.

        Args:
            question: Called with each open host, in a thread of its own.
            members: Who is asked; None for all.
            over_s: So much longer than usual the answer may take.
        """
        patience_s = self._patience_s
        asked = list(self) if members is None else members
        return ask(asked, lambda member: member.ask(question, patience_s), patience_s + over_s)

    def answer(self, member: Member, question: Callable[[Host], T]) -> T:
        """Return one's answer.

        Raises:
            vhal.errors.VhalError: It can't be opened, or what it answered.
        """
        answer = self.ask(question, [member])[member]
        if isinstance(answer, VhalError):
            raise answer
        return answer

    def heed(self) -> None:
        """Keep off those that are cordoned by now, whoever cordoned them.

        Raises:
            vhal.errors.JournalError: It can't be read which these are.
        """
        from vhal.fleet.members.cordon import kept

        found = kept(self._journal)
        for member in self:
            member.heed(found)

    def cordon(self, names: Sequence[str], reason: str) -> None:
        """Put nothing new on some, until they are uncordoned; they needn't answer.

        Raises:
            vhal.errors.NotFound: One isn't here; none was cordoned.
            vhal.errors.JournalError: It can't be written down.
        """
        from vhal.fleet.members.cordon import cordon
        from vhal.journal import opened

        members = self._recognised(names)
        with opened(self._journal) as book:
            for member in members:
                cordon(book, member.name, member.uuid, HostStatus.CORDONED, reason)
        self.heed()

    def uncordon(self, names: Sequence[str]) -> tuple[str, ...]:
        """Let some be used again; return those that weren't.

        Raises:
            vhal.errors.NotFound: One isn't here.
            vhal.errors.InvalidState: One is cordoned where the fleet is described.
            vhal.errors.JournalError: It can't be written down.
        """
        from vhal.fleet.members.cordon import uncordon
        from vhal.journal import opened

        members = self._recognised(names)
        with opened(self._journal) as book:
            taken = {member for member in members if uncordon(book, member.name, member.uuid)}
        self.heed()
        taken.update([member for member in members if member.free()])
        return tuple(member.name for member in members if member in taken)

    def close(self) -> None:
        """Let go of all of them. Idempotent; doesn't wait for one that hangs."""
        ask(list(self), Member.close, CLOSING_S)

    def _recognised(self, names: Iterable[str]) -> list[Member]:
        """Return members whose hosts are known by their uuids, as far as they answer."""
        members = [self.one(name) for name in dict.fromkeys(names)]
        self.ask(lambda host: None, [member for member in members if member.uuid is None])
        return members


def words(member: Member) -> Mapping[str, str]:
    """Return what a selector of hosts looks at, without asking the host."""
    return SeenHost(
        name=member.name, uuid="", backend=member.backend, status=member.status, labels=member.entry.labels
    ).words
