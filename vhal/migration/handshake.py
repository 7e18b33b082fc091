"""The five steps of a migration, and the way back from each.

::

    source        destination
    offer   ───▶  examine          no effect
                  prepare          ┐
    transfer ═══▶                  │ anything that fails here is undone: cancel, then resume
       both are looked at          ┘
                  commit           ┐ from here on there is only forward
    release                        ┘

It knows two drivers and no engine. What the engines show after the transfer decides
(:mod:`vhal.migration.decision`), not what the calls returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from vhal.driver.context import Context, Progress
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy, MigrationResult, Offer, Ticket, Transfer
from vhal.errors import (
    EngineError,
    HostUnreachable,
    MigrationFailed,
    MigrationInDoubt,
    NotFound,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.layers.guard import Guard
from vhal.layers.locks import LOCKS
from vhal.migration.decision import Sight, Verdict, decide, sight
from vhal.migration.preflight import giver, preflight, refusal
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState

log = logging.getLogger("vhal.migration")

TIDYING_S = 60.0
"""How long each step of a way back may take. It has a deadline of its own: the operation's has often passed by then."""

POLL_S = 0.2
"""How often a machine that is on its way is looked at again."""

Keep: TypeAlias = Callable[[Offer, Ticket | None, bool], None]
"""Told what another process needs to go on, should this one die: the offer, before the destination is touched; the
ticket too, before anything is sent; and that all was sent, before it is committed. What it raises ends the migration.
"""

_UNCLEAR = (HostUnreachable, OperationTimeout, OperationAborted, EngineError)
"""Errors after which what was asked for may have been done all the same. The others are a no."""


def _forget(offer: Offer, ticket: Ticket | None, sent: bool) -> None:
    """Keep nothing."""


def migrate(
    source: Guard,
    destination: Guard,
    machine: MachineInfo,
    policy: MigrationPolicy,
    ctx: Context,
    keep: Keep | None = None,
) -> tuple[MigrationResult, MachineInfo]:
    """Move ``machine`` in the state it is in.

    Returns:
        How it went, and the machine as the destination has it.

    Raises:
        vhal.errors.MigrationRefused: The preflight says no; nothing was touched.
        vhal.errors.MigrationFailed: It was begun and undone; the machine is as it was on the source.
        vhal.errors.OperationAborted: The same, on request.
        vhal.errors.OperationTimeout: The same, since the deadline passed.
        vhal.errors.MigrationInDoubt: It can't be told who has the machine; nothing more was touched.

    Concurrency: holds the machine on both hosts; other calls on it raise ``Busy``.
    """
    with _both(source, destination, machine, ctx):
        return _Handshake(source, destination, policy, ctx, keep or _forget).run(source.inspect(machine.id))


def recover(
    source: Guard,
    destination: Guard,
    offer: Offer,
    ticket: Ticket | None,
    policy: MigrationPolicy,
    ctx: Context,
    *,
    sent: bool,
) -> MachineInfo | None:
    """Bring a migration whose process died to one of its two good ends.

    While a host still shows the machine as on its way, its engine may be moving it without us: it is waited for.

    Args:
        source: Where the machine was.
        destination: Where it was to go.
        offer: As it was kept.
        ticket: As it was kept; None if the process died before it had one.
        policy: With which it was begun.
        ctx: How long the engine is waited for.
        sent: As it was kept.

    Returns:
        The machine as the destination has it; or None if the source has it, as it was.

    Raises:
        vhal.errors.MigrationInDoubt: It can't be told who has it, or a host couldn't be asked; nothing more was done.
        vhal.errors.OperationTimeout: It is still on its way.
    """
    with _both(source, destination, offer.machine, ctx):
        return _Handshake(source, destination, policy, ctx, _forget).recover(offer, ticket, sent)


@contextmanager
def _both(source: Guard, destination: Guard, machine: MachineInfo, ctx: Context) -> Iterator[None]:
    """Keep others of this process off the machine, and time from passing while nobody waits."""
    with (
        LOCKS.hold(source.host_id, machine.id, "migrate", ctx),
        LOCKS.hold(destination.host_id, machine.id, "migrate", ctx),
        LOCKS.hold(destination.host_id, f"name:{machine.name}", "migrate", ctx),
        source.hold_clock(),
        destination.hold_clock(),
    ):
        yield


