"""Live hosts, written down as a world that can be simulated: what they have, what is on them, what that uses.

The result is plain data in the form of a simulated world's spec (docs/reference/scenario.md); the core knows no
simulator. Of a machine's spec only what is listed here is taken, and nothing that could be a secret: no user-data, no
environment, no arguments, no settings of one backend; of labels what is no secret by its name or looks
(:mod:`vhal.layers.scrub`). What a host doesn't tell is left out, not guessed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vhal.driver.capability import METRICS

if TYPE_CHECKING:
    from vhal.host import Host
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo
    from vhal.spec.usage import Rates, Usage

OVER_S = 1.0
"""How far apart the two looks at what machines use are."""

_OF_DISKS = frozenset({"name", "size", "path", "pool", "format", "bus", "cache", "read_only", "shared"})
"""Fields of a disk that are taken: an image may be a URL with a password in it."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,127}")

_MOST = 100.0
"""The largest overcommit that a world can have."""

_LEAST = 1 << 20
"""The least memory that a machine can have."""


def capture(
    host: Host, name: str | None = None, over_s: float = OVER_S, wait: Callable[[float], object] = time.sleep
) -> dict[str, Any]:
    """Return one host as a world's spec with one host: ``hosts`` and ``machines``.

    Args:
        host: An open host. It is only looked at.
        name: What to call it; None for what it calls itself.
        over_s: How long to measure.
        wait: What lets that time pass.

    Raises:
        vhal.errors.HostUnreachable: It doesn't answer.
    """
    info = host.info()
    before = dict(host.usage()) if host.can(METRICS) else {}
    if before:
        wait(over_s)
    after = dict(host.usage()) if before else {}
    machines = [machine.seen for machine in host.machines()]
    called = _name(name or info.name, set())
    names: set[str] = set()
    placed = [_machine(machine, called, names, before, after) for machine in machines]
    return {"hosts": [_host(called, info, machines, placed)], "machines": placed}


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return several hosts' specs as one; a name that is taken gets a number."""
    whole: dict[str, list[Any]] = {"hosts": [], "machines": []}
    names: set[str] = set()
    for part in parts:
        (host,) = part["hosts"]
        called = _name(host["name"], names)
        whole["hosts"].append({**host, "name": called})
        whole["machines"] += [{**machine, "host": called} for machine in part["machines"]]
    return whole


def _host(name: str, info: HostInfo, machines: list[MachineInfo], placed: list[dict[str, Any]]) -> dict[str, Any]:
    active = [machine for machine in machines if machine.state.active]
    # What is there must have room in the simulated host, too: engines promise more than they say.
    cpus = max([info.capacity.cpus, sum(machine.cpus for machine in active), *(machine.cpus for machine in machines)])
    memory = max(
        [
            int(info.capacity.memory),
            sum(_memory(machine) for machine in active),
            *(_memory(machine) for machine in machines),
        ]
    )
    disk = sum(disk.get("size") or 0 for machine in placed for disk in machine["spec"].get("disks", ()))
    all_memory = max(int(info.memory), _LEAST)
    host: dict[str, Any] = {
        "name": name,
        "cpus": info.cpus.count,
        "cpu_overcommit": _overcommit(cpus, info.cpus.count),
        "memory": all_memory,
        "memory_overcommit": _overcommit(memory, all_memory),
        "numa": max(1, len(info.numa)),
        "cpu_features": sorted(map(_word, info.cpus.features)),
        "versions": {_word(part): _word(version) for part, version in sorted(info.versions.items())},
        "gpus": [
            {"model": _word(gpu.model), **({"memory": int(gpu.memory)} if gpu.memory >= _LEAST else {})}
            for gpu in info.gpus
        ],
    }
    if info.cpus.model:
        host["cpu_model"] = _word(info.cpus.model)
    if disk > 1 << 40:
        host["disk"] = disk * 2
    return host


def _machine(
    info: MachineInfo, host: str, names: set[str], before: Mapping[str, Usage], after: Mapping[str, Usage]
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": _name(info.name, names),
        "kind": info.kind.value,
        "cpus": max(1, info.cpus),
        "memory": _memory(info),
    }
    if info.spec is not None:
        kept = info.spec.model_dump(mode="json", exclude_defaults=True)
        if kept.get("nics"):
            spec["nics"] = kept["nics"]
        disks = [{field: disk[field] for field in disk if field in _OF_DISKS} for disk in kept.get("disks", ())]
        spec["disks"] = [disk for disk in disks if "size" in disk or "path" in disk]
    labels = _labels(info.labels if info.spec is None else info.spec.labels)
    if labels:
        spec["labels"] = labels
    options = _usage(info, before.get(info.id), after.get(info.id))
    if options:
        spec["options"] = {"mock": options}
    return {"host": host, "running": info.state.active, "spec": spec}


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    from vhal.layers.scrub import Scrubber

    fitting = {
        key: value
        for key, value in labels.items()
        if _LABEL.fullmatch(key) and value.isprintable() and len(value) <= 1024
    }
    scrubbed: dict[str, str] = Scrubber().scrubbed(fitting)
    return scrubbed


def _usage(info: MachineInfo, before: Usage | None, after: Usage | None) -> dict[str, Any]:
    """Return what a machine uses, as a simulated guest that always uses so much."""
    if before is None or after is None:
        return {}
    from vhal.spec.usage import rates

    measured: Rates = rates(before, after)
    options: dict[str, Any] = {}
    if measured.cpus is not None:
        level = min(1.0, measured.cpus / max(1, info.cpus))
        options["workload"] = {"profile": "constant", "level": max(0.0001, round(level, 4))}
    # The rates of a guest with a workload are those of a level of 1.
    scale = options["workload"]["level"] if options else 1.0
    for field, rate in (
        ("read", measured.read),
        ("write", measured.written),
        ("receive", measured.received),
        ("send", measured.sent),
    ):
        if rate:
            options[field] = int(rate / scale)
    if after.memory:
        options["used"] = round(min(1.0, max(0.0001, int(after.memory) / _memory(info))), 4)
    return options


def _memory(info: MachineInfo) -> int:
    return max(int(info.memory), _LEAST)


def _overcommit(wanted: int, there: int) -> float:
    return min(_MOST, max(1.0, math.ceil(wanted / there * 10_000) / 10_000))


def _word(text: str) -> str:
    """Return a text as a word that a world's spec takes."""
    word = re.sub(r"[^A-Za-z0-9_.:+-]+", "-", text).lstrip("_.:+-")[:64]
    return word or "unknown"


def _name(text: str, taken: set[str]) -> str:
    """Return a text as a name, and take it; with a number if it is taken."""
    base = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_.-]+", "-", text)).lstrip("_.-")[:56] or "unnamed"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name
