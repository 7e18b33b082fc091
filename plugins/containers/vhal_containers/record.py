"""What vhal remembers about a machine and may change: its sizes, whether it is saved, its snapshots, its epoch.

A container's configuration and labels can't be changed, and podman forgets limits that were updated when the container
starts the next time. So this is in the labels of a volume of its own, without content, which hardly costs anything and
which a list of volumes tells for all machines at once. A machine to which nothing has happened has none.

A volume's labels can't be changed either: a change makes a new volume, numbered one higher, and then deletes the old
one. In this order, because a process that dies in between leaves two, of which the higher number counts, and not none,
which would be snapshots that nobody knows of. And because a name can be taken once only, of two that change a record at
the same time one fails to make its volume, reads again, and changes what the other has written. For the same reason a
record that has become empty is kept: numbers never begin again while the machine lives.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from vhal_containers.api import ApiError, Failure
from vhal_containers.api.types import Volume
from vhal_containers.engine import Engine, name_taken
from vhal_containers.identity import PREFIX

MACHINE = f"{PREFIX}machine"
"""Label of a record's volume: the machine's id."""
RECORD = f"{PREFIX}record"
"""Label of a record's volume: the record as JSON."""

_NAME = re.compile(r"vhal-record-[0-9a-f]{1,64}-([0-9]{1,9})")
_KILLED = 128 + 9
_NEW_S = 0.25
_MOST_TRIES = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One kept state of a machine."""

    name: str
    created: float
    """Seconds since the epoch, by the host's clock."""
    memory: bool = False
    image: str = ""
    """Id of the image that has its file system."""
    archive: str = ""
    """Name of what has its memory, if it has any."""
    cpus: int | None = None
    """Processors that the machine had."""
    size: int | None = None
    """Bytes of memory that the machine had."""


@dataclass(frozen=True, slots=True)
class Record:
    """One machine's memory."""

    cpus: int | None = None
    """Processors, where they aren't those of the spec."""
    memory: int | None = None
    """Bytes, where they aren't those of the spec."""
    saved_at: float | None = None
    """When its memory was saved, in seconds by the host's clock. It counts unless the machine was started since."""
    freezing: float | None = None
    """Start of the life in which it was to be frozen, by the host's clock. Whether it was, only its end can tell."""
    epoch: int | None = None
    """The machine's epoch, where it isn't its label's: a container that moved with its memory kept its labels."""
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def resized(self) -> bool:
        """Whether the sizes aren't those that the container was made with."""
        return self.cpus is not None or self.memory is not None

    def saved(self, started: float, exit_code: int) -> bool:
        """Return whether a container that has ended is saved, as far as its engine doesn't know it.

        An engine that is killed while it freezes a container doesn't. One that was only to be frozen may have run on
        and ended by itself: what CRIU has saved it ends with SIGKILL, and with nothing else.

        Args:
            started: When it was started last, in seconds by the host's clock.
            exit_code: The engine's word for how it ended.
        """
        if self.saved_at is not None and started <= self.saved_at:
            return True
        return self.freezing is not None and started <= self.freezing and exit_code == _KILLED

    def snapshot(self, name: str) -> Snapshot | None:
        """Return the snapshot of that name, or None."""
        return next((snapshot for snapshot in self.snapshots if snapshot.name == name), None)


EMPTY = Record()


def write(record: Record) -> str:
    """Return a record as JSON, without what is as in an empty one."""
    facts = {key: value for key, value in asdict(record).items() if value not in (None, (), [])}
    return json.dumps(facts, separators=(",", ":"))


def read(text: str) -> Record:
    """Return the record in a JSON text; what can't be read of it counts as not there."""
    try:
        facts = json.loads(text)
    except ValueError:
        return EMPTY
    if not isinstance(facts, dict):
        return EMPTY
    snapshots = facts.get("snapshots")
    return Record(
        cpus=_count(facts.get("cpus")),
        memory=_count(facts.get("memory")),
        saved_at=_time(facts.get("saved_at")),
        freezing=_time(facts.get("freezing")),
        epoch=_count(facts.get("epoch")),
        snapshots=tuple(_snapshots(snapshots)) if isinstance(snapshots, list) else (),
    )


