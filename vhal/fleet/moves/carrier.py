"""Carries a plan out: several moves at once, each looked at again before it begins, each written down.

What shall be moved is the plan's business, and how one machine moves is :mod:`vhal.migration`'s. Here are the order,
the limits, the abort, and what is done when something fails. One calls :mod:`vhal.fleet.moves.apply`.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from vhal.driver.context import Context, Progress
from vhal.driver.migration import MigrationResult, Offer, Ticket
from vhal.errors import (
    InsufficientResources,
    InvalidState,
    MigrationInDoubt,
    NotFound,
    OperationAborted,
    OperationTimeout,
    Unsupported,
    VhalError,
)
from vhal.fleet.members.cordon import cordons
from vhal.fleet.moves.applied import Applied, ApplySettings, MoveEvent, MoveResult, Outcome
from vhal.fleet.moves.hindered import hindered
from vhal.fleet.moves.present import Present, refused
from vhal.fleet.placement.claims import Claims, claims_of
from vhal.fleet.plan import Move, Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.host import Host
from vhal.journal import Held, StepState
from vhal.operation import part
from vhal.spec.units import Bytes

log = logging.getLogger("vhal.fleet")


class Hosts(Protocol):
    """What of a fleet is needed to move its machines: :class:`vhal.fleet.fleet.Fleet` has it."""

    def host(self, name: str, /) -> Host:
        """Return an open host."""

    def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
        """Return what there is now; with ``movable``, each machine is asked whether it can move."""

    def mark(self, name: str, status: HostStatus, reason: str = "", /) -> None:
        """Let a host be cordoned, draining or up."""


Replan = Callable[[FleetSnapshot], Plan | None]
"""Makes a new plan after moves that failed, or none, from a snapshot that says what is not to be tried again: see
:mod:`vhal.fleet.moves.hindered`.

If it raises one of our errors, the old plan goes on."""

OnEvent = Callable[[MoveEvent], None]
"""Told of each move's beginning, progress and end, in several threads; it must not block."""


def steps(moves: Sequence[Move]) -> list[tuple[str, str, Any]]:
    """Return moves as the steps of a work."""
    return [("move", move.id, move.model_dump(mode="json", exclude_defaults=True)) for move in moves]


