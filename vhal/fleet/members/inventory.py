"""What is there: the answers of a fleet's hosts, put together as one snapshot.

Each host is looked at in three calls, whatever it holds. A host that doesn't answer is in the snapshot with the
reason and nothing else: what it held is neither remembered nor guessed. Nothing is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vhal.driver.answer import YES
from vhal.driver.capability import METRICS, MIGRATION
from vhal.driver.context import Context
from vhal.errors import InvalidConfig, Unsupported, VhalError
from vhal.fleet.members.meter import Meter
from vhal.fleet.placement.coming import whole_gpus
from vhal.fleet.rules import Rule
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

if TYPE_CHECKING:
    from vhal.driver.answer import Answer
    from vhal.fleet.members.member import Member
    from vhal.host import Host
    from vhal.layers.guard import Guard
    from vhal.machine import Machine
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo
    from vhal.spec.usage import Usage

_NEAREST = (MachineState.RUNNING, MachineState.MIGRATING, MachineState.PAUSED, MachineState.SAVED)
"""Of two copies of a machine that is on its way, which one is it?"""

_UNKNOWN = "unknown:"
"""What stands for the uuid of a host that never answered, with its name."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a host answered."""

    uuid: str
    info: HostInfo
    machines: Sequence[MachineInfo]
    usage: Sequence[Mapping[str, Usage]]
    """Samples, the oldest first."""
    migration: Answer
    """Whether it moves machines at all."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Machine's id → whether it can move, where that was asked."""


def look(host: Host, over_s: float, movable: bool) -> Look:
    """Ask a host what it is and holds.

    Args:
        host: An open one.
        over_s: How long to measure before, by its clock.
        movable: Whether to ask for each machine whether it can move: a call for each.

    Raises:
        vhal.errors.VhalError: It doesn't answer.
    """
    guard = host.guard
    samples = []
    if over_s:
        samples.append(_usage(guard))
        guard.sleep(over_s, Context())
    info = guard.describe()
    machines = guard.machines()
    samples.append(_usage(guard))
    # What moves nothing says so without a round trip; of the others it is only asked where it was asked for.
    migration = guard.can(MIGRATION) if movable or guard.provides(MIGRATION) is None else YES
    answers = {each.id: guard.can(MIGRATION, each) for each in machines} if movable and migration else {}
    return Look(guard.host_id, info, machines, samples, migration, answers)


def _usage(guard: Guard) -> Mapping[str, Usage]:
    metrics = guard.provides(METRICS)
    try:
        return {} if metrics is None else metrics.usage()
    except Unsupported:
        return {}  # it can't measure as it is set up; all else is known


class Inventory:
    """Makes snapshots of looks, and remembers between them only loads and where machines were.

    Concurrency: one thread at a time.

    Args:
        rules: Of the fleet.
        meter: Smooths what machines use.
    """

    def __init__(self, rules: Iterable[Rule], meter: Meter) -> None:
        self.rules = tuple(rules)
        self.meter = meter
        self._places: dict[tuple[str, str], tuple[str, float | None]] = {}

    def snapshot(self, answers: Mapping[Member, Look | VhalError], taken_s: float) -> FleetSnapshot:
        """Return the fleet as its hosts answered.

        Raises:
            vhal.errors.InvalidConfig: Two members are one host.
        """
        _refuse_doubles(answers)
        hosts: list[SeenHost] = []
        found: dict[tuple[str, str], tuple[str, MachineInfo, Look]] = {}
        for member, answer in answers.items():
            if isinstance(answer, VhalError):
                hosts.append(_unreachable(member, answer))
                continue
            hosts.append(_seen(member, answer))
            for sample in answer.usage:
                self.meter.note(answer.uuid, answer.info.backend, sample)
            for info in answer.machines:
                key = (answer.info.backend, info.id)
                there = found.get(key)
                if there is None or newer(info, there[1]):
                    found[key] = (member.name, info, answer)
        moved = {key: self._moved(key, place, taken_s) for key, (place, _, _) in found.items()}
        self._places = {key: (found[key][0], moved_s) for key, moved_s in moved.items()}
        self.meter.keep(found)
        machines = [
            machine(info, place, answer, self.meter.load(*key) if info.state.active else None, moved[key])
            for key, (place, info, answer) in found.items()
        ]
        return FleetSnapshot(taken_s=taken_s, hosts=tuple(hosts), machines=tuple(machines), rules=self.rules)

    def _moved(self, key: tuple[str, str], place: str, taken_s: float) -> float | None:
        """Return when it was first seen on a host after it had been on another; None if that never was."""
        before, moved_s = self._places.get(key, (place, None))
        return moved_s if before == place else taken_s


