"""What goes wrong, and where: faults at named points inside operations.

A *point* is a place in an operation that has a name, as ``create.begin`` or ``migration.transfer.round=3``. Whoever has
points (a simulator, :mod:`vhal.layers.chaos`) asks its plan (:mod:`vhal.driver.fault_plan`) at each what strikes there,
and does what that kind of fault means to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vhal.errors import InvalidSpec
from vhal.spec.model import Model
from vhal.spec.units import Name


class FaultKind(StrEnum):
    """What can go wrong."""

    ERROR = "error"
    """The engine fails there, and says so."""
    LOST_REPLY = "lost-reply"
    """It is done, but the caller hears that the host can't be reached."""
    HANG = "hang"
    """The engine's daemon stops answering: this call waits until its deadline. Machines go on."""
    ABORT = "abort"
    """Somebody aborts the operation there."""
    DELAY = "delay"
    """It takes ``seconds`` longer."""
    MACHINE_CRASH = "machine-crash"
    """The machine that the operation is about crashes."""
    HOST_CRASH = "host-crash"
    """The host loses its power: all that runs there is gone, until it is up again."""
    PARTITION = "partition"
    """The host can't be reached, neither by callers nor by other hosts. Its machines go on."""
    SLOW_LINK = "slow-link"
    """The host's links carry only ``factor`` of what they did."""
    DISK_FULL = "disk-full"
    """The host's disk takes nothing more."""


LAYERED = frozenset({FaultKind.ERROR, FaultKind.LOST_REPLY, FaultKind.HANG, FaultKind.ABORT, FaultKind.DELAY})
"""The kinds that can be done around any driver. The others need a host that can be harmed: a simulated one."""


class Fault(Model):
    """One thing that goes wrong at a point.

    Without a ``probability`` it strikes each time from the visit after the first ``skip`` on, ``times`` times.
    """

    at: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-z0-9_.=*?-]+$")]
    """The point. ``*`` and ``?`` stand for any characters or one; ``migration.transfer.round`` for each round."""
    kind: FaultKind = FaultKind.ERROR
    host: Name | None = None
    """Only on that host."""
    machine: Name | None = None
    """Only for that machine."""
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Visits of the point that it lets pass first."""
    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = 1
    """How often it strikes at most; None for no limit."""
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    """Chance to strike at a visit, by the plan's seed."""
    seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    """How long it lasts; None for as long as the world, or for a delay, a second."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What a slow link still carries, of what it did."""
    message: Annotated[str, Field(max_length=256)] = "an injected fault"
    """What the engine says."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            at: str,
            kind: FaultKind | str = ...,
            host: str | None = ...,
            machine: str | None = ...,
            skip: int = ...,
            times: int | None = ...,
            probability: float | None = ...,
            seconds: float | None = ...,
            factor: float = ...,
            message: str = ...,
        ) -> None: ...

    def matches(self, point: str, host: str, machine: str) -> bool:
        """Return whether a visit is one that this fault is about."""
        return (
            self.host in (None, host)
            and self.machine in (None, machine)
            and (fnmatchcase(point, self.at) or point.partition("=")[0] == self.at)
        )


def check_points(faults: Iterable[Fault], points: Mapping[str, str], where: str = "faults", source: str = "") -> None:
    """Return if each fault is about a point that there is.

    Args:
        faults: Those to look at.
        points: Name → what is true there. A name that ends in ``=N`` is a numbered one.
        where: What to call the list in the error.
        source: The file or model that they are in, if there is one.

    Raises:
        vhal.errors.InvalidSpec: One isn't; the hint has the nearest name.
    """
    for place, fault in enumerate(faults):
        path = f"{where}[{place}].at"
        wanted, equals, number = fault.at.partition("=")
        names = [name.removesuffix("=N") for name in points]
        found = [name for name in names if fnmatchcase(name, wanted)]
        if not found:
            near = get_close_matches(wanted, names, 1, 0.3)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise _no_point(source, path, f"there is no fault point {fault.at!r}", hint)
        if equals and not any(f"{name}=N" in points for name in found):
            hint = f"write {wanted!r}; 'skip' lets the first visits pass"
            raise _no_point(source, path, f"the point {wanted!r} has no number", hint)
        if equals and not re.fullmatch(r"\d+|.*[*?].*", number):
            raise _no_point(source, path, f"{number!r} is no number", f"write {wanted}=1, or {wanted} for each")


def _no_point(source: str, path: str, reason: str, hint: str) -> InvalidSpec:
    begin = f"{source}: " if source else ""
    return InvalidSpec(f"{begin}{path}: {reason}", problems=[(path, reason)], hint=hint)
