"""The machines of an engine: all of them in two requests, or one of them with all that is known about it.

A container is a machine whoever made it. Whether vhal made it, and as which machine, its labels say; what changes is in
the record (:mod:`vhal_containers.record`). Nothing is remembered here but which container a machine was last.

A list tells sizes and saved memory only as far as labels and records do: for a container of somebody else, 0 processors
and 0 bytes, which also stand for "no limit". :meth:`Inventory.find` asks the engine for these.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from vhal.errors import NotFound
from vhal.spec import Bytes, MachineInfo, MachineKind, MachineSpec, MachineState
from vhal_containers import identity as identities
from vhal_containers.api import ApiError
from vhal_containers.api.types import Container, ListedContainer
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.identity import ID, Identity, identity
from vhal_containers.record import EMPTY, Record, Records

_SHORTEST_ID = 12
"""Of podman's own ids a beginning is enough; a shorter one is as likely a slip."""
_LATELY_S = 0.25

_STATES = {
    "created": MachineState.STOPPED,
    "configured": MachineState.STOPPED,
    "initialized": MachineState.STOPPED,
    "exited": MachineState.STOPPED,
    "stopped": MachineState.STOPPED,
    "running": MachineState.RUNNING,
    "paused": MachineState.PAUSED,
    "stopping": MachineState.STOPPING,
    # Docker's, of one that ended and is to be started again.
    "restarting": MachineState.STARTING,
    "removing": MachineState.STOPPING,
    "dead": MachineState.CRASHED,
}
_ENDED = ("exited", "stopped")


@dataclass(frozen=True, slots=True)
class Found:
    """One machine, as it was a moment ago."""

    podman_id: str
    """What to call it in requests: its own name and id may be another container's one day."""
    info: MachineInfo
    container: Container
    """All that the engine says about it."""
    identity: Identity
    record: Record

    @property
    def spec(self) -> MachineSpec | None:
        """What it was made from, if vhal made it."""
        return self.info.spec


@dataclass(frozen=True, slots=True)
class _Listed:
    container: ListedContainer
    started_at: int
    identity: Identity


class Inventory:
    """Lists and looks up machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, records: Records) -> None:
        self._engine = engine
        self._records = records
        self._last: dict[str, str] = {}
        self._recent = threading.local()

    def machines(self) -> list[MachineInfo]:
        """Return every machine, without specs. Two requests."""
        listed = self._list(None)
        records = self._records.all()
        self._last = {item.identity.id: item.container.id for item in listed}
        return [_listed_info(item, records.get(item.identity.id, EMPTY)) for item in listed]

    def containers(self) -> dict[str, str]:
        """Return the id of every machine by podman's id of its container. One request."""
        return {item.container.id: item.identity.id for item in self._list(None)}

    def find(self, ref: str) -> Found:
        """Return one machine by its id, by podman's id of its container (12 characters are enough), or by its name.

        Two requests for a machine that was seen before, three or four for others.

        Raises:
            vhal.errors.NotFound: There is none.
        """
        container = self._container(ref)
        if container is None:
            raise NotFound(
                f"there is no machine {ref!r} on {self._engine.name}",
                hint="machines() lists what is there",
                backend="containers",
                machine=ref,
            )
        who = self._who(container)
        self._last[who.id] = container.id
        record = self._records.of(who.id)
        found = Found(container.id, _info(container, who, record), container, who, record)
        self._recent.found = (time.monotonic(), found)
        return found

    def lately(self, id: str) -> Found:
        """Return what this thread found of a machine a moment ago, or find it.

        A call that changes a machine is preceded by a look at it, so that this spares the second one. What another
        program does in between, the engine refuses if it matters.
        """
        recent: tuple[float, Found] | None = getattr(self._recent, "found", None)
        if recent is not None and recent[1].info.id == id and time.monotonic() - recent[0] < _LATELY_S:
            return recent[1]
        return self.find(id)

    def made(self, id: str, podman_id: str, spec: MachineSpec) -> MachineInfo:
        """Return a machine that has just been made, which nobody can have changed yet."""
        self._last[id] = podman_id
        self._records.made(id)
        return MachineInfo(
            id=id,
            name=spec.name,
            kind=MachineKind.CONTAINER,
            state=MachineState.STOPPED,
            cpus=spec.cpus.count,
            memory=spec.memory.size,
            labels=spec.labels,
            managed=True,
            spec=spec.without_secrets(),
        )

    def exists(self, name: str) -> bool:
        """Return whether a container has exactly this name."""
        container = self._inspect(name)
        return container is not None and container.name == name

    def forget(self, id: str) -> None:
        """Look for the container of a machine anew next time."""
        self._last.pop(id, None)
        self._recent.found = None

    def _list(self, machine: str | None) -> list[_Listed]:
        filters = None if machine is None else {"label": [f"{ID}={machine}"]}
        # What holds a pod's namespaces together is the engine's own affair.
        return _originals(
            [
                _Listed(item, item.started_at, identity(item.id, item.labels))
                for item in self._engine.api.containers.list(filters=filters)
                if not item.infra
            ]
        )

    def _container(self, ref: str) -> Container | None:
        if not ref:
            return None
        if identities.is_machine_id(ref):
            known = self._last.get(ref)
            container = None if known is None else self._inspect(known)
            if container is not None and self._who(container).id == ref:
                return container
            for item in self._list(ref):
                if item.identity.id == ref:
                    return self._inspect(item.container.id)
        container = self._inspect(ref)
        if container is None:
            return None
        by_id = len(ref) >= _SHORTEST_ID and container.id.startswith(ref)
        return container if by_id or container.name == ref else None

    def _inspect(self, ref: str) -> Container | None:
        try:
            return self._engine.api.containers.inspect(ref)
        except ApiError as error:
            # A beginning of several ids is nobody's.
            if error.status == NOT_FOUND or "more than one" in error.message:
                return None
            raise

    def _who(self, container: Container) -> Identity:
        who = identity(container.id, container.labels)
        if who.wanted is None or who.wanted.name == container.name:
            return who
        # It was renamed, or it is another container with the machine's labels, such as one of an image made from it.
        for item in self._list(who.id):
            if item.container.id == container.id:
                return item.identity
        return who


