"""Starts the machines of a dead host elsewhere, once somebody has made sure that it is dead.

A host that only doesn't answer may still run its machines; a second copy of one destroys what both write to. So nothing
is begun without a statement of what was done to keep the host from running anything: its power was cut, its ports or
its way to the disks were closed. The statement is kept in the journal.

What can be started again is what of a machine isn't on the host: its spec must be known here, and its disks must be
reachable elsewhere under the same paths (:attr:`vhal.Disk.shared`). What was in its memory is lost. A host that
answers is drained instead: :mod:`vhal.fleet.moves.drain`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from vhal.driver.context import Progress
from vhal.errors import InvalidSpec, InvalidState, NotFenced, NotFound, VhalError
from vhal.fleet.members.cordon import cordon
from vhal.fleet.members.inventory import known_uuid
from vhal.fleet.moves.applied import Applied, MoveEvent, MoveResult, Outcome
from vhal.fleet.moves.carrier import Hosts, OnEvent, steps
from vhal.fleet.moves.emptying import LEFT, Emptying, changes
from vhal.fleet.moves.works import EVACUATION
from vhal.fleet.plan import Move, Plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine
from vhal.host import Host
from vhal.journal import Journal, StepState, opened
from vhal.operation import call_context
from vhal.spec.hardware import BootDisk, BootKernel
from vhal.spec.machine import MachineKind, MachineSpec
from vhal.spec.state import MachineState

UNKNOWN = "what it was made from isn't known here: its spec is missing"

OLD_S = 60.0
"""A snapshot that is older may know nothing of machines that were made since, and of machines that are no more."""

Fence = Callable[[str], str]
"""Keeps a host from running anything, and returns what it did; or raises. Called with the host's name."""


def plan_evacuate(now: FleetSnapshot, host: str, last: FleetSnapshot, specs: Mapping[str, MachineSpec]) -> Plan:
    """Return a plan that starts the machines of a dead host on others. It moves nothing: there is nothing to move from.

    Args:
        now: The fleet as it is, without the host.
        host: Its name.
        last: A snapshot from when the host still answered: what ran on it.
        specs: Name of a machine → what it was made from.

    Returns:
        The plan; its notes say which machines can't be started elsewhere, and why.

    Raises:
        vhal.errors.NotFenced: The host answers.
        vhal.errors.NotFound: There is no such host, or the last snapshot knows nothing of it.
    """
    _refuse_living(now, host)
    if host not in last.on or last.host(host).status is HostStatus.UNREACHABLE:
        raise NotFound(
            f"the last snapshot knows nothing of what ran on {host}",
            hint="'vhal fleet capture' keeps one while all hosts answer: name a file from before the host died",
            host=host,
        )
    age_s = now.taken_s - last.taken_s
    notes = [f"what ran on {host} is known from {age_s / 60:.0f} minutes ago"] if age_s >= OLD_S else []
    notes += [
        f"{each.name} doesn't answer either: fence it, too, unless no machine of {host} can have moved there since then"
        for each in now.hosts
        if each.status is HostStatus.UNREACHABLE and each.name != host
    ]
    wanted: list[SeenMachine] = []
    elsewhere = {key: machine for machine in now.machines for key in (machine.id, machine.name)}
    for machine in last.on[host]:
        there, spec = elsewhere.get(machine.id) or elsewhere.get(machine.name), specs.get(machine.name)
        if there is not None and (there.state.active or not machine.state.active):
            notes.append(f"a machine {machine.name} is on {there.host} already")
        elif there is not None:
            # Made by an evacuation that died before it was started, or another one: who looks at it knows.
            notes.append(f"{LEFT}{machine.name} is {there.state} on {there.host}: start it there, or delete it")
        elif not machine.state.active:
            notes.append(f"{machine.name} isn't started elsewhere: it was {machine.state}")
        elif spec is None or (why := _lost(spec)):
            notes.append(f"{LEFT}{machine.name} isn't started elsewhere: {UNKNOWN if spec is None else why}")
        else:
            # It is made as the spec says, whatever became of it since.
            wanted.append(machine.model_copy(update={"cpus": spec.cpus.count, "memory": spec.memory.size}))
    dead = last.marked([host], HostStatus.DRAINING).host(host)
    hosts = tuple(dead if each.name == host else each for each in now.hosts)
    machines = (*(each for each in now.machines if each.host != host), *wanted)
    before = now.model_copy(update={"hosts": hosts, "machines": machines})
    search = Emptying(before, [host], "is dead", dead=True)
    search.run()
    return Plan(
        kind="evacuate",
        snapshot=now.digest,
        emptied=(host,),
        moves=tuple(search.moves),
        hosts=changes(before, search.room, search.moves),
        notes=(*notes, *search.notes),
    )


