"""When a fleet that is watched is to be cooled, and how much of that is too much: a TOML file.

::

    every_s = 60
    hot = 0.8
    hold = 3
    quiet = ["08:00-18:00"]

    [apply]
    per_host = 1

What acts by it is :mod:`vhal.fleet.watch.watch`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from vhal.fleet.moves.applied import ApplySettings
from vhal.spec.model import Model
from vhal.spec.units import Bytes

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class WatchPolicy(Model):
    """When to act, and how much at most."""

    every_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """Time between two looks."""
    hot: Annotated[float, Field(gt=0, le=1)] = 0.8
    """A host is hot with so much of its processors busy (oVirt's ``evenly_distributed``: 80 %)."""
    hold: Annotated[int, Field(ge=1, le=10_000)] = 3
    """So many looks in a row a host must have been hot: a peak that passes by itself is left alone."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A hot host is cooled to this share below ``hot``, and no other is heated above that: else a small rise would make
    one of them hot again."""
    moves_per_hour: Annotated[int, Field(ge=0)] = 20
    memory_per_hour: Bytes = Bytes("256GiB")
    """How much memory of machines may be moved in an hour."""
    cool_down_s: Seconds = 3600.0
    """How long a machine that was moved isn't moved again."""
    quiet: tuple[str, ...] = ()
    """Times of the day when nothing is moved: ``08:00-18:00``, or over midnight, ``22:00-06:00``."""
    zone: str | None = None
    """What time that is: ``Europe/Berlin``; None for this machine's."""
    apply: ApplySettings = ApplySettings()
    """How plans are carried out."""

    @field_validator("quiet")
    @classmethod
    def _are_times(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if not _HOURS.fullmatch(text):
                raise PydanticCustomError("quiet", "{text} are no times; 22:00-06:00 are some", {"text": text})
        return value

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, OSError, ValueError):  # an unknown one is a KeyError
                raise PydanticCustomError("zone", "there is no time zone {zone}", {"zone": value}) from None
        return value

    @classmethod
    def load(cls, path: str | Path) -> WatchPolicy:
        """Return the policy in a file.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: It is no policy; with the path and the reason of each problem.
        """
        from vhal.spec.load import load_model

        return load_model(path, cls)

    def is_quiet(self, at_s: float) -> bool:
        """Return whether nothing is to be moved at a time, in seconds since the epoch."""
        now = datetime.fromtimestamp(at_s, ZoneInfo(self.zone) if self.zone else None)
        minutes = timedelta(hours=now.hour, minutes=now.minute)
        return any(_within(minutes, *_times(text)) for text in self.quiet)


def _times(text: str) -> tuple[timedelta, timedelta]:
    begin, end = (part.split(":") for part in text.split("-"))
    return timedelta(hours=int(begin[0]), minutes=int(begin[1])), timedelta(hours=int(end[0]), minutes=int(end[1]))


def _within(now: timedelta, begin: timedelta, end: timedelta) -> bool:
    return begin <= now < end if begin <= end else not end <= now < begin