class Records:
    """The records of one engine's machines. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._new = ("", 0.0)
        # Other processes are kept apart by the volume's name, which only one of two can take; that would fail if two of
        # them wrote one after the other while a third one was between its look and its write.
        self._changing = threading.Lock()

    def made(self, machine: str) -> None:
        """Take note of a machine that was made right now: it has no record, and mostly it is started next."""
        self._new = (machine, time.monotonic())

    def all(self) -> dict[str, Record]:
        """Return every record by its machine's id. One request."""
        return {machine: read(volume.labels[RECORD]) for machine, volume in _newest(self._volumes(None)).items()}

    def of(self, machine: str) -> Record:
        """Return one machine's record. One request, or none at the first look at one that was made a moment ago."""
        machine_made, made_at = self._new
        if machine_made == machine and time.monotonic() - made_at < _NEW_S:
            # Once: whoever looks again may look for what another connection has written meanwhile.
            self._new = ("", 0.0)
            return EMPTY
        found = _newest(self._volumes(machine)).get(machine)
        return EMPTY if found is None else read(found.labels[RECORD])

    def change(self, machine: str, change: Callable[[Record], Record]) -> Record:
        """Keep what ``change`` makes of a machine's record, and return it.

        ``change`` is called again if somebody else changed the record meanwhile.

        Raises:
            vhal_containers.api.ApiError: The engine doesn't make the volume; the record is as it was.
        """
        with self._changing:
            self._new = ("", 0.0)
            for _ in range(_MOST_TRIES):
                volumes = self._volumes(machine)
                newest = _newest(volumes).get(machine)
                before = EMPTY if newest is None else read(newest.labels[RECORD])
                after = change(before)
                if after == before:
                    return after
                try:
                    self._create(machine, 1 if newest is None else _number(newest) + 1, after)
                except ApiError as error:
                    if not name_taken(error):
                        raise
                    continue
                # It is changed now. What can't be deleted doesn't count any more, and goes with the next change.
                with contextlib.suppress(Failure):
                    self._delete(volumes)
                return after
            raise RuntimeError(f"the record of machine {machine} is changed all the time")

    def update(self, machine: str, **changes: Any) -> Record:
        """Keep a machine's record with some of its fields changed, and return it."""
        return self.change(machine, lambda record: replace(record, **changes))

    def not_saved(self, machine: str, record: Record) -> None:
        """Note that a machine with this record isn't saved, nor to be. No request where that isn't new."""
        if record.saved_at is not None or record.freezing is not None:
            self.update(machine, saved_at=None, freezing=None)

    def remove(self, machine: str) -> None:
        """Forget what is remembered about a machine. Does nothing if there is nothing."""
        self._new = ("", 0.0)
        self._delete(self._volumes(machine))

    def _volumes(self, machine: str | None) -> list[Volume]:
        label = MACHINE if machine is None else f"{MACHINE}={machine}"
        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                found = self._engine.api.volumes.list(filters={"label": [label]})
            except ApiError as error:
                # podman lists names first and looks each one up then; one may have been deleted in between.
                if not tries_left or "no such volume" not in error.cause:
                    raise
            else:
                return [volume for volume in found if RECORD in volume.labels]
        raise AssertionError("the last try returns or raises")

    def _create(self, machine: str, number: int, record: Record) -> None:
        name = f"vhal-record-{machine.replace('-', '')}-{number}"
        self._engine.api.volumes.create(name, labels={MACHINE: machine, RECORD: write(record)})

    def _delete(self, volumes: Iterable[Volume]) -> None:
        # The oldest first: whenever this ends early, the newest is still there.
        for volume in sorted(volumes, key=_number):
            self._engine.remove_volume(volume.name)


def _newest(volumes: Iterable[Volume]) -> dict[str, Volume]:
    found: dict[str, Volume] = {}
    for volume in sorted(volumes, key=_number):
        found[volume.labels.get(MACHINE, "")] = volume
    return found


def _number(volume: Volume) -> int:
    match = _NAME.fullmatch(volume.name)
    return int(match[1]) if match else 0


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _snapshots(values: list[Any]) -> Iterable[Snapshot]:
    for value in values:
        if isinstance(value, dict) and isinstance(name := value.get("name"), str):
            yield Snapshot(
                name,
                _time(value.get("created")) or 0.0,
                value.get("memory") is True,
                str(value.get("image") or ""),
                str(value.get("archive") or ""),
                _count(value.get("cpus")),
                _count(value.get("size")),
            )
