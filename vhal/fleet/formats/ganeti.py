"""Ganeti's text format (``hbal -t FILE``, ``-U FILE``) as a snapshot, and back: so that both plan from one file.

It reads what balancing needs: groups, nodes, instances, exclusion tags, the ratio of virtual to real processors. It
doesn't run anything of Ganeti's. The format is that of its ``hbal(1)`` and ``Ganeti/HTools/Backend/Text.hs``, 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vhal.errors import InvalidSpec, NotFound
from vhal.fleet.rules import Apart, Only, Rule
from vhal.fleet.selector import Selector
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.spec.frozen import FrozenDict
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

BACKEND = "ganeti"
GROUP = "group"
"""The label of hosts and machines that has the name of their node group."""
_MIB = 1 << 20
_EXCLUSION = "htools:iextags:"
_SHARED = frozenset({"ext", "rbd", "sharedfile", "gluster", "blockdev", "diskless"})
"""Disk templates whose instances may go to any node (``templateMirrorType`` in Ganeti's sources)."""
_STATES = {
    "running": MachineState.RUNNING,
    "ADMIN_down": MachineState.STOPPED,
    "ADMIN_offline": MachineState.STOPPED,
    "USER_down": MachineState.STOPPED,
    "ERROR_down": MachineState.CRASHED,
}
_SPECS = "128,1,1024,1,1,1|128,1,1024,1,1,1;4194304,512,104857600,16,8,12|" + ",".join(
    ("diskless", "file", "sharedfile", "plain", "blockdev", "drbd", "rbd", "ext")
)


class Line(NamedTuple):
    """A line of a file, and where it is."""

    file: str
    number: int
    text: str

    def refuse(self, why: str) -> InvalidSpec:
        """Return the error that says what is wrong with it."""
        return InvalidSpec(
            f"{self.file}:{self.number}: {why}",
            problems=[(f"line {self.number}", why)],
            hint="write it as hbal -S does; hbal(1) and 'hbal -t FILE' describe the format",
        )

    def fields(self, least: int, what: str) -> list[str]:
        """Return what is between the bars.

        Raises:
            vhal.errors.InvalidSpec: There are too few.
        """
        found = self.text.split("|")
        if len(found) < least:
            raise self.refuse(f"{what} has {len(found)} fields and needs {least}")
        return found

    def number_in(self, text: str, name: str, kind: Callable[[str], float] = int) -> float:
        """Return a field as a number that isn't negative.

        Raises:
            vhal.errors.InvalidSpec: It is none.
        """
        try:
            found = kind(text)
        except ValueError:
            raise self.refuse(f"{name} is {text!r}, and must be a number") from None
        if not 0 <= found < 1 << 40:
            raise self.refuse(f"{name} is {text}, and must be between 0 and 2^40")
        return found


def yardstick(hosts: Sequence[SeenHost]) -> Load:
    """Return what the fractions of a utilisation file are fractions of: the fleet's middle host.

    The format says "of a node" and nothing of which. Disks and networks have no size in it: 1 GB a second each.
    """
    cpus = sorted(host.cpus for host in hosts) or [1]
    memory = sorted(host.memory for host in hosts) or [Bytes(1)]
    middle = len(cpus) // 2
    return Load(cpus=max(cpus[middle], 1), memory=max(memory[middle], 1), disk=1e9, network=1e9)


def read(path: str | Path, util: str | Path | None = None) -> FleetSnapshot:
    """Return the fleet in a file of Ganeti's text format, with the load of a utilisation file.

    Free memory that neither the node nor its instances explain counts as kept by the host. An offline node is
    unreachable. Instances that Ganeti couldn't move to any node with one live migration aren't movable.

    Raises:
        vhal.errors.InvalidSpec: A line is wrong; the message has its number.
        vhal.errors.NotFound: There is no such file.
    """
    sections = _sections(_lines(path))
    if len(sections) < 3:
        raise InvalidSpec(
            f"{path}: {len(sections)} sections, and at least groups, nodes and instances are needed",
            hint="'hbal -S' writes such a file, with an empty line between sections; 'vhal fleet capture' writes JSON",
        )
    groups = dict(_group(line) for line in sections[0])
    ratios = dict(_policy(line) for line in (sections[4] if len(sections) > 4 else ()))
    nodes = [_node(line, groups, ratios) for line in sections[1]]
    places = {host.name: host for host, _ in nodes}
    loads = dict(_load(line, yardstick(tuple(places.values()))) for line in _lines(util)) if util else {}
    machines = [_instance(line, places, loads) for line in sections[2]]
    used = dict.fromkeys(places, 0)
    for machine in machines:
        if machine.state.active:
            used[machine.host] += machine.memory
    hosts = tuple(host.replace(reserved_memory=max(host.memory - free - used[host.name], 0)) for host, free in nodes)
    prefixes = [line.text[len(_EXCLUSION) :] for line in (sections[3] if len(sections) > 3 else ())
                if line.text.startswith(_EXCLUSION)]  # fmt: skip
    rules = (*_exclusions(prefixes, machines), *(_within(groups.values()) if len(groups) > 1 else ()))
    return FleetSnapshot(hosts=hosts, machines=tuple(machines), rules=rules)


def write(snapshot: FleetSnapshot, path: str | Path, util: str | Path | None = None) -> None:
    """Write a fleet in Ganeti's text format, and its load to a utilisation file.

    What the format has no place for is left out: labels, rules other than what :func:`read` makes of exclusion tags,
    GPUs. Every machine is written as one on shared storage, or as immovable.
    """
    ratios = {host.overcommit for host in snapshot.hosts} or {1.0}
    ratio = min(ratios)
    tags = sorted({rule.name.rpartition(":")[0] for rule in snapshot.rules if isinstance(rule, Apart) and rule.name})
    sections = [
        ["group-01|group-01|preferred||"],
        [_written_host(host, snapshot.on[host.name]) for host in snapshot.hosts],
        [_written_machine(machine) for machine in snapshot.machines],
        [_EXCLUSION + tag for tag in tags if tag],
        [f"{owner}|{_SPECS}|{ratio!r}|1000000.0" for owner in ("", "group-01")],
    ]
    Path(path).write_text("\n\n".join("\n".join(lines) for lines in sections) + "\n", encoding="utf-8")
    if util is not None:
        unit = yardstick(snapshot.hosts)
        known = [(machine.name, machine.load) for machine in snapshot.machines if machine.load is not None]
        Path(util).write_text("".join(_written_load(name, load, unit) for name, load in known), encoding="utf-8")


def _written_host(host: SeenHost, machines: Sequence[SeenMachine]) -> str:
    total, kept = host.memory // _MIB, host.reserved_memory // _MIB
    free = total - kept - sum(machine.memory for machine in machines if machine.state.active) // _MIB
    role = "Y" if host.status is HostStatus.UNREACHABLE else "N"
    own = round(host.reserved_cpus * host.overcommit)
    return f"{host.name}|{total}|{kept}|{free}|8388608|8388608|{host.cpus}|{role}|group-01|1||N|1|{own}|1.0"


def _written_machine(machine: SeenMachine) -> str:
    state = next((word for word, state in _STATES.items() if state is machine.state), "running")
    template = "ext" if machine.movable else "plain"
    tags = ",".join(key.replace("/", ":") for key, value in machine.labels.items() if value == "" and "/" in key)
    memory = machine.memory // _MIB
    return f"{machine.name}|{memory}|1024|{machine.cpus}|{state}|Y|{machine.host}||{template}|{tags}|1"


def _written_load(name: str, load: Load, unit: Load) -> str:
    shares = (load.cpus / unit.cpus, load.memory / unit.memory, load.disk / unit.disk, load.network / unit.network)
    return f"{name} {' '.join(f'{share:.6f}' for share in shares)}\n"


def _lines(path: str | Path) -> Iterator[Line]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="name a file of 'hbal -S' or 'hscan'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{path} can't be read: {error}", hint="name a file of 'hbal -S' or 'hscan'") from None
    return (Line(str(path), number, line) for number, line in enumerate(text.split("\n"), 1))