def _originals(listed: list[_Listed]) -> list[_Listed]:
    """Return the list with those that only have another machine's labels as machines of their own.

    Of several containers with one id, the one with the name in the spec is the machine, or else the oldest.
    """
    by_id: dict[str, list[_Listed]] = defaultdict(list)
    for item in listed:
        by_id[item.identity.id].append(item)
    if len(by_id) == len(listed):
        return listed
    originals = {items[0].container.id if len(items) == 1 else _original(items) for items in by_id.values()}
    return [
        item
        if item.container.id in originals
        else _Listed(item.container, item.started_at, identities.foreign(item.container.id, item.container.labels))
        for item in listed
    ]


def _original(items: Iterable[_Listed]) -> str:
    def rank(item: _Listed) -> tuple[bool, float]:
        wanted, created = item.identity.wanted, item.container.created
        return (wanted is None or wanted.name != item.container.name, created.timestamp() if created else 0.0)

    return min(items, key=rank).container.id


def state_of(status: str) -> MachineState:
    """Return what podman's word for a container's state means."""
    return _STATES.get(status, MachineState.UNKNOWN)


def _listed_info(item: _Listed, record: Record) -> MachineInfo:
    container, who = item.container, item.identity
    state = state_of(container.state)
    if container.state in _ENDED and record.saved(item.started_at, container.exit_code):
        state = MachineState.SAVED
    wanted = who.wanted
    return MachineInfo.trusted(
        id=who.id,
        name=container.name,
        kind=MachineKind.CONTAINER,
        state=state,
        cpus=record.cpus or (wanted.cpus if wanted else 0),
        memory=Bytes(record.memory) if record.memory else (wanted.memory if wanted else Bytes(0)),
        labels=who.labels,
        managed=who.managed,
        epoch=max(who.epoch, record.epoch or 1),
    )


def _info(container: Container, who: Identity, record: Record) -> MachineInfo:
    wanted = who.wanted
    return MachineInfo.trusted(
        id=who.id,
        name=container.name,
        kind=MachineKind.CONTAINER,
        state=_state(container, record),
        cpus=record.cpus or (wanted.cpus if wanted else _cpus(container)),
        memory=Bytes(record.memory or (wanted.memory if wanted else container.limits.memory)),
        labels=who.labels,
        managed=who.managed,
        epoch=max(who.epoch, record.epoch or 1),
        spec=identities.spec_of(who),
    )


def _state(container: Container, record: Record) -> MachineState:
    state, status = container.state, container.state.status
    if status in _ENDED:
        started = state.started_at.timestamp() if state.started_at else 0.0
        if state.checkpointed or record.saved(started, state.exit_code):
            return MachineState.SAVED
        if state.out_of_memory:
            return MachineState.CRASHED
    return state_of(status)


def _cpus(container: Container) -> int:
    limits = container.limits
    if limits.cpu_quota > 0:
        return ceil(limits.cpu_quota / (limits.cpu_period or 100_000))
    return 0
