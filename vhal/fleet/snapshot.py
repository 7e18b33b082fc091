"""A fleet at one moment: its hosts, its machines, and what must hold. Everything that is decided is decided from this.

It is data, with no connection behind it: it can be kept in a file, and gives the same decision again anywhere. Who
takes it is :mod:`vhal.fleet.members.inventory`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.fleet.document import Document
from vhal.fleet.rules import Rule
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineKind
from vhal.spec.model import Model
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes
from vhal.spec.usage import Usage

__all__ = ["FORMAT", "FleetSnapshot", "HostStatus", "Load", "SeenHost", "SeenMachine"]

FORMAT = 1
"""Version of the file format. Another one is refused; an older one would be converted when it is read."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(ge=1, le=64)]


class Load(Model):
    """What is used, smoothed over time; not what was given away."""

    cpus: Amount = 0.0
    """Processors kept busy: 1.5 is one and a half."""
    memory: Amount = 0.0
    """Bytes held."""
    disk: Amount = 0.0
    """Bytes read and written a second."""
    network: Amount = 0.0
    """Bytes received and sent a second."""


class HostStatus(StrEnum):
    """What may be done with a host."""

    UP = "up"
    CORDONED = "cordoned"
    """Its machines run on; nothing new is put there."""
    DRAINING = "draining"
    """Nothing new is put there, and what is there shall leave."""
    UNREACHABLE = "unreachable"
    """It didn't answer. What is known of it is old or nothing; nothing is planned with it."""


class _Seen(Model):
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changes, without what was found out from the former fields and is kept beside them."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


class SeenHost(_Seen):
    """A host as it was seen."""

    name: str
    uuid: str
    url: str = ""
    """How it is reached; without secrets. Empty in a made-up fleet."""
    backend: str = ""
    status: HostStatus = HostStatus.UP
    reason: str = ""
    """Why it is unreachable or cordoned, in words."""
    cpus: Count = 0
    """Logical processors."""
    memory: Bytes = Bytes(0)
    """All there is."""
    reserved_cpus: Amount = 0.0
    reserved_memory: Bytes = Bytes(0)
    """What the host keeps for itself: machines never get it."""
    overcommit: Factor = 1.0
    """How many virtual processors may be given away for each of the host's."""
    gpus: FrozenDict[str, int] = FrozenDict()
    """Model → how many of them it has."""
    load: Load | None = None
    """What the host itself measures, with all that runs on it; None where it doesn't tell."""
    bandwidth: Amount = 0.0
    """Bytes a second of its way to the other hosts; 0 where it isn't known."""
    labels: FrozenDict[str, str] = FrozenDict()

    @property
    def cpus_to_give(self) -> float:
        """Virtual processors that machines may get in all: of the processors that the host doesn't keep."""
        return max(0.0, (self.cpus - self.reserved_cpus) * self.overcommit)

    @property
    def memory_to_give(self) -> int:
        """Bytes that machines may get in all."""
        return max(0, self.memory - self.reserved_memory)

    @cached_property
    def words(self) -> Mapping[str, str]:
        """What a selector of hosts looks at: the labels, ``name``, ``host`` (the same), ``backend`` and ``status``."""
        facts = {"name": self.name, "host": self.name, "backend": self.backend, "status": str(self.status)}
        return {**self.labels, **facts}

    def domain(self, key: str) -> str | None:
        """Return which domain of a kind it is in (``host`` is itself, others are labels), or None if in none."""
        return self.name if key == "host" else self.labels.get(key)


