"""The base of every noun: frozen, closed, and careful with what it prints.

Specs refuse unknown fields, since a typing error in ``memroy`` must not be a machine with the default memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vhal.errors import InvalidSpec

M = TypeVar("M", bound="Model")


class Model(BaseModel):
    """A frozen pydantic model that refuses unknown fields and never shows its input in an error.

    Raises:
        vhal.errors.InvalidSpec: On construction, with every bad path and its reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="constants")

    advice: ClassVar[str] = "correct what is named; 'vhal schema' describes every field of a spec"
    """What to do about one that isn't valid, unless a name is near to that of a field."""

    def __init__(self, **data: Any) -> None:
        try:
            self.__pydantic_validator__.validate_python(data, self_instance=self)
        except ValidationError as error:
            raise invalid(type(self).__name__, error, type(self)) from None

    # Without this mark pydantic would call __init__ for nested models too, and their paths would be lost.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def trusted(cls: type[M], **fields: Any) -> M:
        """Return a model of values that are known to be valid and of their final types, without looking at them.

        For backends that tell of thousands of machines: a fraction of the constructor's time and memory. Fields that
        aren't given get their defaults; there must be no field without one. All of them count as given.
        """
        if len(fields) < len(_names(cls)):
            for name, default in _defaults(cls).items():
                fields.setdefault(name, default)
        return cls.holding(fields)

    @classmethod
    def holding(cls: type[M], fields: dict[str, Any]) -> M:
        """As :meth:`trusted`, of all fields in a dict that becomes the model's own: half of its time."""
        made = _new(cls)
        made._fill(fields, _names(cls))
        return made

    def _fill(self, fields: dict[str, Any], names: set[str]) -> None:
        """Let it have these fields, all of them valid, of which those with these names were given."""
        _set_dict(self, fields)
        _set_names(self, names)
        _set_extra(self, None)
        _set_private(self, None)

    def replace(self: M, **changes: Any) -> M:
        """Return a validated copy with ``changes``.

        Raises:
            vhal.errors.InvalidSpec: The changed model isn't valid.
        """
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**fields, **changes})


_new = object.__new__

# A pydantic model's slots, each set by its descriptor: half the time of object.__setattr__ by name.
_set_dict, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


@cache
def _names(cls: type[BaseModel]) -> set[str]:
    return set(cls.model_fields)  # shared: pydantic changes a copy of it, and nobody changes a frozen model


@cache
def _defaults(cls: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in cls.model_fields.items() if not field.is_required()}


SHOWN = 6
"""So many problems are in the error's message; all of them are in its ``problems``."""


def invalid(
    what: str,
    error: ValidationError,
    model: type[BaseModel],
    hint: str | None = None,
) -> InvalidSpec:
    """Return pydantic's error as ours: a path as one would write it, and the reason, never the value.

    Args:
        what: What to call it.
        error: What pydantic says.
        model: What it was to be.
        hint: What to do, unless a name is near to that of a field; None for what the model says.
    """
    from vhal.spec.location import Location

    found = [(Location(model, item["loc"]), item) for item in error.errors()]
    problems = [(place.path, _reason(item)) for place, item in found]
    listed = "; ".join(f"{path}: {reason}" if path else reason for path, reason in problems[:SHOWN])
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    near = next(filter(None, (place.nearest(item) for place, item in found)), None)
    return InvalidSpec(
        f"{what} is not valid: {listed}{more}",
        problems=problems,
        hint=f"did you mean {near!r}?" if near else hint or getattr(model, "advice", Model.advice),
    )


def _reason(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    if item["type"] == "missing":
        return "this field is required"
    if item["type"] == "union_tag_invalid":
        ctx = item["ctx"]
        return f"there is no {ctx['discriminator'].strip(chr(39))} {ctx['tag']!r}; there are {ctx['expected_tags']}"
    if item["type"] == "string_pattern_mismatch":
        return f"must match {item['ctx']['pattern']}"
    if item["type"] == "tuple_type":
        return "Input should be a list"  # what it is called in a file
    return str(item["msg"])


O = TypeVar("O", bound=BaseModel)  # noqa: E741 - the options model of one backend


def backend_options(what: str, options: Mapping[str, Any], backend: str, model: type[O]) -> O:
    """Return ``options[backend]`` as the backend's own ``model``, with its defaults filled in.

    Raises:
        vhal.errors.InvalidSpec: They don't fit; each path begins with ``options.<backend>``.
    """
    try:
        return model.model_validate(options.get(backend, {}))
    except ValidationError as error:
        found = invalid(what, error, model)
        at = f"options.{backend}"
        problems = [(f"{at}.{path}" if path else at, reason) for path, reason in found.problems]
        listed = "; ".join(f"{path}: {reason}" for path, reason in problems)
        hint = found.hint if found.hint and found.hint.startswith("did you mean") else f"correct {at}"
        raise InvalidSpec(f"{what} is not valid: {listed}", problems=problems, backend=backend, hint=hint) from None
