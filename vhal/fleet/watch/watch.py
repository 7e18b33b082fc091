"""Keeps a fleet cool: looks at it again and again, and when a host stays hot, has a plan made and carries it out.

It acts late, little and seldom, by its :mod:`policy <vhal.fleet.watch.policy>`: a fleet whose machines are always on
the move is worse than a hot host. What is worth moving decides the planner: :mod:`vhal.fleet.balance`, by what hosts do
now, or :mod:`vhal.fleet.watch.cool`, by what machines are used to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from vhal.driver.context import Context
from vhal.errors import NotFound, VhalError
from vhal.fleet.balance import plan_balance
from vhal.fleet.moves.applied import Applied
from vhal.fleet.moves.apply import apply, resume
from vhal.fleet.moves.carrier import Hosts, OnEvent
from vhal.fleet.moves.works import unfinished
from vhal.fleet.plan import Plan
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.fleet.watch.cool import cool, heat
from vhal.fleet.watch.habit import learn
from vhal.fleet.watch.lately import Lately
from vhal.fleet.watch.learned import Memory
from vhal.fleet.watch.policy import WatchPolicy
from vhal.journal import Journal, opened
from vhal.operation import part
from vhal.spec.units import Bytes

NOTHING_KNOWN = "no load is known yet"

Planner = Callable[[FleetSnapshot], Plan]


class Decision(StrEnum):
    """What a look led to."""

    COOL = "cool"
    """No host is hot, and none is to be emptied."""
    HELD = "held"
    """A host is hot, but hasn't been for long enough."""
    QUIET = "quiet"
    """It is a time when nothing is moved."""
    LIMITED = "limited"
    """So much was moved in the last hour that nothing of the plan may be."""
    NOTHING = "nothing"
    """No plan is worth it."""
    PLANNED = "planned"
    """There is a plan, and it wasn't to be carried out."""
    MOVED = "moved"
    """A plan was carried out, as far as that was possible."""
    FAILED = "failed"
    """Something went wrong; the next look begins anew."""


@dataclass(frozen=True, slots=True)
class Round:
    """One look at the fleet."""

    at_s: float
    """When, in seconds since the epoch (or of a simulated clock)."""
    decision: Decision
    hot: tuple[str, ...] = ()
    """The hosts that were hot, the hottest first."""
    reason: str = ""
    """Why, in a sentence."""
    plan: Plan | None = None
    applied: Applied | None = None


