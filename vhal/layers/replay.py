"""A driver that answers from a recorded session, without an engine.

It is strict: the calls about one machine come in the order in which they were recorded, with the same arguments; those
about no machine, too. Calls about different machines may come in any order. So it proves that a program still does what
it did; what it would do on a host that answers otherwise, only a simulated one tells.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

from vhal.driver.capability import Capability
from vhal.driver.context import Context
from vhal.driver.event import Event
from vhal.errors import InvalidSpec, NotRecorded
from vhal.layers.calls import CALLS, PARTS, Call
from vhal.layers.encoding import plain, untagged
from vhal.layers.funnel import Funnel, Names, Part
from vhal.layers.record import UNTOLD
from vhal.layers.scrub import HIDDEN, blurred
from vhal.layers.session import RecordedCall, Session, read
from vhal.layers.streams import Given, ReplayedConsole, ReplayedProcess, replayed_archive

T = TypeVar("T")

_STREAMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "console": ReplayedConsole,
    "execute": ReplayedProcess,
    "read_archive": replayed_archive,
}


class Replay(Funnel):
    """A driver that answers from a session. Its clock is that of the recording.

    Concurrency: safe from any thread.
    """

    def __init__(self, session: Session, source: str = "the session") -> None:
        self._session = session
        self._source = source
        self._left: dict[str, deque[RecordedCall]] = {}
        first: dict[str, str] = {}
        for place, recorded in enumerate(session.calls):
            _check(recorded, f"{source}: calls[{place}]")
            self._left.setdefault(recorded.machine, deque()).append(recorded)
            ref = recorded.arguments.get("id")
            if isinstance(ref, str):
                # What a machine is called may have been known before the first call that was kept.
                first.setdefault(ref, recorded.machine)
        self._told = [_event(event.event, f"{source}: events[{n}]") for n, event in enumerate(session.events)]
        self._next_event = 0
        # A call that was under way when the recording was saved isn't in it, but what happened during it is.
        told = {number for event in session.events for number in (event.to, event.after)}
        self._answered = told - {call.number for call in session.calls}
        self._listeners: dict[int, Callable[[Event], None]] = {}
        self._names = Names(first)
        self._now_s = session.calls[0].begun_s if session.calls else 0.0
        self._lock = threading.RLock()

    @classmethod
    def load(cls, path: str | Path) -> Replay:
        """Return a driver that answers from the file that :meth:`vhal.layers.record.Recorder.save` wrote.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: It is damaged, something else, or written by a newer vhal.
        """
        return cls(read(path), str(path))

    @property
    def backend(self) -> str:  # type: ignore[override]
        """That of the recorded driver."""
        return self._session.backend

    @property
    def host_id(self) -> str:  # type: ignore[override]
        """That of the recorded driver."""
        return self._session.host_id

    def clock_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float, ctx: Context) -> None:
        self._now_s += seconds
        ctx.advance(seconds)
        ctx.check()

    def close(self) -> None:
        """Nothing to let go of."""

    def left(self) -> list[str]:
        """Return the recorded calls that nobody has made yet, in their order, as ``start 'web'``."""
        with self._lock:
            calls = sorted((call for queue in self._left.values() for call in queue), key=lambda call: call.number)
        return [_shown(call) for call in calls]

    def provides(self, capability: Capability[T]) -> T | None:
        if capability.id not in self._session.provides or capability.id not in PARTS:
            return None
        return cast(T, Part(PARTS[capability.id], self.send))

    def send(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        given = call.named(args, kwargs)
        with self._lock:
            machine = self._names.of(given)
            recorded = self._take(call.name, machine, given)
            self._now_s = max(self._now_s, recorded.ended_s)
            error = untagged(recorded.error)
            result = None if error is not None else self._result(recorded)
            self._names.learn(result)
            self._answered.add(recorded.number)
        for _ in given.get("archive", ()):
            pass  # whoever sends an archive sends all of it
        if error is not None:
            self._tell()
            raise error
        if "listener" in given:
            self._listeners[recorded.number] = given["listener"]
            result = self._unsubscribing(recorded.number)
        self._tell()
        return result

    def _result(self, recorded: RecordedCall) -> Any:
        stream = _STREAMS.get(recorded.call)
        return untagged(recorded.result) if stream is None else stream(recorded.result)

    def _unsubscribing(self, number: int) -> Callable[[], None]:
        return lambda: cast(None, self._listeners.pop(number, None))

    def _tell(self) -> None:
        """Send the events that came during the calls that were answered by now."""
        with self._lock:
            while self._next_event < len(self._told):
                recorded, event = self._session.events[self._next_event], self._told[self._next_event]
                if not self._answered.issuperset((recorded.to, recorded.after)):
                    return
                self._next_event += 1
                listener = self._listeners.get(recorded.to)
                if listener is not None:
                    listener(event)

    # finding the call

    def _take(self, call: str, machine: str, given: Mapping[str, Any]) -> RecordedCall:
        arguments = {name: plain(value) for name, value in given.items() if name not in UNTOLD}
        queue = self._left.get(machine)
        if queue and queue[0].call == call and not self._differences(queue[0].arguments, arguments):
            return queue.popleft()
        about = f"{call}{f' of machine {machine!r}' if machine else ''}"
        raise NotRecorded(
            f"{self._source}: {about} was not recorded here: {self._explanation(call, machine, arguments)}",
            hint="make the calls of the recording, in their order, or record it anew",
            machine=machine or None,
        )

    def _explanation(self, call: str, machine: str, arguments: dict[str, Any]) -> str:
        queue = self._left.get(machine)
        if queue is None:
            near = get_close_matches(machine, [name for name in self._left if name], 1, 0.0)
            return f"the nearest is {_shown(self._left[near[0]][0])}" if near and self._left[near[0]] else "nothing is"
        if not queue:
            return "all of its recorded calls have been made"
        same = [recorded for recorded in queue if recorded.call == call]
        nearest = min(
            same, key=lambda recorded: len(self._differences(recorded.arguments, arguments)), default=queue[0]
        )
        differences = self._differences(nearest.arguments, arguments) if same else []
        found = f"the nearest is {_shown(nearest)}"
        if differences:
            found += f", where {'; '.join(differences)}"
        if nearest is not queue[0]:
            found += f", but {_shown(queue[0])} comes before"
        return found

    def _differences(self, recorded: Any, given: Any, path: str = "") -> list[str]:
        """Return what differs, as sentences; what was scrubbed from the recording equals everything."""
        if isinstance(recorded, dict) and isinstance(given, dict):
            names = dict.fromkeys([*recorded, *given])
            return [
                line
                for name in names
                for line in self._differences(recorded.get(name), given.get(name), f"{path}.{name}" if path else name)
            ]
        if isinstance(recorded, list) and isinstance(given, list) and len(recorded) == len(given):
            pairs = enumerate(zip(recorded, given, strict=True))
            return [line for n, (old, new) in pairs for line in self._differences(old, new, f"{path}[{n}]")]
        if recorded in (given, HIDDEN):
            return []
        if isinstance(recorded, str) and isinstance(given, str) and self._same(recorded, given):
            return []
        return [f"{path} was {recorded!r} and is {given!r}"]

    def _same(self, recorded: str, given: str) -> bool:
        if self._session.pseudonyms:
            recorded, given = blurred(recorded), blurred(given)
        pattern = ".*".join(re.escape(part) for part in recorded.split(HIDDEN))
        return re.fullmatch(pattern, given, re.S) is not None


def _shown(recorded: RecordedCall) -> str:
    return f"{recorded.call}{f' {recorded.machine!r}' if recorded.machine else ''}"


def _check(recorded: RecordedCall, where: str) -> None:
    """Return if the call can be answered.

    Raises:
        vhal.errors.InvalidSpec: It can't: the file is damaged, or somebody changed it.
    """
    if recorded.call not in CALLS:
        near = get_close_matches(recorded.call, CALLS, 1, 0.3)
        raise InvalidSpec(
            f"{where}.call: there is no call {recorded.call!r}",
            problems=[("call", "there is no such call")],
            hint=f"did you mean {near[0]!r}?" if near else "record it anew",
        )
    try:
        untagged(recorded.error)
        if recorded.call in _STREAMS and recorded.error is None:
            Given(recorded.result)
        else:
            untagged(recorded.result)
    except (InvalidSpec, KeyError, TypeError, ValueError) as error:
        raise InvalidSpec(f"{where}: damaged: {error}", problems=[(where, "damaged")], hint="record it anew") from error


def _event(data: dict[str, Any], where: str) -> Event:
    event = untagged(data)
    if not isinstance(event, Event):
        raise InvalidSpec(f"{where}: that is no event", problems=[(where, "no event")], hint="record it anew")
    return event
