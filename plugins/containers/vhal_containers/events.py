"""What the engine tells, as vhal's events.

The engine tells of each step: one restart is five. Here they become what happened to the machine.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from vhal.driver import Event, EventKind
from vhal_containers import docker
from vhal_containers.api import Failure
from vhal_containers.api.feed import Feed
from vhal_containers.api.types import EngineEvent
from vhal_containers.engine import Engine
from vhal_containers.identity import identity
from vhal_containers.snapshots import ASIDE
from vhal_containers.steps import Steps

_PLAIN = {
    "create": EventKind.CREATED,
    "start": EventKind.STARTED,
    "died": EventKind.STOPPED,
    "pause": EventKind.PAUSED,
    "unpause": EventKind.RESUMED,
    "checkpoint": EventKind.SAVED,
    "restore": EventKind.RESTORED,
    "remove": EventKind.DELETED,
    # Docker tells of a restart when it is over.
    "restarted": EventKind.REBOOTED,
    "rename": EventKind.CHANGED,
    "update": EventKind.CHANGED,
}
_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 10.0
_NS = 1_000_000_000

Listener = Callable[[Event], None]


class EventMapping:
    """Maps one engine's events. It remembers who is restarting, since only the end of that is an event.

    Args:
        host: The host's name, for the events.
        steps: What is a part of something longer; looked at when something is told.
    """

    def __init__(self, host: str, steps: Steps | None = None) -> None:
        self._host = host
        self._steps = steps or Steps()
        self._prepared: set[str] = set()
        self._restarting: dict[str, list[EngineEvent]] = {}
        self._replaced: set[str] = set()

    def events(self, told: EngineEvent) -> list[Event]:
        """Return what the engine's event means for its machine: mostly one event, or none."""
        container, action = told.id, told.action
        machine = identity(told.id, told.attributes).id
        if told.name.endswith(ASIDE):
            # A revert puts its container aside for a new one, and removes it; the machine is there all the time.
            (self._replaced.discard if action == "remove" else self._replaced.add)(machine)
            return []
        meanings = self._steps.of(machine, action, told.time_ns or time.time_ns())
        if meanings is not None:
            kind = meanings[action]
            return [] if kind is None else [self._event(kind, told)]
        if action == "create" and machine in self._replaced:
            return [self._event(EventKind.CHANGED, told)]
        if action == "restart":
            self._restarting[container] = []
            return []
        if action == "init":
            self._prepared.add(container)
            return []
        held = self._restarting.get(container)
        if held is not None and action == "died":
            held.append(told)
            return []
        if action not in _PLAIN:
            return []
        prepared = container in self._prepared
        self._prepared.discard(container)
        if action == "died" and prepared:
            return []  # it was made ready and never started
        self._restarting.pop(container, None)
        if held is not None and action == "start":
            return [self._event(EventKind.REBOOTED, told)]
        return [*(self._event(EventKind.STOPPED, one) for one in held or ()), self._event(_PLAIN[action], told)]

    def _event(self, kind: EventKind, told: EngineEvent) -> Event:
        moment = told.time_ns / _NS if told.time_ns else time.time()
        code = told.attributes.get("containerExitCode", "")
        detail = f"exit code {code}" if kind is EventKind.STOPPED and code else ""
        # What an event knows of a container, its labels included, is in its attributes.
        return Event(kind, identity(told.id, told.attributes).id, told.name, self._host, moment, detail)


class Subscription:
    """Reads the engine's events in a thread of its own, and passes them on, until it is cancelled.

    When the engine goes away it is tried again until it is back, and told events are asked for from where they ended.

    Args:
        engine: Whose events.
        mapping: What they mean.
        listener: Who is told. It doesn't raise.
    """

    def __init__(self, engine: Engine, mapping: EventMapping, listener: Listener) -> None:
        self._engine = engine
        self._mapping = mapping
        self._listener = listener
        self._telling = threading.RLock()
        self._cancelled = threading.Event()
        # The engine's clock counts, which is ours if it is on this machine.
        self._last_ns = time.time_ns() if engine.address.local else 0
        # Opened here and not in the thread: what happens after subscribing is told.
        self._feed: Feed[EngineEvent] | None = self._open()
        self._thread = threading.Thread(target=self._run, name="vhal-containers-events", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End it. After this no call of the listener is under way or begins. Idempotent; never raises."""
        self._cancelled.set()
        feed = self._feed
        if feed is not None:
            with contextlib.suppress(Exception):
                feed.close()
        with self._telling:
            pass
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=_LAST_PAUSE_S)

    def _open(self) -> Feed[EngineEvent]:
        since = self._last_ns // _NS or None
        return self._engine.api.events(filters={"type": ["container"]}, since=since)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._cancelled.is_set():
            try:
                if self._feed is None:
                    self._feed = self._open()
                    self._engine.forget()
                for told in self._feed:
                    pause_s = _FIRST_PAUSE_S
                    self._tell(told)
            except Failure:
                pass  # it is gone; it may come back
            if self._cancelled.wait(pause_s):
                break
            pause_s = min(_LAST_PAUSE_S, 2 * pause_s)
            self._drop()
        self._drop()

    def _tell(self, told: EngineEvent) -> None:
        with self._telling:
            # What was told before the engine went away comes again after it.
            if self._cancelled.is_set() or told.type != "container" or told.time_ns <= self._last_ns:
                return
            self._last_ns = told.time_ns
            found = self._mapping.events(told)
            if found and self._engine.kind == docker.KIND:
                docker.until_listed(self._engine, told)
            for event in found:
                self._listener(event)

    def _drop(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            with contextlib.suppress(Exception):
                feed.close()
