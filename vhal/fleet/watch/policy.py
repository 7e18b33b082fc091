"""When a fleet that is watched is to be cooled, and how much of that is too much: a TOML file.

::

    every_s = 60
    hot = 0.8
    hold = 3
    quiet = ["08:00-18:00"]

    [apply]
    per_host = 1

or, for a fleet that is to need few hosts and have none that is short of processors::

    policy = "cool"
    every_s = 300

    [cool]
    empty = true

What acts by it is :mod:`vhal.fleet.watch.watch`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from vhal.fleet.moves.applied import ApplySettings
from vhal.fleet.watch.cool import CoolSettings
from vhal.spec.model import Model
from vhal.spec.units import Bytes

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)")

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class WatchPolicy(Model):
    """When to act, and how much at most."""

    advice = "correct what is named; docs/how-to/watch-a-fleet.md has every setting"

    policy: Literal["balance", "cool"] = "balance"
    """What is done: ``balance`` cools hosts that have been busy to ``hot`` for ``hold`` looks, by what they do now;
    :mod:`cool <vhal.fleet.watch.cool>` goes by what machines are used to, and empties hosts that aren't needed."""
    every_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """Time between two looks."""
    hot: Annotated[float, Field(gt=0, le=1)] = 0.8
    """A host is hot with so much of its processors busy (oVirt's ``evenly_distributed``: 80 %). Of ``balance``, as are
    ``hold`` and ``margin``."""
    hold: Annotated[int, Field(ge=1, le=10_000)] = 3
    """So many looks in a row a host must have been hot: a peak that passes by itself is left alone."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A hot host is cooled to this share below ``hot``, and no other is heated above that: else a small rise would make
    one of them hot again."""
    cool: CoolSettings = CoolSettings()
    """When ``cool`` does something. Its ``rest_s`` is ``cool_down_s`` here."""
    habits: str | None = None
    """The file that what ``cool`` has learned is kept in, so that a watch that is begun anew goes on with it; seen from
    the policy's folder. None: it is forgotten when the watch ends."""
    moves_per_hour: Annotated[int, Field(ge=0)] = 20
    """How many machines may be moved in an hour; those whose move failed count, too."""
    memory_per_hour: Bytes = Bytes("256GiB")
    """How much memory of machines may be moved in an hour."""
    cool_down_s: Seconds = 3600.0
    """How long a machine that was moved isn't moved again."""
    quiet: tuple[str, ...] = ()
    """Times of the day when nothing is moved, by the clock on the wall: ``08:00-18:00``, or over midnight,
    ``22:00-06:00``."""
    zone: str | None = None
    """What time that is: ``Europe/Berlin``; None for this machine's."""
    apply: ApplySettings = ApplySettings()
    """How plans are carried out."""

    @field_validator("hot", "hold", "margin", "cool", "habits")
    @classmethod
    def _is_of_this_policy(cls, value: Any, info: ValidationInfo) -> Any:
        chosen, owner = info.data.get("policy"), "cool" if info.field_name in ("cool", "habits") else "balance"
        default = cls.model_fields[str(info.field_name)].default
        if chosen is not None and chosen != owner and value != default:
            facts = {"owner": owner, "chosen": chosen}
            raise PydanticCustomError(
                "policy", 'it is a setting of policy = "{owner}", and the policy is "{chosen}"', facts
            )
        return value

    @field_validator("cool")
    @classmethod
    def _rests_as_long_as_all(cls, value: CoolSettings) -> CoolSettings:
        if value.rest_s != CoolSettings().rest_s:
            raise PydanticCustomError("rest", "rest_s is cool_down_s here, for every policy: set that")
        return value

    @field_validator("quiet")
    @classmethod
    def _are_times(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if not _HOURS.fullmatch(text):
                raise PydanticCustomError("quiet", "{text} are no times; 22:00-06:00 are some", {"text": text})
            if len(set(text.split("-"))) == 1:
                raise PydanticCustomError(
                    "quiet", "{text} ends when it begins; the whole day is 00:00-24:00", {"text": text}
                )
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

        found = load_model(path, cls)
        return found if found.habits is None else found.replace(habits=str(Path(path).parent / found.habits))

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
