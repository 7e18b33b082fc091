"""A connection to one libvirtd that survives the daemon's death, and what the daemon tells over it.

A call on a connection that died fails; the next :meth:`Connection.get` opens a new one, with everything that listened
listening again. Who only listens calls nothing: so as soon as a connection dies, a thread begins to open a new one.
Nothing here knows machines: it hands out libvirt's object and passes notices on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import libvirt

from vhal.errors import HostUnreachable
from vhal_libvirt import eventloop

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3
"""A peer that is silent for interval × (count + 1) seconds is dead."""
OPEN_S = 30.0
"""A daemon that hasn't answered by then won't."""

REOPEN_FIRST_S = 0.1
REOPEN_MOST_S = 30.0
"""Pauses between attempts to open a connection that died: each twice as long as the one before, up to this."""

Topic = Literal["lifecycle", "reboot", "metadata", "iteration", "job", "closed", "awaited"]
"""What is told of. ``awaited`` is ours: a machine that doesn't run is to come from another host, or isn't any more."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that libvirt told, in its own numbers."""

    topic: Topic
    id: str = ""
    name: str = ""
    event: int = 0
    detail: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Notice], None]


class Connection:
    """Opens, reopens and closes. Safe to use from several threads.

    Args:
        uri: libvirt's address, built by :func:`vhal_libvirt.address.libvirt_uri`.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._telling = threading.RLock()
        self._open: libvirt.virConnect | None = None
        self._registered: list[int] = []
        self._listeners: list[Listener] = []
        self._closed = False
        self._opening: threading.Event | None = None
        self._ending = threading.Event()

    def get(self) -> libvirt.virConnect:
        """Return a connection that was alive a moment ago.

        Raises:
            vhal.errors.HostUnreachable: It was closed here, or the daemon didn't answer in time.
            libvirt.libvirtError: It couldn't be opened.
        """
        conn = self._open
        if conn is not None and conn.isAlive():
            return conn
        with self._lock:
            if self._closed:
                raise _closed()
            if self._open is not None and self._open.isAlive():
                return self._open
            lost = self._open
            self._forget()
            self._open = self._connect()
        if lost is not None:
            self.tell(Notice("closed"))
        return self._open

    def apart(self, dom: libvirt.virDomain) -> libvirt.virDomain:
        """Return the machine for one long call, over a connection of its own, which closes when the machine is let go.

        A daemon carries out five calls of one connection at once (``max_client_requests`` in ``libvirtd.conf``).
        Meanwhile it reads nothing more from it, not even that its client is alive, and breaks it off for that: with
        every call that is under way.

        Raises:
            vhal.errors.HostUnreachable: The daemon didn't answer in time.
            libvirt.libvirtError: It couldn't be opened, or there is no such machine any more.
        """
        return _kept_alive(_in_time(self._uri, threading.Event())).lookupByUUID(dom.UUID())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each notice, in libvirt's thread, until the returned function is called."""
        with self._telling:
            self._listeners.append(listener)

        def cancel() -> None:
            # Under the lock that is held while listeners run: after this no call is under way or begins.
            with self._telling:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return cancel

    def close(self) -> None:
        """Let go of the daemon. Idempotent; never raises."""
        self._closed = True
        self._ending.set()
        if (opening := self._opening) is not None:
            opening.set()  # whoever is opening it holds the lock, and need not go on
        with self._lock:
            conn = self._forget()
            if conn is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    conn.close()

    def _connect(self) -> libvirt.virConnect:
        eventloop.start()
        self._opening = threading.Event()
        if self._closed:
            raise _closed()
        conn = _kept_alive(_in_time(self._uri, self._opening))
        with contextlib.suppress(libvirt.libvirtError):
            conn.registerCloseCallback(self._on_close, None)
        register = conn.domainEventRegisterAny
        try:
            self._registered = [
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None),
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_plain, "reboot"),
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, self._on_metadata, None),
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, self._on_iteration, None),
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, self._on_job, None),
            ]
        except libvirt.libvirtError:
            with contextlib.suppress(libvirt.libvirtError):
                conn.unregisterCloseCallback()
            conn.close()
            raise
        return conn

    def _on_close(self, conn: Any, reason: int, opaque: Any) -> None:
        # In libvirt's thread, which must not wait for anything: opening takes that thread's own help.
        if not self._closed:
            threading.Thread(target=self._reopen, name="vhal-libvirt-reopen", daemon=True).start()

    def _reopen(self) -> None:
        pause_s = REOPEN_FIRST_S
        while not self._ending.wait(pause_s):
            try:
                self.get()
            except (libvirt.libvirtError, HostUnreachable):
                pause_s = min(2 * pause_s, REOPEN_MOST_S)
                continue
            return

    def _forget(self) -> libvirt.virConnect | None:
        """Let go of the connection and return it. It isn't closed: a call that is still under way over it would crash.

        It closes when the last one who has it lets it go.
        """
        conn, self._open = self._open, None
        registered, self._registered = self._registered, []
        if conn is None:
            return None
        # Each registration holds the connection open; on a dead one some of this fails, and nothing is left to do.
        for callback in registered:
            with contextlib.suppress(libvirt.libvirtError):
                conn.domainEventDeregisterAny(callback)
        with contextlib.suppress(libvirt.libvirtError):
            conn.unregisterCloseCallback()
        return conn

    def tell(self, notice: Notice) -> None:
        """Pass a notice on: libvirt's, or one that libvirt owes."""
        with self._telling:
            for listener in tuple(self._listeners):
                listener(notice)

    def _on_lifecycle(self, conn: Any, dom: libvirt.virDomain, event: int, detail: int, opaque: Any) -> None:
        self.tell(Notice("lifecycle", dom.UUIDString(), dom.name(), event, detail))

    def _on_plain(self, conn: Any, dom: libvirt.virDomain, topic: Topic) -> None:
        self.tell(Notice(topic, dom.UUIDString(), dom.name()))

    def _on_metadata(self, conn: Any, dom: libvirt.virDomain, kind: int, uri: str | None, opaque: Any) -> None:
        self.tell(Notice("metadata", dom.UUIDString(), dom.name(), kind))

    def _on_iteration(self, conn: Any, dom: libvirt.virDomain, iteration: int, opaque: Any) -> None:
        self.tell(Notice("iteration", dom.UUIDString(), dom.name(), iteration))

    def _on_job(self, conn: Any, dom: libvirt.virDomain, facts: dict[str, Any], opaque: Any) -> None:
        self.tell(Notice("job", dom.UUIDString(), dom.name(), facts=facts))


