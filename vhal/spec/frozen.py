"""A dict that can't be changed, for the mappings inside frozen models.

Not a general immutable container: values are as mutable as they were. ``MappingProxyType`` would do, but can't be
pickled or deep-copied, and specs are both.
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A ``dict`` whose changing methods raise :class:`TypeError`."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this mapping is part of a frozen model; make a changed copy of the model instead")

    __setitem__ = __delitem__ = _refuse
    __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenDict[K, V]:
        return type(self)({copy.deepcopy(key, memo): copy.deepcopy(value, memo) for key, value in self.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        args = getattr(source, "__args__", (Any, Any))
        inner = core_schema.dict_schema(handler(args[0]), handler(args[1]))
        return core_schema.no_info_after_validator_function(
            cls, inner, serialization=core_schema.plain_serializer_function_ser_schema(dict)
        )
