"""Where in a document a problem is, as one would write it; and what a name that isn't there was perhaps to be.

Pydantic's locations also have the tags of unions, which nobody wrote; and its errors don't say what there is instead of
a field that there isn't. Both follow from the models along the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel


class Location:
    """The place of one problem.

    Args:
        model: What the document was to be.
        parts: The location as pydantic tells it: fields, places in lists, tags.
    """

    def __init__(self, model: type[BaseModel], parts: tuple[int | str, ...]) -> None:
        self.path = ""
        """As one would write it: ``disks[0].size``."""
        self._models = {model}
        self._written: str | None = None
        for part in parts:
            self._step(part)

    def nearest(self, problem: Any) -> str | None:
        """Return the nearest name to the one that isn't there, or None.

        It may be a field, the tag of a union, or one of the few words that something can be.
        """
        if problem["type"] == "extra_forbidden" and self._written is not None:
            known = sorted({name for model in self._models for name in model.model_fields})
            return next(iter(get_close_matches(self._written, known, 1)), None)
        if problem["type"] == "union_tag_invalid":
            known = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
            return next(iter(get_close_matches(problem["ctx"]["tag"], known, 1, 0.3)), None)
        if problem["type"] in ("enum", "literal_error") and isinstance(problem["input"], str):
            known = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            return next(iter(get_close_matches(problem["input"], known, 1)), None)
        return None

    def _step(self, part: int | str) -> None:
        if isinstance(part, int):
            self.path += f"[{part}]"
            return
        if part == "[key]":
            return  # what follows is about the key, which is in the path already
        tagged = {model for model in self._models if part in _tags(model)}
        if len(self._models) > 1 and tagged:
            self._models = tagged
            return
        fields = [model.model_fields[part] for model in self._models if part in model.model_fields]
        if fields:
            self._models = {found for field in fields for found in _models(field.annotation)}
        self.path += f".{part}" if self.path else part
        self._written = part


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type: itself, or its members and elements."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _tags(model: type[BaseModel]) -> set[str]:
    """Return the values by which a union may know a model."""
    return {
        value
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
        if isinstance(value, str)
    }
