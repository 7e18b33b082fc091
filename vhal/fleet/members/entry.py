"""A host as it is listed in a fleet: where it is, and what only its owner knows of it.

What the host itself knows, it is asked: :mod:`vhal.fleet.members.inventory`. The file that such hosts are in is
:mod:`vhal.fleet.file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from vhal.fleet.snapshot import HostStatus, SeenHost
from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model
from vhal.spec.units import Bytes, LabelKey, LabelValue

_FACTS = frozenset(SeenHost(name="", uuid="").words)
"""Words of a host that no label may say otherwise."""


def _no_facts(labels: FrozenDict[str, str]) -> FrozenDict[str, str]:
    taken = sorted(_FACTS & set(labels))
    if taken:
        raise ValueError(f"{taken[0]!r} is what every host has by itself; call the label something else")
    return labels


def _set_by_people(status: HostStatus) -> HostStatus:
    if status is HostStatus.UNREACHABLE:
        raise ValueError("whether a host is reachable is found out; a host can be up, cordoned or draining")
    return status


HostLabels = Annotated[FrozenDict[LabelKey, LabelValue], AfterValidator(_no_facts)]
"""Labels of a host: its rack, its zone, what it has that is special."""


class Keeping(Model):
    """What may be said of one host, or of all that say nothing else. None is what the engine says itself."""

    advice = "correct what is named; docs/reference/fleet.md has every field"

    labels: HostLabels = FrozenDict()
    reserved_cpus: Annotated[float, Field(ge=0, le=4096)] | None = None
    """Processors that the host keeps for itself."""
    reserved_memory: Bytes | None = None
    overcommit: Annotated[float, Field(ge=1, le=64)] | None = None
    """How many virtual processors may be given away for each of the host's."""
    bandwidth: Bytes | None = None
    """Bytes a second of its way to the other hosts."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            labels: Mapping[str, str] = ...,
            reserved_cpus: float | None = ...,
            reserved_memory: Bytes | int | str | None = ...,
            overcommit: float | None = ...,
            bandwidth: Bytes | int | str | None = ...,
        ) -> None: ...


class HostEntry(Keeping):
    """One host of a fleet."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    """As :func:`vhal.connect` takes it: a URL, or the name of a named host."""
    status: Annotated[HostStatus, AfterValidator(_set_by_people)] = HostStatus.UP
    reason: Annotated[str, Field(max_length=1024)] = ""
    """Why it has that status."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            url: str,
            status: HostStatus | str = ...,
            reason: str = ...,
            labels: Mapping[str, str] = ...,
            reserved_cpus: float | None = ...,
            reserved_memory: Bytes | int | str | None = ...,
            overcommit: float | None = ...,
            bandwidth: Bytes | int | str | None = ...,
        ) -> None: ...

    def over(self, defaults: Keeping) -> HostEntry:
        """Return it with ``defaults`` where it says nothing; labels are put together."""
        said = {name: getattr(self, name) for name in type(self).model_fields}
        filled = {name: getattr(defaults, name) for name in Keeping.model_fields if said[name] is None}
        return type(self).model_validate({**said, **filled, "labels": {**defaults.labels, **self.labels}})