def machine(
    info: MachineInfo, host: str, answer: Look | None = None, load: Load | None = None, moved_s: float | None = None
) -> SeenMachine:
    """Return a machine as it is in a snapshot."""
    can = None if answer is None else answer.answers.get(info.id, answer.migration)
    return SeenMachine.trusted(
        id=info.id,
        name=info.name,
        host=host,
        kind=info.kind,
        state=info.state,
        cpus=info.cpus,
        memory=Bytes(info.memory),
        gpus=FrozenDict(_gpus(info, answer)),
        load=load,
        usage=answer.usage[-1].get(info.id) if answer is not None and answer.usage else None,
        moved_s=moved_s,
        movable=can is None or bool(can),
        reason="; ".join(blocker.message for blocker in can.blockers) if can is not None else "",
        labels=FrozenDict(info.labels),
    )


def _gpus(info: MachineInfo, answer: Look | None) -> dict[str, int]:
    """Return the whole GPUs that a machine holds, by the host's word for their model where it is known."""
    if info.spec is None or not info.spec.gpus:
        return {}
    known = [] if answer is None else [gpu.model for gpu in answer.info.gpus]
    held: Counter[str] = Counter()
    for model, count in whole_gpus(info.spec).items():
        held[next((name for name in known if model and model.lower() in name.lower()), model)] += count
    return held


def known_uuid(host: SeenHost) -> str | None:
    """Return the uuid of a host of a snapshot, or None where the host never told it."""
    return None if host.uuid.startswith(_UNKNOWN) else host.uuid


def newer(info: MachineInfo, other: MachineInfo) -> bool:
    """Return whether this is the machine, and the other its copy: it is on its way from or to another host."""

    def rank(each: MachineInfo) -> tuple[int, int]:
        return (-_NEAREST.index(each.state) if each.state in _NEAREST else -len(_NEAREST), each.epoch)

    return rank(info) > rank(other)


def once(found: Iterable[tuple[str, Machine]]) -> list[tuple[str, Machine]]:
    """Return places and machines without the copies of those that are on their way between two hosts."""
    kept: dict[tuple[str, str], tuple[str, Machine]] = {}
    for place, each in found:
        key = (each.host.backend, each.id)
        if key not in kept or newer(each.seen, kept[key][1].seen):
            kept[key] = (place, each)
    return list(kept.values())


def _seen(member: Member, answer: Look) -> SeenHost:
    info, entry = answer.info, member.entry
    # An engine may promise more memory than there is, or keep some of it; the snapshot says both in its own way.
    memory = max(info.memory, info.capacity.memory)
    reserved = memory - info.capacity.memory if entry.reserved_memory is None else min(memory, entry.reserved_memory)
    promised = min(64.0, max(1.0, info.capacity.cpus / max(1, info.cpus.count)))
    return SeenHost(
        name=member.name,
        uuid=answer.uuid,
        url=member.url,
        backend=info.backend,
        status=member.status,
        reason=member.reason,
        cpus=info.cpus.count,
        memory=memory,
        reserved_cpus=entry.reserved_cpus or 0.0,
        reserved_memory=Bytes(reserved),
        overcommit=promised if entry.overcommit is None else entry.overcommit,
        gpus=FrozenDict(Counter(gpu.model for gpu in info.gpus)),
        bandwidth=float(entry.bandwidth or 0),
        labels=entry.labels,
    )


def _unreachable(member: Member, error: VhalError) -> SeenHost:
    # What is kept off it still is when it answers again.
    also = "" if member.status is HostStatus.UP else f"; it is {member.status}, too: {member.reason}".rstrip(": ")
    return SeenHost(
        name=member.name,
        uuid=member.uuid or f"{_UNKNOWN}{member.name}",
        url=member.url,
        backend=member.backend,
        status=HostStatus.UNREACHABLE,
        reason=f"{error}{also}",
        labels=member.entry.labels,
    )


def _refuse_doubles(answers: Mapping[Member, Look | VhalError]) -> None:
    seen: dict[str, str] = {}
    for member, answer in answers.items():
        if isinstance(answer, VhalError):
            continue
        other = seen.setdefault(answer.uuid, member.name)
        if other != member.name:
            raise InvalidConfig(
                f"{other!r} and {member.name!r} are one host: both have the uuid {answer.uuid}",
                hint="leave one of them out of the fleet; if they are two hosts, give each a uuid of its own",
                host=member.name,
            )
