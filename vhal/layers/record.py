"""Keeps every call of a driver: for the assertions of a test, and for a file that answers in the engine's stead.

How secrets are taken out of the file is in :mod:`vhal.layers.scrub`, its format in :mod:`vhal.layers.session`, and
what answers from it is :mod:`vhal.layers.replay`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vhal.driver.capability import CAPABILITIES
from vhal.driver.driver import Driver
from vhal.driver.event import Event
from vhal.errors import VhalError
from vhal.layers.calls import Call
from vhal.layers.encoding import plain, tagged
from vhal.layers.funnel import Around, Names
from vhal.layers.layer import typed
from vhal.layers.scrub import Pseudonyms, Scrubber
from vhal.layers.session import FORMAT, VERSION, write
from vhal.layers.streams import Kept, RecordedConsole, RecordedProcess, recorded_archive
from vhal.layers.words import words

UNTOLD = frozenset({"ctx", "listener", "archive"})
"""Arguments that are no data."""


@dataclass(slots=True)
class Record:
    """One call that was made."""

    number: int
    """Its place among the calls, from 1, by when they began."""
    call: str
    """``create``, ``migration.offer``."""
    machine: str
    """Name of the machine that it is about, its id if the name isn't known, or nothing."""
    given: dict[str, Any]
    """What it was called with, by the contract's names."""
    thread: str
    begun_s: float
    """By the clock of the host."""
    ended_s: float | None = None
    """None while it is under way."""
    result: Any = None
    """What it returned; of a console, a program or an archive, what was read from it."""
    error: Exception | None = None
    """What it raised, as one of :mod:`vhal.errors`."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What it was called with, JSON-ready."""
        return {name: plain(value) for name, value in self.given.items() if name not in UNTOLD}

    def __str__(self) -> str:
        about = f" {self.machine!r}" if self.machine else ""
        return f"{self.call}{about}{f' → {type(self.error).__name__}' if self.error else ''}"