def evacuate(
    plan: Plan,
    fleet: Hosts,
    specs: Mapping[str, MachineSpec],
    fenced: str | Fence,
    *,
    journal: Journal | None = None,
    on_event: OnEvent | None = None,
    timeout_s: float | None = None,
) -> Applied:
    """Start the machines of ``plan`` where it says, one after the other.

    It may be repeated, also after this process died in the middle: what is there is not made again.

    Args:
        plan: Of :func:`plan_evacuate`.
        fleet: Where.
        specs: As they were for the plan.
        fenced: What was done to keep the dead host from running anything, in words; or what does it now.
        journal: Where it is written down; None for the user's.
        on_event: Told of each machine.
        timeout_s: The whole deadline.

    Raises:
        vhal.errors.InvalidSpec: That is another plan.
        vhal.errors.NotFenced: Nothing was done, or the host answers.
        vhal.errors.VhalError: What the fence raised; nothing was begun.
        vhal.errors.OperationAborted: On request; the machines that were begun run.
        vhal.errors.OperationTimeout: The same, since the deadline passed.
    """
    ctx = call_context(timeout_s)
    if plan.kind != "evacuate" or len(plan.emptied) != 1:
        raise InvalidSpec(f"this is a plan to {plan.kind}, not to evacuate a host", hint="plan_evacuate() makes one")
    host = plan.emptied[0]
    now = fleet.snapshot()
    _refuse_living(now, host)
    statement = (fenced(host) if callable(fenced) else fenced).strip()
    if not statement:
        raise NotFenced(
            f"nothing says that {host} runs nothing any more",
            hint="cut its power or its way to the disks first, and say what was done",
            host=host,
        )
    elsewhere = {machine.name: machine.host for machine in now.machines}
    results: list[MoveResult] = []
    with opened(journal) as book:
        _end_former(book)
        with book.begin(EVACUATION, {"host": host, "fenced": statement}, steps(plan.moves)) as work:
            reason = f"work {work.id} started its machines elsewhere: delete them here first"
            cordon(book, host, known_uuid(now.host(host)), HostStatus.DRAINING, reason)
            begun_s = time.monotonic()
            for place, move in enumerate(plan.moves):
                ctx.check()
                ctx.report(Progress("evacuate", message=f"{place} of {len(plan.moves)}: {move.machine}"))
                _tell(on_event, MoveEvent("begun", place, move))
                work.mark(place, StepState.BEGUN)
                result = _restart(move, fleet, specs.get(move.machine), elsewhere.get(move.machine), timeout_s)
                work.mark(place, StepState.ENDED, result.plain())
                _tell(on_event, MoveEvent("ended", place, move, result=result))
                results.append(result)
            applied = Applied(work=work.id, moves=tuple(results), seconds=time.monotonic() - begun_s)
            work.end(applied.model_dump(mode="json", exclude={"moves"}))
    return applied


def _restart(
    move: Move, fleet: Hosts, spec: MachineSpec | None, place: str | None, timeout_s: float | None
) -> MoveResult:
    """Make one machine and start it."""
    begun_s = time.monotonic()
    try:
        host = fleet.host(move.destination)
        if place is not None and place != move.destination:
            return MoveResult(move=move, outcome=Outcome.REFUSED, error=f"it is on {place} already")
        if place is None and spec is None:
            return MoveResult(move=move, outcome=Outcome.REFUSED, error=UNKNOWN)
        if place is None and spec is not None:
            _make(host, spec, timeout_s)
        else:
            _start(host, move.machine)
    except VhalError as error:
        return MoveResult(move=move, outcome=Outcome.FAILED, error=str(error))
    outcome = Outcome.MOVED if place is None else Outcome.THERE
    return MoveResult(move=move, outcome=outcome, seconds=time.monotonic() - begun_s)


def _make(host: Host, spec: MachineSpec, timeout_s: float | None) -> None:
    machine = host.create(spec, timeout_s=timeout_s)
    try:
        machine.start()
    except VhalError:
        machine.delete(force=True, keep_disks=True)
        raise


def _start(host: Host, name: str) -> None:
    machine = host.machine(name)
    if machine.seen.state is MachineState.STOPPED:
        machine.start()
    elif machine.seen.state is not MachineState.RUNNING:
        raise InvalidState(f"machine {name!r} is {machine.seen.state} there", hint="look at it", machine=name)


def _lost(spec: MachineSpec) -> str | None:
    """Return why a machine can't be started anywhere else, or None."""
    if spec.kind is MachineKind.CONTAINER:
        return "what a container wrote is on its host only"
    if not isinstance(spec.boot, (BootDisk, BootKernel)):
        return "the disk that it boots from is on the dead host only"
    for place, disk in enumerate(spec.disks):
        if disk.path is None or not disk.shared:
            return f"its disk {disk.name or place} is on the dead host only, or nobody said that it is shared"
    return None


def _refuse_living(now: FleetSnapshot, host: str) -> None:
    there = {each.name: each.status for each in now.hosts}
    if host not in there:
        raise NotFound(f"there is no host {host!r} in the fleet", hint=f"there are {', '.join(there)}", host=host)
    if there[host] is not HostStatus.UNREACHABLE:
        raise NotFenced(f"host {host} answers, so its machines run there", hint="drain it instead", host=host)


def _end_former(journal: Journal) -> None:
    """Let those that died in the middle be over: this one looks at what is there."""
    for work in journal.works(EVACUATION, ended=False):
        if not work.under_way:
            with journal.take(work.id) as held:
                held.end("begun anew")


def _tell(on_event: OnEvent | None, event: MoveEvent) -> None:
    if on_event is not None:
        on_event(event)