class SeenMachine(_Seen):
    """A machine as it was seen, on its host."""

    id: str
    name: str
    host: str
    """Name of the host in this snapshot."""
    kind: MachineKind = MachineKind.VM
    state: MachineState = MachineState.RUNNING
    cpus: Count = 1
    memory: Bytes = Bytes(0)
    """What it was promised."""
    gpus: FrozenDict[str, int] = FrozenDict()
    """Model → how many of them it holds; the model is ``""`` where any will do."""
    load: Load | None = None
    usage: Usage | None = None
    """The counters that the load is from, as they were then: what was done between two looks isn't smoothed."""
    dirty_rate: Amount = 0.0
    """Bytes of memory a second that it writes anew; 0 where it isn't known."""
    movable: bool = True
    """Whether the backend says that it can move as it is now."""
    reason: str = ""
    """Why it can't."""
    moved_s: float | None = None
    """When it moved last, on the clock of ``taken_s``; None where it never did, or nobody knows."""
    labels: FrozenDict[str, str] = FrozenDict()

    @cached_property
    def words(self) -> Mapping[str, str]:
        """What a selector of machines looks at: the labels, ``name``, ``id``, ``host``, ``kind`` and ``state``."""
        facts = {"name": self.name, "id": self.id, "host": self.host, "kind": str(self.kind), "state": str(self.state)}
        return {**self.labels, **facts}


S = TypeVar("S", SeenHost, SeenMachine)


class FleetSnapshot(_Seen, Document):
    """A fleet at one moment.

    Raises:
        vhal.errors.InvalidSpec: Two hosts have one name or uuid, or a machine is on a host that isn't there.
    """

    made_by = "vhal fleet capture"

    format: int = FORMAT
    taken_s: float = 0.0
    """When, in seconds since the epoch (or of a simulated clock)."""
    hosts: tuple[SeenHost, ...]
    machines: tuple[SeenMachine, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> FleetSnapshot:
        names: set[str] = set()
        uuids: set[str] = set()
        for host in self.hosts:
            if host.name in names:
                raise PydanticCustomError("hosts", "two hosts are named {name}", {"name": host.name})
            if host.uuid in uuids:
                raise PydanticCustomError("hosts", "host {name} is there twice: by its uuid", {"name": host.name})
            names.add(host.name)
            uuids.add(host.uuid)
        for machine in self.machines:
            if machine.host not in names:
                facts = {"name": machine.name, "host": machine.host}
                raise PydanticCustomError("machines", "machine {name} is on a host {host} that isn't there", facts)
        return self

    def host(self, name: str) -> SeenHost:
        """Return a host by name.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, SeenHost]:
        return {host.name: host for host in self.hosts}

    @cached_property
    def on(self) -> Mapping[str, tuple[SeenMachine, ...]]:
        """Host → its machines, in the snapshot's order. Hosts without any are there, too."""
        found: dict[str, list[SeenMachine]] = {host.name: [] for host in self.hosts}
        for machine in self.machines:
            found[machine.host].append(machine)
        return {name: tuple(machines) for name, machines in found.items()}

    def marked(self, names: Collection[str], status: HostStatus) -> FleetSnapshot:
        """Return the snapshot with hosts that have another status; those that don't answer go on not to answer."""
        hosts = tuple(
            host.model_copy(update={"status": status})
            if host.name in names and host.status is not HostStatus.UNREACHABLE
            else host
            for host in self.hosts
        )
        return self.model_copy(update={"hosts": hosts}) if names else self

    @cached_property
    def digest(self) -> str:
        """Short text that is the same for the same fleet: which hosts, machines, sizes and places; not the load."""
        import hashlib

        # Written out by hand: it is a part of each plan of a large fleet, and repr takes ten times as long.
        told = [
            f"{host.uuid} {host.status} {host.cpus} {host.memory:d} {sorted(host.gpus.items())}" for host in self.hosts
        ]
        held = [f"{each.id} {each.host} {each.state} {each.cpus} {each.memory:d}" for each in self.machines]
        text = "\n".join([*sorted(told), *sorted(held), *(rule.model_dump_json() for rule in self.rules)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def without_secrets(self) -> FleetSnapshot:
        """Return the snapshot as it may be kept and shown: with labels masked that look like secrets."""
        from vhal.layers.scrub import Scrubber

        def masked(seen: S) -> S:
            labels: dict[str, str] = Scrubber().scrubbed(dict(seen.labels))
            return seen.replace(labels=labels) if labels != seen.labels else seen

        return self.replace(hosts=tuple(map(masked, self.hosts)), machines=tuple(map(masked, self.machines)))