class Recorder(Around):
    """A driver around a driver that keeps what passes.

    What the core calls by itself is kept as well: it looks at a machine before it changes it.

    Concurrency: safe from any thread; the order is that in which calls began.

    Args:
        inner: The driver, open.
    """

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self._records: list[Record] = []
        self._events: list[tuple[int, int, Event]] = []
        self._made = 0
        self._names = Names()
        self._lock = threading.Lock()
        self._provides = [id for id, key in CAPABILITIES.items() if inner.provides(key) is not None]  # noqa: A001

    def around(self, call: Call, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        given = call.named(args, kwargs)
        record = self._begun(call, given)
        if "listener" in given:
            given["listener"] = self._listening(given["listener"], record.number)
            args, kwargs = tuple(given.values()), {}
        try:
            result = method(*args, **kwargs)
        except Exception as error:
            record.error = typed(self.inner, error)
            raise
        except BaseException as error:
            record.error = VhalError(f"it was interrupted: {type(error).__name__}")
            raise
        else:
            self._names.learn(result)
            return self._kept(call, record, result)
        finally:
            record.ended_s = self.inner.clock_s()

    # looking

    def calls(self, call: str = "*", machine: str | None = None) -> list[Record]:
        """Return the calls of that name (``*`` and ``?`` are wildcards), of all machines or of one, in their order."""
        return [
            record
            for record in list(self._records)
            if fnmatchcase(record.call, call) and machine in (None, record.machine)
        ]

    def count(self, call: str = "*", machine: str | None = None) -> int:
        """Return how many there are."""
        return len(self.calls(call, machine))

    def clear(self) -> None:
        """Forget what has been so far."""
        with self._lock:
            self._records.clear()
            self._events.clear()

    def assert_called(
        self, call: str, *, machine: str | None = None, times: int | None = None, **arguments: Any
    ) -> None:
        """Assert that there was such a call.

        Args:
            call: Its name; ``*`` and ``?`` are wildcards.
            machine: Only of that one.
            times: Exactly so often; None for once or more.
            arguments: What it was called with, by the contract's names; those that aren't given may be anything.

        Raises:
            AssertionError: There wasn't; the message has the calls that there were.
        """
        found = self.calls(call, machine)
        wanted = {name: plain(value) for name, value in arguments.items()}
        fitting = [record for record in found if _has(record.arguments, wanted)]
        if len(fitting) == times or (times is None and fitting):
            return
        what = f"{call}{f' of {machine!r}' if machine else ''}{f' with {wanted}' if wanted else ''}"
        often = "" if times is None else f" {times} times"
        near = "; ".join(f"{record} with {record.arguments}" for record in found) or self._shown()
        raise AssertionError(f"{what} was not called{often}, but {len(fitting)} times; there were: {near}")

    def assert_order(self, *calls: str, machine: str | None = None) -> None:
        """Assert that these calls were made one after the other, whatever was called in between.

        Raises:
            AssertionError: They weren't; the message names the first that is missing.
        """
        records = iter(self.calls(machine=machine))
        for place, call in enumerate(calls):
            if not any(fnmatchcase(record.call, call) for record in records):
                after = f" after {calls[place - 1]}" if place else ""
                raise AssertionError(f"{call} was not called{after}; there were: {self._shown(machine)}")

    def _shown(self, machine: str | None = None) -> str:
        return ", ".join(str(record) for record in self.calls(machine=machine)) or "no calls"

    # keeping

    def save(self, path: str | Path, *, pseudonyms: Pseudonyms | bool = False) -> None:
        """Write what was recorded so far to a file that :class:`~vhal.layers.replay.Replay` answers from.

        Secrets are taken out; the file can be read by its owner only. Calls under way are left out.

        Args:
            path: Where to; a file that is there is replaced.
            pseudonyms: Give hosts, ids and addresses other names, too. Recordings of hosts that a machine moved
                between share one :class:`~vhal.layers.scrub.Pseudonyms`.

        Raises:
            vhal.errors.InvalidSpec: It can't be written.
        """
        with self._lock:
            records = [record for record in self._records if record.ended_s is not None]
            events = list(self._events)
        others = Pseudonyms() if pseudonyms is True else pseudonyms or None
        data = {
            "format": FORMAT,
            "version": VERSION,
            "backend": self.backend,
            "host_id": self.host_id,
            "provides": self._provides,
            "pseudonyms": others is not None,
            "calls": [_data(record) for record in records],
            "events": [{"to": to, "after": after, "event": tagged(event)} for to, after, event in events],
        }
        names = {record.machine for record in records} | {self.backend} | words()
        scrubber = Scrubber(_user_data(records), names, others, _hosts(records, events))
        write(scrubber.scrubbed(data), path)

    def _begun(self, call: Call, given: dict[str, Any]) -> Record:
        machine, thread, now = self._names.of(given), threading.current_thread().name, self.inner.clock_s()
        # What can change until somebody looks is copied; the nouns can't.
        kept = {name: _fixed(value) for name, value in given.items()}
        with self._lock:
            self._made += 1
            record = Record(self._made, call.name, machine, kept, thread, now)
            self._records.append(record)
        return record

    def _kept(self, call: Call, record: Record, result: Any) -> Any:
        if call.name == "console":
            record.result = Kept("console", self._typed)
            return RecordedConsole(result, record.result)
        if call.name == "execute":
            record.result = Kept("process", self._typed)
            return RecordedProcess(result, record.result)
        if call.name == "read_archive":
            record.result = Kept("archive", self._typed)
            return recorded_archive(iter(result), record.result)
        record.result = None if call.name == "subscribe" else _fixed(result)
        return result

    def _typed(self, error: Exception) -> Exception:
        return typed(self.inner, error)

    def _listening(self, listener: Callable[[Event], None], to: int) -> Callable[[Event], None]:
        def listen(event: Event) -> None:
            with self._lock:
                self._events.append((to, self._made, event))
            listener(event)

        return listen


def _fixed(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, list)) else value


def _has(arguments: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(name in arguments and arguments[name] == value for name, value in wanted.items())


def _data(record: Record) -> dict[str, Any]:
    result = record.result.data() if isinstance(record.result, Kept) else tagged(record.result)
    return {
        "number": record.number,
        "call": record.call,
        "machine": record.machine,
        "arguments": record.arguments,
        "result": result,
        "error": None if record.error is None else tagged(record.error),
        "begun_s": record.begun_s,
        "ended_s": record.ended_s,
        "thread": record.thread,
    }


def _user_data(records: list[Record]) -> Iterator[str]:
    """Yield what was in user-data: all of it, and each word that is no key, and its parts: ``root:PASSWORD``."""
    for record in records:
        init = getattr(record.given.get("spec"), "init", None)
        if init is not None and init.user_data is not None:
            text = init.user_data.get_secret_value()
            yield text
            for word in text.split():
                if not word.endswith(":"):
                    yield word.strip("\"',")
                    yield from re.split(r"[:=,|\"'\[\]{}]", word)


def _hosts(records: list[Record], events: list[tuple[int, int, Event]]) -> set[str]:
    described = {record.result.name for record in records if record.call == "describe" and record.result is not None}
    return described | {event.host for _, _, event in events}
