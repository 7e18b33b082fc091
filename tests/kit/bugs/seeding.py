"""How a bug gets into the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pytest
from vhal_mock import driver
from vhal_mock.machine import SimMachine

from vhal.spec import MachineInfo

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Bug:
    """Something that is wrong."""

    noun: str
    """What it is about."""
    seed: Callable[[Patch], None]

    @property
    def name(self) -> str:
        """``a_resize_that_does_nothing``."""
        return self.seed.__name__

    @property
    def sentence(self) -> str:
        """What it does."""
        return " ".join((self.seed.__doc__ or "").split())


def around(patch: Patch, owner: Any, name: str, wrong: Callable[..., Any]) -> None:
    """Let ``wrong`` be called instead, with what is right before the arguments."""
    right = getattr(owner, name)

    @wraps(right)
    def call(*args: Any, **kwargs: Any) -> Any:
        return wrong(right, *args, **kwargs)

    patch.setattr(owner, name, call)


def nothing(patch: Patch, owner: Any, name: str) -> None:
    """Let a call do nothing, and say that all is well."""
    patch.setattr(owner, name, lambda *args, **kwargs: None)


def telling(patch: Patch, wrong: Callable[[SimMachine], dict[str, Any]]) -> None:
    """Let what is told of machines have other fields."""
    right = driver._tell()

    def tell(machine: SimMachine) -> MachineInfo:
        return right(machine).model_copy(update=wrong(machine))

    patch.setattr(driver, "_tell", lambda: tell)


def remembering(patch: Patch, owner: Any, name: str) -> None:
    """Let a call hand out what it keeps itself, the same object each time, until there is something new."""
    kept: dict[object, tuple[Any, Any]] = {}

    def wrong(right: Callable[..., Any], part: Any, *args: Any) -> Any:
        now = right(part, *args)
        place = (getattr(part, "_driver", part).host.name, args)
        if place not in kept or kept[place][0] != now:
            kept[place] = (type(now)(now), now)
        return kept[place][1]

    around(patch, owner, name, wrong)
