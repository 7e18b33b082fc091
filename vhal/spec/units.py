"""Quantities with their units: sizes in bytes, and names that are safe everywhere.

A size is an ``int`` of bytes that reads ``"2GiB"`` and prints as such. Prefixes are those of IEC 80000-13: ``KiB`` is
1,024 bytes, ``kB`` is 1,000.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_BINARY = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50}
_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    **_BINARY,
}
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{0,3})")
_MOST = 1 << 63

SIZE_PATTERN = r"^[0-9]{1,20}(\.[0-9]{1,9})?\s*(B|[kKMGT]B|[KMGTP]iB)?$"


class Bytes(int):
    """A number of bytes: ``Bytes("2GiB") == 2147483648``.

    Raises:
        ValueError: The text is no size, the size isn't whole, negative or 2^63 and more.
    """

    __slots__ = ()

    def __new__(cls, value: int | str = 0) -> Bytes:
        if isinstance(value, str):
            value = _parse(value)
        if not 0 <= value < _MOST:
            raise ValueError(f"a size is between 0 and 2^63 - 1 bytes, not {int(value)}")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        for unit, factor in reversed(_BINARY.items()):
            if self >= factor:
                number = f"{self / factor:.2f}".rstrip("0").rstrip(".")
                return f"{number} {unit}"
        return f"{int(self)} B"

    def __repr__(self) -> str:
        text = str(self)
        try:
            exact = _parse(text) == self
        except ValueError:
            exact = False
        return f"Bytes({text!r})" if exact else f"Bytes({int(self)})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validate, serialization=core_schema.plain_serializer_function_ser_schema(int)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 0, "description": "bytes"},
                {"type": "string", "pattern": SIZE_PATTERN, "examples": ["512MiB", "2GiB"]},
            ]
        }


def _parse(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _UNITS:
        short = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGTPkmgtp])(?:[iI]?[bB])?", text.strip(), re.ASCII)
        if short is not None:
            raise ValueError(f"{text!r} is no size; did you mean '{short[1]}{short[2].upper()}iB'?")
        known = ", ".join(unit for unit in _UNITS if unit)
        raise ValueError(f"{text!r} is no size; write a number and one of {known}: '2GiB'")
    whole, _, fraction = match[1].partition(".")
    factor: int = _UNITS[match[2]]
    precision: int = 10 ** len(fraction)
    total, rest = divmod(int(whole + fraction) * factor, precision)
    if rest:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return total


def _validate(value: Any) -> Bytes:
    if type(value) is Bytes:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise PydanticCustomError("size", "a size is a number of bytes or a text like '2GiB'")
    try:
        return Bytes(value)
    except ValueError as error:
        raise PydanticCustomError("size", "{reason}", {"reason": str(error)}) from None


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
"""Names end up in paths, XML, container labels and shell lines of others; so they are plain."""


def _no_dots(name: str) -> str:
    if ".." in name:
        raise PydanticCustomError("name", "'..' is not allowed in a name")
    return name


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_no_dots)]
"""A name: 1 to 63 of letters, digits, ``_``, ``.``, ``-``; begins with a letter or digit; no ``..``."""

LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$")]
"""A label's key: as a name, but up to 128 long and with ``/`` for a prefix (``example.org/team``)."""

LabelValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A label's value: up to 1,024 characters, no control characters."""


def _absolute(path: str) -> str:
    if ".." in path.split("/"):
        raise PydanticCustomError("path", "'..' is not allowed in a path")
    return path


HostPath = Annotated[
    str,
    StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=4096),
    AfterValidator(_absolute),
]
"""An absolute path on the machine's host: no ``..``, no control characters, no URL."""
