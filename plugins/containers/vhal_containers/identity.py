"""What vhal remembers about a machine for life, kept in its container's labels.

So there is no inventory that could contradict the engine, and it moves with the container. A container's labels can't
be changed; what changes is in :mod:`vhal_containers.record`. They are read leniently: what somebody wrote there beyond
recognition counts as not there, and the container stays usable.

A machine's id is vhal's own and not podman's: a machine that is made anew on another host, or from a snapshot, is a new
container for podman and the same machine for its users.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vhal.errors import VhalError
from vhal.spec import Bytes, FrozenDict, MachineSpec, parse_spec

PREFIX = "io.vhal."
"""What vhal's own labels begin with; a user's may not."""
ID = f"{PREFIX}id"
EPOCH = f"{PREFIX}epoch"
SPEC = f"{PREFIX}spec"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_SPECS = 4096


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list needs of a spec."""

    name: str
    cpus: int
    memory: Bytes
    labels: FrozenDict[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a container is, by its labels."""

    id: str
    """The machine's id: vhal's, or podman's for a container of somebody else."""
    epoch: int
    labels: FrozenDict[str, str]
    """The user's. Those of an image are no labels of a machine that vhal made."""
    spec: str | None = None
    """JSON of the spec it was made from; None for a container of somebody else."""

    @property
    def managed(self) -> bool:
        """Whether vhal made it."""
        return self.spec is not None

    @property
    def wanted(self) -> Wanted | None:
        """Return the sizes and the name in the spec; None where there is none."""
        return None if self.spec is None else _wanted(self.spec)


def new_id() -> str:
    """Return an id for a new machine."""
    return str(uuid.uuid4())


def is_machine_id(ref: str) -> bool:
    """Return whether ``ref`` looks like an id that vhal gives."""
    return _UUID.fullmatch(ref) is not None


def labels_of(spec: MachineSpec, id: str, epoch: int = 1) -> dict[str, str]:
    """Return the labels of a container that shall be the machine ``id``, made from ``spec``."""
    kept = spec.without_secrets().model_dump(mode="json")
    own = {ID: id, EPOCH: str(epoch), SPEC: json.dumps(kept, separators=(",", ":"))}
    return {**spec.labels, **own}


def identity(podman_id: str, labels: Mapping[str, str] | None) -> Identity:
    """Return who the container with podman's id and these labels is."""
    labels = labels or {}
    own, spec = labels.get(ID, ""), labels.get(SPEC, "")
    wanted = _wanted(spec) if _UUID.fullmatch(own) else None
    if wanted is None:
        return foreign(podman_id, labels)
    epoch = labels.get(EPOCH, "")
    return Identity(own, int(epoch) if _is_count(epoch) else 1, wanted.labels, spec)


def foreign(podman_id: str, labels: Mapping[str, str] | None) -> Identity:
    """Return the identity of a container that isn't vhal's, or only a copy of one that is."""
    users = {key: value for key, value in (labels or {}).items() if not key.startswith(PREFIX)}
    return Identity(podman_id, 1, FrozenDict(users))


def spec_of(identity: Identity) -> MachineSpec | None:
    """Return the spec that a machine was made from, or None if there is none or it can't be read any more."""
    if identity.spec is None:
        return None
    try:
        return parse_spec(identity.spec, "json", source="the container's label")
    except VhalError:
        return None


@lru_cache(_MOST_SPECS)
def _wanted(text: str) -> Wanted | None:
    # Not through the model: a list of a thousand machines would take a second.
    try:
        spec: Any = json.loads(text)
        labels = spec.get("labels") or {}
        if not all(isinstance(value, str) for value in labels.values()):
            return None
        return Wanted(
            str(spec["name"]), int(spec["cpus"]["count"]), Bytes(int(spec["memory"]["size"])), FrozenDict(labels)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < len(text) < 10
