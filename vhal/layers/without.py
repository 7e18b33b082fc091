"""A driver that can do less than the one in it: to see how code gets along where an engine lacks something.

What is taken away is taken away from the contract's view: the core refuses it as it does for any backend that doesn't
declare it, and emulates what it can emulate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vhal.driver.answer import Answer, Level
from vhal.driver.capability import Capability
from vhal.driver.driver import Driver
from vhal.layers.layer import Layer

if TYPE_CHECKING:
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")


class Without(Layer):
    """A driver without some capabilities.

    Args:
        inner: The driver.
        lacking: Which; those that it doesn't have anyway change nothing.
    """

    def __init__(self, inner: Driver, *lacking: Capability[Any]) -> None:
        super().__init__(inner)
        self._lacking = frozenset(key.id for key in lacking)

    def provides(self, capability: Capability[T]) -> T | None:
        return None if capability.id in self._lacking else self.inner.provides(capability)

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if capability.id not in self._lacking:
            return self.inner.can(capability, subject)
        return Answer.no(
            "not-provided", f"this driver can't {capability.summary}", "use it without this layer", Level.BACKEND
        )
