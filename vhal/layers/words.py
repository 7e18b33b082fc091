"""The words that a recording itself is written in: fields, calls, states, kinds.

User-data and environments are full of such words, too. There they are no secrets; and covered all over a recording, it
couldn't be read any more. What is covered is in :mod:`vhal.layers.scrub`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any

from vhal.driver.answer import Answer, Blocker, Level
from vhal.driver.capability import CAPABILITIES
from vhal.driver.event import Event, EventKind
from vhal.layers.calls import CALLS
from vhal.layers.encoding import ERRORS, MODELS
from vhal.layers.session import Session
from vhal.spec.model import Model


@cache
def words() -> frozenset[str]:
    """Return them all."""
    models: tuple[type[Model], ...] = (Session, *MODELS.values())
    schemas = [model.model_json_schema() for model in models]
    return frozenset(
        [
            *(word for schema in schemas for word in _in(schema)),
            *(kind.__name__ for kind in (Answer, Event)),
            *(field.name for kind in (Answer, Blocker, Event) for field in fields(kind)),
            *(member.value for kind in (Level, EventKind) for member in kind),
            *CALLS,
            *CAPABILITIES,
            *MODELS,
            *ERRORS,
            *(parameter for call in CALLS.values() for parameter in call.parameters),
        ]
    )


def _in(schema: Any) -> Iterator[str]:
    """Yield what a JSON Schema calls fields, and the words it lets them be."""
    if isinstance(schema, dict):
        said = (*schema.get("properties", ()), *schema.get("enum", ()), schema.get("const"))
        yield from (word for word in said if isinstance(word, str))
        for item in schema.values():
            yield from _in(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _in(item)
