"""The TOML file that a fleet is described in. Only its owner, who is this user or root, may be able to write it.

::

    [defaults]
    overcommit = 4
    reserved_memory = "2GiB"

    [hosts.alpha]
    url = "libvirt+tls://alpha.example.org/system"
    labels = { rack = "r1", zone = "north" }

    [hosts.beta]
    url = "libvirt+tls://beta.example.org/system"
    labels = { rack = "r2", zone = "north" }
    status = "cordoned"
    reason = "a fan is broken"

    [[rules]]
    kind = "apart"
    machines = "app=database"
    domain = "rack"

Here it is read; what it means is in :mod:`vhal.fleet.members.entry` and :mod:`vhal.fleet.rules`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from vhal import config
from vhal.errors import InvalidConfig, NotFound
from vhal.fleet.members.ask import PATIENCE_S
from vhal.fleet.members.entry import HostEntry, Keeping
from vhal.fleet.members.meter import HALF_LIFE_S
from vhal.fleet.rules import Rule
from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model, invalid
from vhal.spec.units import Name


class FleetFile(Model):
    """What is in the file."""

    defaults: Keeping = Keeping()
    """For hosts that say nothing themselves."""
    hosts: Annotated[FrozenDict[Name, HostEntry], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()
    half_life_s: Annotated[float, Field(gt=0, le=7 * 86400)] = HALF_LIFE_S
    """Of what is known of loads."""
    patience_s: Annotated[float, Field(gt=0, le=3600)] = PATIENCE_S
    """How long a host may take to answer."""


def default_path() -> Path:
    """Return where the file is when nobody says: ``VHAL_FLEET``, or beside the file of named hosts."""
    named = os.environ.get("VHAL_FLEET")
    return Path(named) if named else config.paths()[0].with_name("fleet.toml")


def load(where: Path) -> FleetFile:
    """Return what a file says.

    Raises:
        vhal.errors.NotFound: There is no such file.
        vhal.errors.InvalidConfig: It is malformed, or others could have written it.
    """
    try:
        data = config.trusted(where)
    except FileNotFoundError:
        raise NotFound(f"there is no file {where}", hint="name the fleet's file, or describe its hosts there") from None
    try:
        return FleetFile.model_validate(data)
    except ValidationError as error:
        found = invalid(str(where), error, FleetFile, "docs/reference/fleet.md has every field")
        raise InvalidConfig(
            "; ".join(f"{where}: {path}: {reason}" for path, reason in found.problems),
            hint=found.hint,
        ) from None
