"""Begin to carry a plan out, or go on with one whose process died.

::

    with vhal.Fleet.load() as fleet:
        operation = vhal.begin(fleet.apply, fleet.plan_balance())
        for progress in operation.updates():
            print(progress.message)
        print(operation.result())

How it is carried out is :mod:`vhal.fleet.moves.carrier`; where it is written down, :mod:`vhal.journal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vhal.driver.context import Context
from vhal.driver.migration import MigrationPolicy, Offer, Ticket
from vhal.errors import InvalidSpec, NotFound, VhalError
from vhal.fleet.members.cordon import cordon, cordons, uncordon
from vhal.fleet.members.inventory import known_uuid
from vhal.fleet.moves.anew import anew
from vhal.fleet.moves.applied import Applied, ApplySettings, MoveResult, Outcome
from vhal.fleet.moves.carrier import Carrier, Hosts, OnEvent, Replan, steps
from vhal.fleet.moves.emptying import LEFT
from vhal.fleet.moves.outdated import refuse_outdated
from vhal.fleet.moves.works import PLAN, refuse_strange
from vhal.fleet.plan import Move, Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost
from vhal.host import Host
from vhal.journal import Held, Journal, Step, StepState, opened
from vhal.migration.handshake import recover
from vhal.operation import call_context
from vhal.spec.state import MachineState

SETTLING_S = 600.0
"""How long an engine that moves a machine on without us is waited for, if nobody says."""


def apply(
    plan: Plan,
    fleet: Hosts,
    settings: ApplySettings | None = None,
    *,
    journal: Journal | None = None,
    replan: Replan | None = None,
    on_event: OnEvent | None = None,
    timeout_s: float | None = None,
) -> Applied:
    """Carry ``plan`` out.

    Hosts that are to be emptied, or used again, are marked first, which lasts: see
    :mod:`vhal.fleet.members.cordon`. A move begins when those it needs are over and
    nothing limits it; if its machine, its destination or a rule is no longer as planned, it isn't begun. After a move
    that failed, what is under way is ended, and the rest is planned anew, as :func:`vhal.fleet.moves.anew.anew` says;
    where nobody can, or wants to (``settings.replans``), what doesn't depend on it goes on. Machines that a host
    refuses are planned to go to others, as soon as all else is over.

    Args:
        plan: What to move.
        fleet: Where.
        settings: How; None for the defaults.
        journal: Where it is written down; None for the user's.
        replan: Makes a new plan after moves that failed; None for what made this one.
        on_event: Told of each move.
        timeout_s: The whole deadline. After it nothing begins, and what is under way is undone.

    Returns:
        What came of each move; failed ones are no error: :meth:`~vhal.fleet.moves.applied.Applied.check` makes them
        one.

    Raises:
        vhal.errors.InvalidSpec: The plan is to evacuate a dead host: see :mod:`vhal.fleet.moves.evacuate`.
        vhal.errors.PlanOutdated: The fleet has changed since; no move was made.
        vhal.errors.NotFound: It is to empty a host that isn't in the fleet.
        vhal.errors.Busy: Another plan that is under way, or was left in the middle, moves one of the machines.
        vhal.errors.JournalError: It can't be written down; no further move was made.
        vhal.errors.OperationAborted: On request; each machine runs where it was or where it should be.
        vhal.errors.OperationTimeout: The same, since the deadline passed.

    Concurrency: calls of several threads, or processes, that move different machines may go on at once; each keeps its
    own limits.
    """
    if plan.kind == "evacuate":
        raise InvalidSpec("nothing can be moved off a dead host", hint="evacuate() starts its machines elsewhere")
    settings = settings or ApplySettings()
    ctx = call_context(timeout_s)
    now = _marked(fleet.snapshot(), plan)
    refuse_outdated(plan, now)
    about = {*plan.emptied, *plan.restored, *(host for move in plan.moves for host in (move.source, move.destination))}
    data: dict[str, Any] = {
        "kind": plan.kind,
        "snapshot": plan.snapshot,
        "hosts": {host.name: known_uuid(host) for host in now.hosts if host.name in about},
        "emptied": list(plan.emptied),
        "restored": list(plan.restored),
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "made": None if plan.settings is None else plan.settings.model_dump(mode="json", exclude_defaults=True),
    }
    with opened(journal) as book:
        data["again"] = [name for name in plan.emptied if _is_being_emptied(book, now.host(name))]
        _mark(fleet, plan)
        with book.begin(PLAN, data, steps(plan.moves)) as work:
            _cordon(work, plan, now)
            carrier = Carrier(fleet, now, settings, work, ctx, replan or anew(plan), on_event)
            return _looked_at(carrier.run(dict(enumerate(plan.moves))), plan, fleet)


def _mark(fleet: Hosts, plan: Plan) -> None:
    for name in plan.emptied:
        fleet.mark(name, HostStatus.DRAINING, "it is being emptied")
    for name in plan.restored:
        fleet.mark(name, HostStatus.UP)


def _cordon(work: Held, plan: Plan, now: FleetSnapshot) -> None:
    """Write down that the plan's hosts stay empty until they are restored; and that those that are may be used."""
    for name in plan.emptied:
        cordon(work.journal, name, known_uuid(now.host(name)), HostStatus.DRAINING, f"work {work.id} emptied it")
    for name in plan.restored:
        uncordon(work.journal, name, known_uuid(now.host(name)))


