"""A choice of machines or hosts by what is said of them: ``team=blue,tier!=web``.

It chooses by text only; what that text is compared with is up to :mod:`vhal.fleet.snapshot`, which gives each host and
machine its words: its labels, and a few facts under names of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from vhal.errors import InvalidSpec

_TERM = re.compile(r"(?P<not>!?)(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)(?:(?P<sign>!?=)(?P<value>[^,=!]*))?")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a selector."""

    key: str
    value: str | None
    """A pattern with ``*`` and ``?``; None asks only whether the key is there."""
    wanted: bool

    def __str__(self) -> str:
        if self.value is None:
            return self.key if self.wanted else f"!{self.key}"
        return f"{self.key}{'=' if self.wanted else '!='}{self.value}"

    def matches(self, words: Mapping[str, str]) -> bool:
        found = words.get(self.key)
        here = found is not None and (self.value is None or fnmatchcase(found, self.value))
        return here is self.wanted


class Selector:
    """A comma-separated list of conditions that all hold: ``key``, ``!key``, ``key=pattern``, ``key!=pattern``.

    A pattern may have ``*`` and ``?``. An empty selector chooses everything.

    Raises:
        ValueError: The text isn't such a list.
    """

    __slots__ = ("terms",)

    def __init__(self, text: str = "") -> None:
        self.terms = tuple(map(_term, filter(None, (part.strip() for part in text.split(",")))))

    def matches(self, words: Mapping[str, str]) -> bool:
        """Return whether all conditions hold for someone with these words."""
        return all(term.matches(words) for term in self.terms)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))

    def __repr__(self) -> str:
        return f"Selector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> Selector:
            if isinstance(value, Selector):
                return value
            try:
                return cls(value if isinstance(value, str) else _refuse(value))
            except ValueError as error:
                raise PydanticCustomError("selector", "{reason}", {"reason": str(error)}) from None

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json-unless-none")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string"}


def _term(text: str) -> Term:
    found = _TERM.fullmatch(text)
    if found is None or (found["not"] and found["sign"]):
        raise ValueError(f"{text!r} is no condition; key, !key, key=pattern or key!=pattern is one")
    return Term(found["key"], found["value"], not found["not"] and found["sign"] != "!=")


def _refuse(value: object) -> str:
    raise ValueError(f"a selector is a text such as 'team=blue', not a {type(value).__name__}")


def selected(selector: str | Selector) -> Selector:
    """Return a selector as one.

    Raises:
        vhal.errors.InvalidSpec: The text is none.
    """
    try:
        return selector if isinstance(selector, Selector) else Selector(selector)
    except ValueError as error:
        raise InvalidSpec(
            f"selector: {error}",
            problems=[("selector", str(error))],
            hint="conditions with commas between: team=blue,state=running",
        ) from None
