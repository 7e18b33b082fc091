"""JSON of the engine, read leniently: what is missing, null or of another type counts as not said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Document = Mapping[str, Any]

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_NEVER = 1
"""The year that the engine writes for a moment that never was."""


def document(value: Any) -> Document:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def documents(value: Any) -> tuple[Document, ...]:
    """Return the objects in ``value``, if it is a list."""
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def part(whole: Document, key: str) -> Document:
    """Return the object at ``key``, or an empty one."""
    return document(whole.get(key))


def text(whole: Document, key: str) -> str:
    """Return the text at ``key``, or ``""``."""
    value = whole.get(key)
    return value if isinstance(value, str) else ""


def words(whole: Document, key: str) -> tuple[str, ...]:
    """Return the texts of the list at ``key``."""
    value = whole.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def number(whole: Document, key: str) -> int:
    """Return the whole number at ``key``, or 0."""
    value = whole.get(key)
    return int(value) if isinstance(value, int | float) else 0


def fraction(whole: Document, key: str) -> float:
    """Return the number at ``key``, or 0."""
    value = whole.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def flag(whole: Document, key: str) -> bool:
    """Return whether ``key`` says true."""
    return whole.get(key) is True


def texts(whole: Document, key: str) -> dict[str, str]:
    """Return the texts of the object at ``key``: labels, attributes, options."""
    return {name: value for name, value in part(whole, key).items() if isinstance(value, str)}


def moment(whole: Document, key: str) -> datetime | None:
    """Return the moment at ``key``, with its time zone; None if it never was."""
    found = _MOMENT.match(text(whole, key))
    if found is None:
        return None
    # Python 3.11 reads six digits after the point, the engine writes up to nine.
    digits = (found[2] or "0")[:6].ljust(6, "0")
    zone = "+00:00" if found[3] == "Z" else found[3]
    try:
        when = datetime.fromisoformat(f"{found[1]}.{digits}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if when.year == _NEVER else when