@dataclass
class _Handshake:
    source: Guard
    destination: Guard
    policy: MigrationPolicy
    ctx: Context
    keep: Keep

    def run(self, machine: MachineInfo) -> tuple[MigrationResult, MachineInfo]:
        begun = self.source.clock_s()
        self._phase("offer")
        answer, offer = preflight(self.source, self.destination, machine, self.policy)
        if not answer or offer is None:
            raise refusal(machine, answer, self.source.name, self.destination.name)
        self._phase("prepare")
        self.keep(offer, None, False)
        try:
            ticket = giver(self.destination).prepare(offer, self.policy, self.ctx)
        except BaseException as error:
            raise self._unprepared(offer, error) from error
        prepared = self.source.clock_s()
        claimed, failure = Transfer(), None
        try:
            self.keep(offer, ticket, False)
            self._phase("transfer")
            claimed = giver(self.source).transfer(offer, ticket, self.policy, self.ctx)
            self.keep(offer, ticket, True)
        except BaseException as error:  # noqa: BLE001 - whatever it was, where the machine is decides what follows
            failure = error
        sent = self.source.clock_s()
        arrived = self._settle(offer, ticket, failure)
        self._phase("release")
        self._release(offer)
        self.source.tell(EventKind.MIGRATED_OUT, machine, f"to {self.destination.name}")
        self.destination.tell(EventKind.MIGRATED_IN, arrived, f"from {self.source.name}")
        ended = self.source.clock_s()
        live = offer.state is MachineState.RUNNING
        setup = claimed.setup_s or 0.0
        elapsed = claimed.elapsed_s if claimed.elapsed_s is not None else sent - prepared
        if failure is not None and not isinstance(failure, Exception):
            raise failure  # it arrived all the same, but whoever interrupted it wants the end
        result = MigrationResult(
            machine=machine.name,
            source=self.source.name,
            destination=self.destination.name,
            live=live,
            setup_s=prepared - begun + setup,
            transfer_s=max(0.0, elapsed - setup),
            downtime_s=(claimed.downtime_s or 0.0) if live else 0.0,
            cleanup_s=max(0.0, ended - prepared - elapsed),
            total_s=ended - begun,
            transferred=claimed.transferred,
            iterations=claimed.iterations,
        )
        return result, arrived

    def recover(self, offer: Offer, ticket: Ticket | None, sent: bool) -> MachineInfo | None:
        self._wait_while_on_its_way(offer)
        interrupted = OperationAborted(
            f"the process that moved {offer.machine.name!r} ended", hint="it goes on where it was"
        )
        if ticket is None:
            undone = self._unprepared(offer, interrupted)
            if isinstance(undone, MigrationInDoubt):
                raise undone
            return None
        try:
            arrived = self._settle(offer, ticket, None if sent else interrupted)
        except (MigrationFailed, OperationAborted):
            return None
        self._release(offer)
        return arrived

    def _wait_while_on_its_way(self, offer: Offer) -> None:
        while any(self._on_its_way(host, offer) for host in (self.source, self.destination)):
            self.ctx.report(Progress("recover", message=f"{offer.machine.name} is still on its way"))
            self.source.sleep(POLL_S, self.ctx)

    def _on_its_way(self, host: Guard, offer: Offer) -> bool:
        try:
            return host.inspect(offer.machine.id).state is MachineState.MIGRATING
        except VhalError:
            return False  # absent, or not to be asked: what that means is decided with both in view

    def _unprepared(self, offer: Offer, failure: BaseException) -> BaseException:
        """Return what to raise when no ticket came. A place that is held all the same is given up."""
        if isinstance(failure, VhalError) and not isinstance(failure, _UNCLEAR):
            return self._undone(offer, failure)
        held = self._look(self.destination, offer)
        if held is Sight.ABSENT:
            return self._undone(offer, failure)
        reason = f"it shows something of it ({held.name.lower()})"
        if held is not Sight.RUNNING:
            try:
                # A step may be repeated, and this one gives the ticket that it takes to cancel.
                self._give_up(offer, giver(self.destination).prepare(offer, self.policy, Context(TIDYING_S)))
                return self._undone(offer, failure)
            except VhalError as error:
                reason = error.message
        return MigrationInDoubt(
            f"machine {offer.machine.name!r} goes on, on {self.source.name}, but {self.destination.name} may hold a "
            f"place for it: {reason}",
            hint=f"look at {self.destination.name}; what is there of it doesn't run, and can be deleted"
            if held is not Sight.RUNNING
            else f"look at both hosts before acting: {self.destination.name} shows a copy that runs",
            machine=offer.machine.name,
            native=failure,
        )

    def _settle(self, offer: Offer, ticket: Ticket, failure: BaseException | None) -> MachineInfo:
        """Return the machine as the destination has it; or put things right and raise."""
        self._decide(offer, ticket, failure)
        self._phase("commit")
        repeated = False
        while True:
            try:
                return giver(self.destination).commit(ticket, Context(TIDYING_S))
            except VhalError as error:
                # Where the engine only takes over now, the source still has it in memory and the way back is open.
                self._decide(offer, ticket, error)
                if repeated or not isinstance(error, HostUnreachable):
                    raise MigrationInDoubt(
                        f"machine {offer.machine.name!r} arrived on {self.destination.name}, but isn't as it should "
                        f"be: {error.message}",
                        hint=f"it is {self.destination.name}'s now; look at it there, and never start it on "
                        f"{self.source.name}",
                        machine=offer.machine.name,
                        native=error,
                    ) from error
                repeated = True  # the answer was lost, perhaps not the step; every step may be repeated

    def _decide(self, offer: Offer, ticket: Ticket, failure: BaseException | None) -> None:
        """Return if the machine is the destination's; else put things right and raise."""
        here, there = self._look(self.source, offer), self._look(self.destination, offer)
        verdict = decide(offer.state, here, there, claimed=failure is None)
        if verdict is Verdict.COMMITTED:
            if failure is not None:
                log.warning("machine %s is on the destination although: %s", offer.machine.name, failure)
            return
        if verdict in (Verdict.ROLL_BACK, Verdict.ENDED):
            self._roll_back(offer, ticket, failure, ended=verdict is Verdict.ENDED)
        name, facts = offer.machine.name, f"source: {here.name.lower()}, destination: {there.name.lower()}"
        if verdict is Verdict.LOST:
            raise MigrationInDoubt(
                f"neither host runs machine {name!r} any more ({facts})",
                hint="its definition and disks remain; look at both hosts, then start it on one of them",
                machine=name,
                native=failure,
            ) from failure
        raise MigrationInDoubt(
            f"it can't be told who has machine {name!r} ({facts})",
            hint="nothing more was touched; make both hosts reachable and look before acting",
            machine=name,
            native=failure,
        ) from failure

    def _roll_back(self, offer: Offer, ticket: Ticket, failure: BaseException | None, *, ended: bool) -> NoReturn:
        name = offer.machine.name
        try:
            self._give_up(offer, ticket)
            if not ended:
                giver(self.source).resume(offer, Context(TIDYING_S))
        except VhalError as error:
            why = failure or "it didn't arrive"
            raise MigrationInDoubt(
                f"the migration of {name!r} failed ({why}), and undoing it too: {error.message}",
                hint=error.hint or "look at both hosts before acting",
                machine=name,
                native=error,
            ) from failure
        if ended:
            raise MigrationFailed(
                f"machine {name!r} ended while it was being moved to {self.destination.name}",
                hint=f"it is stopped on {self.source.name} and can be started; the destination has nothing of it",
                machine=name,
                host=self.source.name,
                backend=self.source.backend,
                native=failure,
            ) from failure
        raise self._undone(offer, failure) from failure

    def _give_up(self, offer: Offer, ticket: Ticket) -> None:
        """Leave nothing at the destination, and make sure of it."""
        giver(self.destination).cancel(ticket, Context(TIDYING_S))
        left = self._look(self.destination, offer)
        if left is not Sight.ABSENT:
            raise MigrationInDoubt(
                f"the destination still has something of machine {offer.machine.name!r} ({left.name.lower()})",
                hint="remove it there before the machine goes on here",
            )

    def _undone(self, offer: Offer, failure: BaseException | None) -> BaseException:
        """Return what to raise when the source has the machine as it was."""
        if isinstance(failure, (OperationAborted, OperationTimeout)):
            return failure
        if failure is not None and not isinstance(failure, Exception):
            return failure
        ours = failure if isinstance(failure, VhalError) else None
        reason = ours.message if ours else failure or "it didn't arrive"
        return MigrationFailed(
            f"machine {offer.machine.name!r} could not be moved to {self.destination.name}: {reason}",
            hint=(ours and ours.hint) or f"it goes on, on {self.source.name}; the destination has nothing of it",
            machine=offer.machine.name,
            host=self.source.name,
            backend=self.source.backend,
            native=(ours and ours.native) or failure,
        )

    def _release(self, offer: Offer) -> None:
        try:
            try:
                giver(self.source).release(offer, Context(TIDYING_S))
            except HostUnreachable:
                giver(self.source).release(offer, Context(TIDYING_S))  # once more, as commit
        except VhalError as error:
            raise MigrationInDoubt(
                f"machine {offer.machine.name!r} runs on {self.destination.name}, but {self.source.name} could not be "
                f"tidied: {error.message}",
                hint=f"never start it on {self.source.name}; delete it there, with keep_disks, when it can be reached",
                machine=offer.machine.name,
                native=error,
            ) from error

    def _look(self, host: Guard, offer: Offer) -> Sight:
        try:
            return sight(host.inspect(offer.machine.id).state)
        except NotFound:
            return Sight.ABSENT
        except VhalError as error:
            log.warning("can't look at machine %s on %s: %s", offer.machine.name, host.name, error)
            return Sight.UNSEEN

    def _phase(self, name: str) -> None:
        self.ctx.report(Progress(name))
        if name in ("offer", "prepare", "transfer"):
            self.ctx.check()