def _looked_at(applied: Applied, plan: Plan, fleet: Hosts) -> Applied:
    """Return what came of a plan with what is on its emptied hosts: who switches them off must not believe too much.

    That is looked at: a machine may have been on its way there when the plan was begun.
    """
    known = [note.removeprefix(LEFT) for note in plan.notes if note.startswith(LEFT)]
    left: list[str] = []
    for name in plan.emptied:
        try:
            there = sorted(machine.name for machine in fleet.host(name).machines())
        except VhalError as error:
            left.append(f"it isn't known whether {name} is empty: {error.message}")
            continue
        for machine in there:
            why = f"{machine} stays on {name}: "
            left.append(next((each for each in known if each.startswith(why)), f"{machine} is on {name}"))
    return applied.replace(left=tuple(left))


def _is_being_emptied(journal: Journal, host: SeenHost) -> bool:
    """Return whether a drain from before still holds: then this one is a part of that, and is restored with it."""
    return any(
        each.status is HostStatus.DRAINING and each.is_of(host.name, known_uuid(host)) for each in cordons(journal)
    )


def _marked(now: FleetSnapshot, plan: Plan) -> FleetSnapshot:
    """Return the fleet as it is once the plan's hosts are marked."""
    return now.marked(plan.emptied, HostStatus.DRAINING).marked(plan.restored, HostStatus.UP)


def _plan(data: Mapping[str, Any], moves: Iterable[Move]) -> Plan:
    """Return a plan that was written down, as far as it is needed to go on with it."""
    keys = ("kind", "snapshot", "emptied", "restored")
    return Plan(**{key: data[key] for key in keys}, settings=data.get("made"), moves=tuple(moves))


def resume(
    work: str,
    fleet: Hosts,
    settings: ApplySettings | None = None,
    *,
    journal: Journal | None = None,
    replan: Replan | None = None,
    on_event: OnEvent | None = None,
    timeout_s: float | None = None,
) -> Applied:
    """Go on with a plan whose process died, or of which a move was in doubt.

    What the hosts show counts, not what was written down: a move that was under way is brought to one of its ends
    first, one that came about meanwhile is done, one that no longer fits is refused.

    Args:
        work: Its id: see :func:`vhal.fleet.moves.works.unfinished`.
        fleet: Where.
        settings: How to go on; None for how it was begun.
        journal: Where it is written down; None for the user's.
        replan: Makes a new plan after moves that failed; None for what made this one.
        on_event: Told of each move that is made now.
        timeout_s: The whole deadline.

    Raises:
        vhal.errors.NotFound: Nothing of that id is written down, or its hosts are another fleet's.
        vhal.errors.Busy: A process that lives carries it out.
        vhal.errors.VhalError: As :func:`apply`.
    """
    ctx = call_context(timeout_s)
    with opened(journal) as book, book.take(work) as held:
        found = held.read()
        if found.kind != PLAN or found.ended_s is not None:
            raise NotFound(f"work {work} has nothing to go on with", hint="'vhal fleet resume' lists what has")
        now = fleet.snapshot()
        refuse_strange(found, now)
        settings = settings or ApplySettings(**found.data["settings"])
        plan = _plan(found.data, (Move(**step.data) for step in found.steps))
        _mark(fleet, plan)
        _cordon(held, plan, now)
        done, waiting = {}, {}
        for step, move in zip(found.steps, plan.moves, strict=True):
            if step.state is StepState.ENDED:
                done[step.place] = MoveResult(move=move, **step.note)
            elif step.state is StepState.BEGUN and (ended := _settle(move, step, fleet, settings, ctx)):
                done[step.place] = ended
                if ended.outcome is not Outcome.IN_DOUBT:
                    held.mark(step.place, StepState.ENDED, ended.plain())
            else:
                held.mark(step.place, StepState.WAITING)
                waiting[step.place] = move
        now = _marked(fleet.snapshot(), plan)
        carrier = Carrier(fleet, now, settings, held, ctx, replan or anew(plan), on_event)
        return _looked_at(carrier.run(waiting, done), plan, fleet)


def _settle(move: Move, step: Step, fleet: Hosts, settings: ApplySettings, ctx: Context) -> MoveResult | None:
    """Bring a move that was begun to one of its ends; return what came of it, or None if it is to be made again."""
    try:
        source, destination = fleet.host(move.source), fleet.host(move.destination)
        arrived = _recovered(move, step.note, source, destination, settings.policy, ctx.within(SETTLING_S))
        if step.note["state"] == MachineState.RUNNING and not settings.policy.live:
            _start(move, destination if arrived else source)
    except VhalError as error:
        ctx.check()
        return MoveResult(move=move, outcome=Outcome.IN_DOUBT, error=str(error))
    return MoveResult(move=move, outcome=Outcome.THERE) if arrived else None


def _recovered(
    move: Move, note: dict[str, Any], source: Host, destination: Host, policy: MigrationPolicy, ctx: Context
) -> bool:
    """Return whether the machine is the destination's now."""
    if "offer" not in note:
        return False  # neither host was touched
    ticket = None if note["ticket"] is None else Ticket(**note["ticket"])
    if ticket is None and not _has(source, move.id):
        return _has(destination, move.id)  # somebody else moved it since
    offer = Offer(**note["offer"])
    return recover(source.guard, destination.guard, offer, ticket, policy, ctx, sent=note["sent"]) is not None


def _start(move: Move, host: Host) -> None:
    """Let a machine that was stopped in order to be moved run again."""
    machine = host.machine(move.id)
    if machine.seen.state is MachineState.STOPPED:
        machine.start()


def _has(host: Host, machine: str) -> bool:
    try:
        host.machine(machine)
    except NotFound:
        return False
    return True