def _sections(lines: Iterable[Line]) -> list[list[Line]]:
    # Exactly one empty line ends a section, so that two in a row are an empty section.
    found: list[list[Line]] = [[]]
    for line in lines:
        if line.text:
            found[-1].append(line)
        else:
            found.append([])
    return found[:-1] if not found[-1] else found


def _group(line: Line) -> tuple[str, str]:
    name, uuid, *_ = line.fields(3, "a group")
    return uuid, name


def _policy(line: Line) -> tuple[str, float]:
    fields = line.fields(5, "a policy")
    return fields[0], line.number_in(fields[4], "the vcpu ratio", float)


def _node(line: Line, groups: dict[str, str], ratios: dict[str, float]) -> tuple[SeenHost, int]:
    fields = line.fields(9, "a node")
    name, total, own, free, _, _, cpus, role, group = fields[:9]
    if group not in groups:
        raise line.refuse(f"node {name} is of group {group!r}, which isn't there")
    if not (own.isdigit() and role in ("N", "M", "Y", "R")):
        raise line.refuse(f"node {name} needs its own memory and one of N, M, Y")
    os_cpus = line.number_in(fields[13], "the processors of the node itself") if len(fields) > 13 else 1
    ratio = min(max(ratios.get(groups[group], ratios.get("", 4.0)), 1.0), 64.0)
    host = SeenHost(
        name=name,
        uuid=name,
        backend=BACKEND,
        status=HostStatus.UNREACHABLE if role == "Y" else HostStatus.UP,
        reason="offline" if role == "Y" else "",
        cpus=int(line.number_in(cpus, "processors")),
        memory=Bytes(int(line.number_in(total, "memory")) * _MIB),
        # Ganeti counts what the node itself takes among what is given away.
        reserved_cpus=os_cpus / ratio,
        overcommit=ratio,
        labels=FrozenDict({GROUP: groups[group]}),
    )
    return host, int(line.number_in(free, "free memory")) * _MIB


