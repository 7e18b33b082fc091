"""What a backend implements for one host.

A driver is small and blocking. It doesn't check states, lock machines, keep deadlines for the whole call, or
translate errors on every line: the guard (:mod:`vhal.layers.guard`) does that around every driver. What it must do is
what its docstrings say, and the conformance suite checks it. ``plugins/mock`` is the one to read first.

The contract, per call: *condition → what the driver does → what the caller does*.

==============  ===========================================  ================================================
call            when it can't                                 what the core does then
==============  ===========================================  ================================================
``describe``    raises                                        ``HostUnreachable``, or what ``translate`` says
``machines``    raises                                        the same
``inspect``     ``NotFound`` for what isn't there             hands it on
``create``      raises, and leaves nothing behind             hands it on
``delete``      raises, and the machine is as it was          looks again: a machine that is gone is deleted
``start``       raises, and the machine is as it was          looks again: was it started by someone else?
``stop``        graceful and the guest doesn't react: waits   ``OperationTimeout``; the caller may force it
                until the context's deadline, then raises
``can``         never raises for "no": it answers             turns a no into the blocker's error
``close``       never raises                                  nothing
==============  ===========================================  ================================================
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from vhal.driver.answer import Answer
    from vhal.driver.capability import Capability
    from vhal.driver.context import Context
    from vhal.errors import VhalError
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")


STOP_TIMEOUT_S = 60.0
"""How long a guest that is asked to stop may take, where nobody says otherwise."""


class StopMode(StrEnum):
    """How to stop a machine."""

    GRACEFUL = "graceful"
    """Ask the guest, and wait for it."""
    FORCED = "forced"
    """Take the power away. On a saved machine: discard the memory."""


class Driver(ABC):
    """One host, as its engine offers it.

    Concurrency: every method may be called from any thread, several at once, unless ``concurrent`` is False; the core
    never has two changing calls on one machine at once.
    """

    backend: ClassVar[str]
    """Name of the backend, as in its URLs."""
    concurrent: ClassVar[bool] = True
    """False: the core lets one call in at a time."""
    refuses: ClassVar[bool] = False
    """True: ``create`` and every changing call refuse by themselves, before they change anything, what :meth:`can` or
    the machine's state speaks against. Then the core doesn't ask first, but only to explain a failure; where the engine
    has no events of its own it does all the same, since it needs to know what to tell of."""

    host_id: str
    """The host's uuid, known once the driver is open, without a round trip."""

    @abstractmethod
    def describe(self) -> HostInfo:
        """Return what the host is and how full it is, now."""

    @abstractmethod
    def machines(self) -> list[MachineInfo]:
        """Return every machine of the host, whoever made it; one round trip or two, never one per machine."""

    @abstractmethod
    def inspect(self, ref: str) -> MachineInfo:
        """Return one machine, by id or by name, with its spec if vhal made it.

        Raises:
            vhal.errors.NotFound: There is none.
        """

    @abstractmethod
    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        """Make the machine, stopped.

        Precondition: ``can(CREATE, spec)`` said yes a moment ago; things may have changed since.
        All or nothing: after an error nothing of it is left.
        """

    @abstractmethod
    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        """Remove the machine and what ``create`` made for it; never what was there before it.

        Precondition: it isn't active.

        Args:
            id: The machine's.
            ctx: Deadline, abort and progress.
            keep_disks: Leave the disks too, for another machine that uses them.
        """

    @abstractmethod
    def start(self, id: str, ctx: Context) -> None:
        """Stopped or crashed → running; returns when its processors run, not when its guest is up."""

    @abstractmethod
    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        """Running or paused → stopped; or, forced, saved → stopped. Returns when it is.

        Raises:
            vhal.errors.OperationTimeout: The guest didn't stop before the context's deadline. It keeps running.
        """

    @abstractmethod
    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        """Return whether ``capability`` can be used: here; or, given a subject, for that machine now.

        Has no effect. For ``CREATE`` the subject is the spec, and a yes means that ``create`` would succeed now.

        Raises:
            vhal.errors.InvalidSpec: The spec's options aren't what the backend's model says: that is no "no".
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the engine. Machines keep running. Idempotent; never raises."""

    def provides(self, capability: Capability[T]) -> T | None:
        """Return what implements ``capability``, or None. The default: the driver itself does if it is declared.

        A driver declares by listing keys in ``capabilities``.
        """
        if capability.id in self.capabilities:
            return self  # type: ignore[return-value]
        return None

    capabilities: ClassVar[frozenset[str]] = frozenset({"create", "power"})
    """Ids of the capabilities that this class implements itself."""

    def clock_s(self) -> float:
        """Return seconds on the clock by which this host's durations are measured; a simulated host has its own."""
        return time.monotonic()

    def hold_clock(self) -> AbstractContextManager[None]:
        """Return a context manager around calls that belong together.

        Where the host's time isn't real, none passes between them: only a call that waits lets it pass. The core holds
        the clocks of both hosts through a migration.
        """
        return nullcontext()

    def sleep(self, seconds: float, ctx: Context) -> None:
        """Let so many seconds of :meth:`clock_s` pass; a simulated host lets its own pass.

        Raises:
            vhal.errors.OperationAborted: Somebody asked for the end.
            vhal.errors.OperationTimeout: The deadline has passed; it isn't waited longer than that.
        """
        ctx.wait(seconds)

    def translate(self, error: Exception) -> VhalError | None:
        """Return the engine's ``error`` as one of ours, or None if it isn't the engine's.

        The guard calls it for every exception of the driver that isn't a :class:`~vhal.errors.VhalError`.
        """
        return None
