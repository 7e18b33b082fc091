"""Errors of the wrong class, or that help nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vhal_mock.changes import MockSnapshots
from vhal_mock.driver import MockDriver
from vhal_mock.machine import SimMachine

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import YES, Context
from vhal.errors import EngineError, NotFound, VhalError
from vhal.spec import MachineSpec

Call = Callable[..., Any]


def _raising(patch: Patch, error: VhalError) -> None:
    def wrong(right: Call, part: MockSnapshots, machine: SimMachine, name: str) -> Any:
        if name not in machine.snapshots:
            raise error
        return right(part, machine, name)

    around(patch, MockSnapshots, "_kept", wrong)


def an_error_of_no_class(patch: Patch) -> None:
    """A snapshot that isn't there is just an error."""
    _raising(patch, VhalError("no such snapshot", hint="snapshots() lists them"))


def an_error_without_a_hint(patch: Patch) -> None:
    """A snapshot that isn't there is said to be not there, and nothing more."""
    _raising(patch, NotFound("no such snapshot"))


def a_key_error(patch: Patch) -> None:
    """A machine that isn't there is a ``KeyError``."""

    def wrong(right: Call, driver: MockDriver, ref: str, call: str | None = None) -> Any:
        try:
            return right(driver, ref, call)
        except NotFound:
            raise KeyError(ref) from None

    around(patch, MockDriver, "find", wrong)


def a_taken_name_is_the_engines_error(patch: Patch) -> None:
    """A name that is taken is found out by the engine, which has one code for all errors."""

    def can(right: Call, driver: MockDriver, capability: Any, subject: Any = None) -> Any:
        answer = right(driver, capability, subject)
        return YES if any(one.code == "name-taken" for one in answer.blockers) else answer

    def create(right: Call, driver: MockDriver, spec: MachineSpec, ctx: Context) -> Any:
        if spec.name in driver.host.by_name:
            raise EngineError("operation failed", hint="look at the engine's log")
        return right(driver, spec, ctx)

    around(patch, MockDriver, "can", can)
    around(patch, MockDriver, "create", create)
