"""Drivers whose every call goes through one method, for what is done alike around all of them.

:class:`Funnel` is any such driver, :class:`Around` one that hands the calls on to another driver. Which calls there are
is in :mod:`vhal.layers.calls`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vhal.driver.answer import Answer
from vhal.driver.capability import Capability
from vhal.driver.context import Context
from vhal.driver.driver import Driver, StopMode
from vhal.layers.calls import OWN, PARTS, Call
from vhal.layers.layer import Layer

if TYPE_CHECKING:
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")

Send = Callable[[Call, tuple[Any, ...], Mapping[str, Any]], Any]


class Funnel(Driver):
    """A driver with one way in."""

    @abstractmethod
    def send(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Do one call of the driver's own, and return what it returns."""

    def describe(self) -> HostInfo:
        found: HostInfo = self.send(OWN["describe"], (), {})
        return found

    def machines(self) -> list[MachineInfo]:
        found: list[MachineInfo] = self.send(OWN["machines"], (), {})
        return found

    def inspect(self, ref: str) -> MachineInfo:
        found: MachineInfo = self.send(OWN["inspect"], (ref,), {})
        return found

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        made: MachineInfo = self.send(OWN["create"], (spec, ctx), {})
        return made

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        self.send(OWN["delete"], (id, ctx, keep_disks), {})

    def start(self, id: str, ctx: Context) -> None:
        self.send(OWN["start"], (id, ctx), {})

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        self.send(OWN["stop"], (id, mode, ctx), {})

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        answer: Answer = self.send(OWN["can"], (capability, subject), {})
        return answer


class Part:
    """A capability whose every call goes through one function."""

    def __init__(self, calls: Mapping[str, Call], send: Send) -> None:
        self._calls = calls
        self._send = send

    def __getattr__(self, name: str) -> Any:
        call = self._calls.get(name)
        if call is None:
            raise AttributeError(name)

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._send(call, args, kwargs)

        return method


class Around(Funnel, Layer):
    """A driver around a driver that sees every call in one place."""

    @abstractmethod
    def around(self, call: Call, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Do one call; ``method`` is the inner driver's, or that of its capability."""

    def send(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return self.around(call, getattr(self.inner, call.method), args, kwargs)

    def provides(self, capability: Capability[T]) -> T | None:
        inner = self.inner.provides(capability)
        calls = PARTS.get(capability.id)
        if inner is None or calls is None:
            return inner

        def send(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            return self.around(call, getattr(inner, call.method), args, kwargs)

        return cast(T, Part(calls, send))


class Names:
    """The names of machines, learned from what passes by: calls speak of ids, people of names.

    Concurrency: safe from any thread.

    Args:
        known: Id → name, of those that are known from the beginning.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})

    def of(self, arguments: Mapping[str, Any]) -> str:
        """Return the name of the machine that a call is about; its id if the name isn't known; or ``""``."""
        for key in ("spec", "subject", "offer"):
            about = arguments.get(key)
            if about is not None:
                self.learn(about)
                return str(getattr(about, "machine", about).name)
        ticket = arguments.get("ticket")
        ref = str(ticket.machine_id if ticket is not None else arguments.get("id", arguments.get("ref", "")))
        return self._known.get(ref, ref)

    def learn(self, value: Any) -> None:
        """Take note of the machines in what a call was given or returned."""
        for item in value if isinstance(value, list) else (value,):
            info = getattr(item, "machine", item)
            id, name = getattr(info, "id", None), getattr(info, "name", None)  # noqa: A001 - the contract's word
            if isinstance(id, str) and isinstance(name, str):
                self._known[id] = name