class Carrier:
    """One run of one work.

    One thread decides what begins; each move has a thread of its own. What they share is
    :class:`~vhal.fleet.moves.present.Present`, the journal, and which moves are under way.
    """

    def __init__(
        self,
        fleet: Hosts,
        now: FleetSnapshot,
        settings: ApplySettings,
        work: Held,
        ctx: Context,
        replan: Replan | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._work = work
        self._ctx = ctx
        self._replan = replan
        self._replans = settings.replans
        self._on_event = on_event
        self._waiting: dict[int, Move] = {}
        self._running: dict[int, tuple[Move, Context]] = {}
        self._results: dict[int, MoveResult] = {}
        self._ended: queue.SimpleQueue[tuple[int, MoveResult | BaseException]] = queue.SimpleQueue()
        self._fresh: dict[int, MoveResult] = {}
        """What failed since the last plan."""
        self._doubtful: set[str] = set()
        """Hosts of machines in doubt."""
        self._lock = threading.RLock()  # a signal's handler may abort in the middle of anything
        self._present = Present(now)
        self._claims = claims_of(now)

    def run(self, moves: Mapping[int, Move], done: Mapping[int, MoveResult] | None = None) -> Applied:
        """Carry out what isn't done: place in the work → move, and what came of those that were begun before."""
        self._waiting.update(moves)
        for place, result in (done or {}).items():
            self._note(place, result)
        for move in moves.values():
            self._present.expect(move)
        begun_s = self._clock_s()
        with self._ctx.on_abort(self._abort):
            try:
                self._go()
            except BaseException:
                self._abort()
                self._join()
                raise
        self._give_up()
        applied = Applied(
            work=self._work.id,
            moves=tuple(self._results[place] for place in sorted(self._results)),
            seconds=max(0.0, self._clock_s() - begun_s),
        )
        # With one in doubt it stays open: whoever resumes it looks again.
        if not any(result.outcome is Outcome.IN_DOUBT for result in applied.moves):
            self._work.end(applied.model_dump(mode="json", exclude={"moves"}))
        self._check(applied)
        return applied

    # the thread that decides

    def _go(self) -> None:
        while True:
            if not self._is_over() and not self._fails_anew():
                self._begin()
            if self._running:
                self._wait()
            elif self._is_over() or not (self._waiting or self._fails_anew()):
                return
            elif self._fails_anew():
                self._plan_anew()

    def _is_over(self) -> bool:
        return self._ctx.aborted or self._ctx.remaining_s == 0

    def _fails_anew(self) -> bool:
        """Return whether a new plan is to be made, as soon as nothing is under way."""
        if self._replan is None or not self._replans:
            return False
        outcomes = {result.outcome for result in self._fresh.values()}
        # A refusal changes nothing: the rest of the plan goes on, and then all that was refused is planned anew.
        return Outcome.FAILED in outcomes or (Outcome.REFUSED in outcomes and not self._waiting)

    def _begin(self) -> None:
        """Begin every move that may begin; if none ever can, end the first that can't."""
        held: tuple[int, str] | None = None
        for place, move in list(self._waiting.items()):
            missed = next((n for n in move.after if n in self._results and not self._results[n].outcome.arrived), None)
            if missed is not None:
                self._drop(place, Outcome.DROPPED, f"it needs the move of {self._results[missed].move.machine}")
            elif self._doubtful & {move.source, move.destination}:
                self._drop(place, Outcome.DROPPED, "one of its hosts has a machine of which it isn't known who has it")
            elif all(n in self._results for n in move.after) and self._limits_allow(move):
                why = self._present.refusal(move)
                if why is None:
                    self._start(place, move)
                else:
                    held = held or (place, why)
        if not self._running and held is not None:
            self._drop(held[0], Outcome.REFUSED, held[1])
        elif not self._running and self._waiting:
            # Nothing limits what nothing is under way beside: these wait for one another.
            for place in [place for place, move in self._waiting.items() if not set(move.after) <= set(self._results)]:
                self._drop(place, Outcome.REFUSED, "it waits for itself, or for a move that isn't in the plan")

    def _limits_allow(self, move: Move) -> bool:
        under_way = [other for other, _ in self._running.values()]
        ends = {move.source, move.destination}
        return (
            len(under_way) < self._settings.fleet
            and all(move.id != other.id for other in under_way)
            and all(
                sum(end in (other.source, other.destination) for other in under_way) < self._settings.per_host
                for end in ends
            )
            and sum({other.source, other.destination} == ends for other in under_way) < self._settings.per_link
        )

    def _start(self, place: int, move: Move) -> None:
        self._tell(MoveEvent("begun", place, move))
        ctx = Context(_least(self._settings.move_timeout_s, self._ctx.remaining_s), self._teller(place, move))
        self._present.begin(move)
        threading.Thread(target=self._move, args=(place, move, ctx), name=f"vhal-move-{move.machine}").start()
        with self._lock:
            del self._waiting[place]
            self._running[place] = (move, ctx)
        if self._ctx.aborted:
            ctx.abort()  # it came before the entry

    def _wait(self) -> None:
        """Wait for the end of one move."""
        place, result = self._ended.get()
        with self._lock:
            move, _ = self._running.pop(place)
        if isinstance(result, BaseException):
            raise result
        self._note(place, result)
        self._present.end(result)
        self._tell(MoveEvent("ended", place, move, result=result))
        self._report()

    def _join(self) -> None:
        while self._running:
            place, _ = self._ended.get()
            with self._lock:
                del self._running[place]

    def _abort(self) -> None:
        with self._lock:
            contexts = [ctx for _, ctx in self._running.values()]
        for ctx in contexts:
            ctx.abort()

    def _plan_anew(self) -> None:
        self._replans -= 1
        fresh = list(self._fresh.values())
        self._fresh.clear()
        now = self._fleet.snapshot(movable=True)
        plan = self._new_plan(hindered(now, fresh, self._results.values()))
        if plan is None:
            return
        for place in list(self._waiting):
            self._drop(place, Outcome.DROPPED, "there is a new plan")
        self._present.see(now)
        first = self._work.add(steps(plan.moves))
        added = {
            place: move.model_copy(update={"after": tuple(first + n for n in move.after)})
            for place, move in enumerate(plan.moves, first)
        }
        with self._lock:
            self._waiting.update(added)
        for move in added.values():
            self._present.expect(move)

    def _new_plan(self, now: FleetSnapshot) -> Plan | None:
        try:
            return self._replan(now) if self._replan is not None else None
        except VhalError as error:
            log.warning("no new plan could be made: %s", error)
            return None

    def _give_up(self) -> None:
        for place in list(self._waiting):
            self._drop(place, Outcome.ABORTED, "it wasn't begun")

    def _drop(self, place: int, outcome: Outcome, why: str) -> None:
        with self._lock:
            move = self._waiting.pop(place)
        result = MoveResult(move=move, outcome=outcome, error=why)
        self._work.mark(place, StepState.ENDED, result.plain())
        self._note(place, result)
        self._present.forget(move)
        self._tell(MoveEvent("ended", place, move, result=result))

    def _note(self, place: int, result: MoveResult) -> None:
        with self._lock:
            self._results[place] = result
        if result.outcome in (Outcome.FAILED, Outcome.REFUSED):
            self._fresh[place] = result
        if result.outcome is Outcome.IN_DOUBT:
            self._doubtful |= {result.move.source, result.move.destination}

    def _check(self, applied: Applied) -> None:
        if not any(result.outcome is Outcome.ABORTED for result in applied.moves):
            return  # it was too late, or nothing was asked
        if self._doubtful:
            applied.check()
        said = f"{applied}; each machine is where it was or where it should be"
        if self._ctx.aborted:
            raise OperationAborted(f"aborted: {said}", hint="plan again for what is left")
        if self._is_over():
            raise OperationTimeout(f"the time is over: {said}", hint="give it a longer timeout_s")

    def _clock_s(self) -> float:
        moves = [*self._waiting.values(), *(result.move for result in self._results.values())]
        for name in dict.fromkeys(move.source for move in moves):
            try:
                return self._fleet.host(name).guard.clock_s()
            except VhalError:
                continue
        return 0.0

    # the threads that move

    def _move(self, place: int, move: Move, ctx: Context) -> None:
        """Make one move; hand over what came of it."""
        result: MoveResult | BaseException
        try:
            with part(ctx):
                result = self._moved(place, move, ctx)
            if result.outcome is not Outcome.IN_DOUBT:
                # One in doubt stays as it was begun, with what it takes to go on.
                self._work.mark(place, StepState.ENDED, result.plain())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            result = error
        self._ended.put((place, result))

    def _moved(self, place: int, move: Move, ctx: Context) -> MoveResult:
        note: dict[str, Any] = {}

        def keep(offer: Offer, ticket: Ticket | None, sent: bool) -> None:
            note["offer"] = offer.model_dump(mode="json")
            note["ticket"] = None if ticket is None else ticket.model_dump(mode="json")
            note["sent"] = sent
            self._work.mark(place, StepState.BEGUN, note)

        try:
            source, destination = self._fleet.host(move.source), self._fleet.host(move.destination)
            # Somebody may have cordoned it since the plan was begun.
            for each in cordons(self._work.journal):
                if each.is_of(move.destination, destination.uuid):
                    return refused(move, str(each))
            since_s = Claims.now_s()
            settled = self._present.look(move, source, destination)
            if settled is not None:
                return settled
            ctx.check()
            machine = source.machine(move.id)
            note["state"] = str(machine.seen.state)
            with self._claims.held(since_s, lambda claims: self._present.claim(move, claims)):
                self._work.mark(place, StepState.BEGUN, note)
                return _as_moved(move, machine.migrate(destination, self._settings.policy, keep=keep))
        except MigrationInDoubt as error:
            return MoveResult(move=move, outcome=Outcome.IN_DOUBT, error=str(error))
        except OperationAborted as error:
            return MoveResult(move=move, outcome=Outcome.ABORTED, error=error.message)
        except OperationTimeout as error:
            # The whole's deadline is no failure of this move.
            outcome = Outcome.ABORTED if self._is_over() else Outcome.FAILED
            return MoveResult(move=move, outcome=outcome, error=str(error))
        except (Unsupported, InvalidState, NotFound, InsufficientResources) as error:
            return refused(move, str(error))
        except VhalError as error:
            return MoveResult(move=move, outcome=Outcome.FAILED, error=str(error))

    # telling

    def _teller(self, place: int, move: Move) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            self._tell(MoveEvent("progress", place, move, progress))
            self._report(f"{move.machine} → {move.destination}: {progress.phase}", progress.rate)

        return tell

    def _tell(self, event: MoveEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _report(self, message: str = "", rate: int | None = None) -> None:
        with self._lock:
            results = list(self._results.values())
            left = [*self._waiting.values(), *(move for move, _ in self._running.values())]
        arrived = sum(result.outcome.arrived for result in results)
        counted = f"{arrived} of {len(results) + len(left)} moves"
        done = sum(result.move.memory for result in results)
        total = done + sum(move.memory for move in left)
        said = f"{counted}, {message}" if message else counted
        self._ctx.report(Progress("apply", done=done, total=total, rate=rate, message=said))


def _as_moved(move: Move, result: MigrationResult) -> MoveResult:
    return MoveResult(
        move=move,
        outcome=Outcome.MOVED,
        seconds=result.total_s,
        downtime_s=result.downtime_s,
        transferred=Bytes(result.transferred),
    )


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)