def _instance(line: Line, hosts: dict[str, SeenHost], loads: Mapping[str, Load | None]) -> SeenMachine:
    name, memory, _, cpus, status, _, primary, _, template, *rest = line.fields(9, "an instance")
    host = hosts.get(primary)
    if host is None:
        raise line.refuse(f"instance {name} is on node {primary!r}, which isn't there")
    if status not in _STATES:
        raise line.refuse(f"instance {name} is {status!r}; known are {', '.join(_STATES)}")
    shared = template in _SHARED
    tags = {tag.replace(":", "/"): "" for tag in (rest[0].split(",") if rest else ()) if tag}
    return SeenMachine.trusted(
        id=name,
        name=name,
        host=primary,
        state=_STATES[status],
        cpus=int(line.number_in(cpus, "virtual processors")),
        memory=Bytes(int(line.number_in(memory, "memory")) * _MIB),
        load=loads.get(name),
        movable=shared,
        reason="" if shared else f"its disks are {template}: another host can't reach them",
        labels=FrozenDict({**tags, GROUP: host.labels[GROUP]}),
    )


def _load(line: Line, unit: Load) -> tuple[str, Load | None]:
    fields = line.text.split()
    if not fields:
        return "", None
    if len(fields) != 5:
        raise line.refuse(f"{len(fields)} fields, and name, cpu, memory, disk and network are needed")
    cpu, memory, disk, network = (line.number_in(text, "a load", float) for text in fields[1:])
    load = Load.trusted(
        cpus=cpu * unit.cpus, memory=memory * unit.memory, disk=disk * unit.disk, network=network * unit.network
    )
    return fields[0], load


def _exclusions(prefixes: Sequence[str], machines: Sequence[SeenMachine]) -> Iterator[Rule]:
    keys = sorted({key for machine in machines for key in machine.labels if "/" in key})
    for prefix in prefixes:
        for key in keys:
            if key.startswith(prefix.replace(":", "/") + "/"):
                yield Apart(name=key.replace("/", ":"), machines=Selector(key))


def _within(groups: Iterable[str]) -> Iterator[Rule]:
    for name in groups:
        chosen = Selector(f"{GROUP}={name}")
        yield Only(name=f"group {name}", machines=chosen, hosts=chosen)