def _closed() -> HostUnreachable:
    return HostUnreachable("the connection was closed", hint="open the host again", backend="libvirt")


def _kept_alive(conn: libvirt.virConnect) -> libvirt.virConnect:
    """Have a connection notice that its daemon is dead. Not every driver is remote; a local one can't lose its line."""
    with contextlib.suppress(libvirt.libvirtError):
        conn.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
    return conn


def _in_time(uri: str, done: threading.Event) -> libvirt.virConnect:
    """Open ``uri``, but don't wait for ever: a daemon that is stopped accepts and never answers.

    Somebody else may set ``done``, to have it waited for no longer.
    """
    outcome: list[libvirt.virConnect | Exception] = []
    given_up = threading.Event()
    handing_over = threading.Lock()

    def work() -> None:
        try:
            conn = libvirt.open(uri)
        except libvirt.libvirtError as error:
            outcome.append(error)
        else:
            with handing_over:
                outcome.append(conn)
                if given_up.is_set():
                    conn.close()
        done.set()

    threading.Thread(target=work, name="vhal-libvirt-open", daemon=True).start()
    in_time = done.wait(OPEN_S)
    with handing_over:
        if not outcome:
            given_up.set()
    if given_up.is_set():
        if in_time:
            raise _closed()
        raise HostUnreachable(
            f"libvirtd accepted the connection but didn't answer within {OPEN_S:g} s",
            hint="look at the daemon on that host; it may be stopped or overloaded",
            backend="libvirt",
        )
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result
