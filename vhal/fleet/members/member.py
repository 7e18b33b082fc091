"""One host of a fleet, opened when it is first needed and again when its connection died.

It asks nothing by itself, and doesn't decide what a missing answer means: that is :mod:`vhal.fleet.members.inventory`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from vhal.errors import HostUnreachable, InvalidSpec, InvalidState
from vhal.fleet.members.entry import HostEntry
from vhal.fleet.snapshot import HostStatus
from vhal.host import Host, connect

if TYPE_CHECKING:
    from vhal.fleet.members.cordon import Cordon

T = TypeVar("T")

_STRICTNESS = (HostStatus.UP, HostStatus.CORDONED, HostStatus.DRAINING)
"""What may be done with a host, from most to least."""


class Member:
    """A host by the name that the fleet has for it.

    Concurrency: safe from any thread; one of them opens it, and the others wait for that.

    Args:
        name: In this fleet.
        entry: Where it is, and what was said of it.
        backend: Name of its backend.
        host: An open one, which stays its owner's: it is never closed or opened again from here.
    """

    def __init__(self, name: str, entry: HostEntry, backend: str, host: Host | None = None) -> None:
        self.name = name
        self.entry = entry
        self.backend = backend
        self.cordons: tuple[Cordon, ...] = ()
        """What is written down that keeps machines off it."""
        self._marked = (entry.status, entry.reason)
        self._host = host
        self._lent = host is not None
        self._closed = False
        self._opening = threading.Lock()
        self._changing = threading.Lock()

    @property
    def uuid(self) -> str | None:
        """Its host's, or None if it was never reached."""
        return None if self._host is None else self._host.uuid

    @property
    def url(self) -> str:
        """How it is reached; without secrets."""
        return self.entry.url if self._host is None else self._host.url

    @property
    def status(self) -> HostStatus:
        """What it is marked as, or what is written down of it if that forbids more."""
        return max((self._marked[0], *(each.status for each in self.cordons)), key=_STRICTNESS.index)

    @property
    def reason(self) -> str:
        """Why, in words."""
        said = dict.fromkeys(each.reason for each in self.cordons if each.reason)
        return "; ".join(said) or self._marked[1]

    def __str__(self) -> str:
        return self.name

    def mark(self, status: HostStatus, reason: str) -> None:
        """Let it be cordoned, draining or up from now on, until the fleet is closed; what is written down stays.

        Raises:
            vhal.errors.InvalidSpec: It is to be unreachable: that is found out.
        """
        if status == HostStatus.UNREACHABLE:
            raise InvalidSpec(
                f"host {self.name!r} can't be marked unreachable: that is found out",
                problems=[("status", "is found out")],
                hint="mark it cordoned or draining",
                host=self.name,
            )
        self._marked = (status, reason)

    def free(self) -> bool:
        """Let it be up, where nothing is written down against it; return whether it wasn't.

        Raises:
            vhal.errors.InvalidState: It isn't up where the fleet is described, and stays so.
        """
        if self.entry.status is not HostStatus.UP:
            raise InvalidState(
                f"host {self.name!r} is {self.entry.status} where the fleet is described"
                + (f": {self.entry.reason}" if self.entry.reason else ""),
                hint=f"take the status of {self.name} out there",
                host=self.name,
            )
        before, self._marked = self._marked[0], (HostStatus.UP, "")
        return before is not HostStatus.UP

    def heed(self, cordons: Iterable[Cordon]) -> None:
        """Keep machines off it as long as one of these is about it."""
        self.cordons = tuple(each for each in cordons if each.is_of(self.name, self.uuid))

    def ask(self, question: Callable[[Host], T], patience_s: float) -> T:
        """Return the host's answer. A connection that died is opened again, once.

        Raises:
            vhal.errors.VhalError: It can't be opened, or what it answered.
        """
        known = self._host
        host = self.host(patience_s)
        try:
            return question(host)
        except HostUnreachable:
            if self._lent or host is not known:
                raise
        return question(self._again(host, patience_s))

    def host(self, patience_s: float) -> Host:
        """Return the open host.

        Raises:
            vhal.errors.VhalError: It can't be opened.
            vhal.errors.InvalidState: The fleet was closed.
        """
        if self._host is None:
            self._open(None, patience_s)
        return self._current()

    def close(self) -> None:
        """Let go of it. One that is being opened right now is closed as soon as it is."""
        with self._changing:
            host, self._closed = self._host, True
        if host is not None and not self._lent:
            host.close()

    def _again(self, dead: Host, patience_s: float) -> Host:
        self._open(dead, patience_s)
        return self._current()

    def _current(self) -> Host:
        if self._host is None or self._closed:
            raise InvalidState(f"the fleet of host {self.name} is closed", hint="make another Fleet")
        return self._host

    def _open(self, instead_of: Host | None, patience_s: float) -> None:
        # Not longer than anybody waits for the answer: else each look at a host that hangs left a thread behind.
        if not self._opening.acquire(timeout=patience_s):
            raise HostUnreachable(
                f"host {self.name} has been opened for more than {patience_s:g} s", hint="is it up?", host=self.name
            )
        try:
            if self._host is not instead_of or self._closed:
                return
            useless = self._take(connect(self.entry.url))
            if useless is not None:
                useless.close()
        finally:
            self._opening.release()

    def _take(self, opened: Host) -> Host | None:
        """Use this one from now on; return the one that isn't needed any more: the former, or it came too late."""
        with self._changing:
            if self._closed:
                return opened
            former, self._host = self._host, opened
            return former