class Watch:
    """A fleet being watched.

    Args:
        fleet: What is watched.
        policy: When to act.
        planner: Makes a plan; None for that of the policy. The balancer cools hot hosts then, and no more.
        journal: Where plans are written down; None for the user's.
        dry_run: Make plans, and carry none out.
        now_s: Tells the time, in seconds since the epoch.
        wait: Lets so many seconds pass; None waits for them, or for :meth:`stop`.
        on_event: Told of each move.

    Raises:
        vhal.errors.InvalidSpec: The policy's file of habits is of another version of vhal.
        vhal.errors.AccessDenied: It can't be read.
    """

    def __init__(
        self,
        fleet: Hosts,
        policy: WatchPolicy,
        planner: Planner | None = None,
        *,
        journal: Journal | None = None,
        dry_run: bool = False,
        now_s: Callable[[], float] = time.time,
        wait: Callable[[float], object] | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._way: _Way = _ByHabit(policy) if policy.policy == "cool" else _ByHeat(policy)
        self._planner = planner or self._way.plan
        self._journal = journal
        self._dry_run = dry_run
        self._now_s = now_s
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._on_event = on_event
        self._context = Context()
        self._lately = Lately(policy.cool_down_s)

    def stop(self) -> None:
        """End it soon: nothing begins any more, and what is under way is undone or finished.

        Idempotent; returns at once, and may be called by a signal's handler.
        """

        def end() -> None:
            self._stopped.set()
            self._context.abort()

        # A handler runs in the middle of a thread that may hold the locks that this takes.
        threading.Thread(target=end, name="vhal-watch-stop").start()

    def rounds(self) -> Iterator[Round]:
        """Yield each look at the fleet, until :meth:`stop`. What was left in the middle is finished first."""
        with opened(self._journal) as journal:
            while not self._stopped.is_set():
                yield self._round(journal)
                self._wait(self._policy.every_s)

    def _round(self, journal: Journal) -> Round:
        at_s = self._now_s()
        try:
            with part(self._context):
                return self._look(at_s, journal)
        except VhalError as error:
            return Round(at_s, Decision.FAILED, reason=str(error))

    def _look(self, at_s: float, journal: Journal) -> Round:
        policy = self._policy
        if not self._dry_run:
            self._finish(at_s, journal)
        sight = self._way.look(self._fleet.snapshot())
        if sight.decision is not None:
            return Round(at_s, sight.decision, sight.hot, sight.reason)
        if policy.is_quiet(at_s):
            return Round(at_s, Decision.QUIET, sight.hot, f"{sight.reason}, but nothing is moved at this time")
        return self._act(at_s, sight.hot, journal)

    def _finish(self, at_s: float, journal: Journal) -> None:
        """Go on with what a watch of this fleet left in the middle."""
        for work in unfinished(journal):
            if work.data["kind"] == "balance":
                with suppress(NotFound):  # it is another fleet's
                    self._lately.count(at_s, resume(work.id, self._fleet, journal=journal, on_event=self._on_event))

    def _act(self, at_s: float, hot: tuple[str, ...], journal: Journal) -> Round:
        # Who can move isn't asked before it matters: that is a call for each machine.
        snapshot = self._fleet.snapshot(movable=True)
        self._lately.recall(at_s, journal, snapshot)
        snapshot = self._lately.rested(snapshot, at_s)
        plan = self._planner(snapshot)
        if not plan:
            return Round(at_s, Decision.NOTHING, hot, "; ".join(plan.notes) or "nothing is worth moving", plan)
        plan = self._within_limits(plan, snapshot, at_s)
        if not plan:
            last, _ = self._lately.last_hour(at_s)
            reason = f"{last} machines were moved in the last hour" if last else "it is more than may move in an hour"
            return Round(at_s, Decision.LIMITED, hot, reason, plan)
        if self._dry_run:
            return Round(at_s, Decision.PLANNED, hot, plan=plan)
        applied = apply(plan, self._fleet, self._policy.apply, journal=journal, on_event=self._on_event)
        self._lately.count(at_s, applied)
        self._way.moved()
        return Round(at_s, Decision.MOVED, hot, str(applied), plan, applied)

    def _within_limits(self, plan: Plan, snapshot: FleetSnapshot, at_s: float) -> Plan:
        """Return what of a plan may be carried out now."""
        tried, sent = self._lately.last_hour(at_s)
        moves, memory = self._policy.moves_per_hour - tried, self._policy.memory_per_hour - sent
        if len(plan.moves) <= moves and plan.memory <= memory:
            return plan
        return self._way.less(plan, snapshot, max(0, moves), Bytes(max(0, memory)))


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a look shows."""

    hot: tuple[str, ...] = ()
    reason: str = ""
    decision: Decision | None = None
    """None: a plan is to be made."""


class _Way(Protocol):
    """How a policy decides."""

    def look(self, snapshot: FleetSnapshot) -> _Sight:
        """Return whether a plan is to be made."""

    def plan(self, snapshot: FleetSnapshot) -> Plan:
        """Return what is worth moving."""

    def less(self, plan: Plan, snapshot: FleetSnapshot, moves: int, memory: Bytes) -> Plan:
        """Return a plan with no more moves and memory than that."""

    def moved(self) -> None:
        """Take note that a plan was carried out."""


class _ByHeat:
    """By what hosts do now: policy ``balance``."""

    def __init__(self, policy: WatchPolicy) -> None:
        self._policy = policy
        self._hot_for: dict[str, int] = {}

    def look(self, snapshot: FleetSnapshot) -> _Sight:
        known = heats(snapshot)
        shares = {name: share for name, share in known.items() if share >= self._policy.hot}
        hot = tuple(sorted(shares, key=lambda name: (-shares[name], name)))
        self._hot_for = {name: self._hot_for.get(name, 0) + 1 for name in hot}
        if not hot:
            return _Sight(reason="" if known else NOTHING_KNOWN, decision=Decision.COOL)
        longest = max(hot, key=lambda name: self._hot_for[name])
        said = f"{longest} is busy to {shares[longest]:.0%}, for {self._hot_for[longest]} of {self._policy.hold} looks"
        return _Sight(hot, said, Decision.HELD if self._hot_for[longest] < self._policy.hold else None)

    def plan(self, snapshot: FleetSnapshot) -> Plan:
        policy = self._policy
        cooled = policy.hot * (1 - policy.margin)
        return plan_balance(
            snapshot, BalanceSettings(mode="hot", hot=policy.hot, cooled=cooled, cool_down_s=policy.cool_down_s)
        )

    def less(self, plan: Plan, snapshot: FleetSnapshot, moves: int, memory: Bytes) -> Plan:
        count, left = 0, int(memory)  # every beginning of a plan is a plan, too
        for move in plan.moves[:moves]:
            left -= move.memory
            if left < 0:
                break
            count += 1
        return plan.model_copy(update={"moves": plan.moves[:count]})

    def moved(self) -> None:
        self._hot_for.clear()  # what it is like now, the next looks tell


class _ByHabit:
    """By what machines are used to: policy ``cool``. It learns with each look, and knows at first what is in a file."""

    def __init__(self, policy: WatchPolicy) -> None:
        self._settings = policy.cool.replace(rest_s=policy.cool_down_s)
        self._memory = Memory(policy.habits)
        self._habits = self._memory.habits

    def look(self, snapshot: FleetSnapshot) -> _Sight:
        self._habits = learn(self._habits, snapshot)
        self._memory.keep(self._habits, snapshot.taken_s)
        if not any(habit.weight for habit in self._habits.values()):
            return _Sight(reason=NOTHING_KNOWN, decision=Decision.COOL)
        hot = heat(snapshot, self._habits, self._settings)
        if hot:
            name = next(iter(hot))
            return _Sight(tuple(hot), f"{name} is hot: {hot[name]:.0%} of its processors are expected busy")
        # That costs no call; who can move is only asked where somebody is to.
        plan = self.plan(snapshot)
        return _Sight(reason="hosts can be emptied") if plan else _Sight(decision=Decision.COOL)

    def plan(self, snapshot: FleetSnapshot) -> Plan:
        return cool(snapshot, self._habits, self._settings)

    def less(self, plan: Plan, snapshot: FleetSnapshot, moves: int, memory: Bytes) -> Plan:
        # Made anew: a beginning might empty a host in part, which costs and saves nothing.
        own = self._settings
        return cool(
            snapshot,
            self._habits,
            own.replace(
                moves=moves if own.moves is None else min(moves, own.moves),
                memory=memory if own.memory is None else min(memory, own.memory),
            ),
        )

    def moved(self) -> None:
        pass  # the next look tells where they are


def heats(snapshot: FleetSnapshot) -> dict[str, float]:
    """Return which share of its processors each host keeps busy, as far as that is known; one that is emptied aside."""
    found: dict[str, float] = {}
    for host in snapshot.hosts:
        if host.status in (HostStatus.UNREACHABLE, HostStatus.DRAINING) or not host.cpus:
            continue
        loads = [machine.load.cpus for machine in snapshot.on[host.name] if machine.load is not None]
        if host.load is not None:
            found[host.name] = host.load.cpus / host.cpus
        elif loads:
            found[host.name] = sum(loads) / host.cpus
    return found
