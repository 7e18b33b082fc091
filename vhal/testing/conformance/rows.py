"""Rows of the contract: what a test of the suite is called in reports, discussions and ``known_failures``.

``test_life_001_a_new_machine_…`` is the row ``LIFE-001``. Its prefix says the layer that it belongs to. Once given, an
id stays. A row is required unless its test says :func:`recommended`; and a row that came :func:`since` a later version
of the contract is only recommended to a backend that was written for an earlier one, so that a minor breaks nobody.

Nothing here runs a test or knows pytest. What a test's outcome means is in :mod:`vhal.testing.conformance.verdict`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

Version = tuple[int, int]

LAYERS: dict[str, tuple[str, ...]] = {
    "examples": ("CONF", "LIFE", "PAUS", "SAVE", "RESZ", "SNAP", "EXEC", "FILE", "USAG"),
    "refusals": ("LACK",),
    "stateful": ("STAT",),
    "faults": ("FALT",),
    "migration": ("MIGR",),
    "concurrency": ("RACE",),
    "liveness": ("EVNT", "LEFT"),
    "roundtrip": ("TRIP", "COPY"),
}
"""The layers of the suite, and the prefixes of their rows."""

_LAYER_OF = {prefix: layer for layer, prefixes in LAYERS.items() for prefix in prefixes}
_NAME = re.compile(r"test_([a-z]{4})_([0-9]{3})_([a-z0-9_]+)")
_SINCE = "__vhal_since__"
_RECOMMENDED = "__vhal_recommended__"


class Tier(StrEnum):
    """What a failing row means."""

    REQUIRED = "required"
    """The backend breaks the contract."""
    RECOMMENDED = "recommended"
    """It could be better; the run doesn't fail for it, unless it is strict."""


def recommended(test: F) -> F:
    """Mark a test of the suite: its row is recommended, not required."""
    setattr(test, _RECOMMENDED, True)
    return test


def since(major: int, minor: int) -> Callable[[F], F]:
    """Mark a test of the suite: its row came with that version of the contract."""

    def mark(test: F) -> F:
        setattr(test, _SINCE, (major, minor))
        return test

    return mark


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the contract, and the test that is its proof."""

    id: str
    """``LIFE-001``."""
    test: str
    """Name of the test's method."""
    recommended: bool = False
    since: Version = (1, 0)

    @property
    def layer(self) -> str:
        """The layer that it belongs to."""
        return _LAYER_OF[self.id.partition("-")[0]]

    @property
    def sentence(self) -> str:
        """What it says, in words."""
        match = _NAME.fullmatch(self.test)
        assert match is not None
        return match[3].replace("_", " ")

    @property
    def anchor(self) -> str:
        """Where the documentation has it."""
        return anchor(self.id)

    def tier(self, spi: Version) -> Tier:
        """Return what it is to a backend that was written for version ``spi`` of the contract."""
        return Tier.RECOMMENDED if self.recommended or self.since > spi else Tier.REQUIRED


def anchor(id: str) -> str:
    """Return the place of a row in ``docs/reference``: ``contract.md#life-001``."""
    return f"contract.md#{id.lower()}"


def row_of(name: str, test: object) -> Row | None:
    """Return the row of a test method called ``name``, or None if it is none's."""
    match = _NAME.fullmatch(name)
    if match is None or match[1].upper() not in _LAYER_OF:
        return None
    return Row(
        id=f"{match[1].upper()}-{match[2]}",
        test=name,
        recommended=getattr(test, _RECOMMENDED, False),
        since=getattr(test, _SINCE, (1, 0)),
    )


def rows(suite: type) -> dict[str, Row]:
    """Return the rows of a suite by id, sorted by layer and number.

    Raises:
        ValueError: Two tests have one id.
    """
    found: dict[str, Row] = {}
    for name in dir(suite):
        test = getattr(suite, name)
        row = row_of(name, test) if callable(test) else None
        if row is not None and found.setdefault(row.id, row) is not row:
            raise ValueError(f"{row.id} is the id of two tests: {found[row.id].test} and {name}")
    prefixes = list(_LAYER_OF)
    return dict(sorted(found.items(), key=lambda item: (prefixes.index(item[0].partition("-")[0]), item[0])))
