"""Something goes wrong at every point of an operation, once each: what holds after all of that, holds.

::

    def move(plan):
        world = World(...)  # each run begins anew
        ...
        with one_copy("web", a, b):
            vm.migrate(b)

    for fault, outcome in sweep(move):
        print(fault.at, fault.kind, outcome.error)

What goes wrong where is a :class:`~vhal.driver.fault_plan.FaultPlan`, that the simulator and :mod:`vhal.layers.chaos`
obey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from vhal.driver.fault import LAYERED, Fault, FaultKind
from vhal.driver.fault_plan import FaultPlan, Visit
from vhal.errors import InvalidState, MigrationInDoubt, NotFound, VhalError
from vhal.host import Host
from vhal.spec.state import MachineState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a run ended."""

    struck: bool
    """Whether the fault struck. It doesn't where the run isn't the same each time."""
    result: T | None = None
    """What the run returned."""
    error: VhalError | None = None
    """What it raised instead."""


def sweep(
    run: Callable[[FaultPlan], T], kinds: Iterable[FaultKind | str] = LAYERED, *, at: str = "*"
) -> Iterator[tuple[Fault, Outcome[T]]]:
    """Run once without a fault to see the points; then once for each visit of a point and each kind, with that fault.

    Precondition: each run does the same, on hosts of its own, until something goes wrong. The order of runs is that of
    the visits, and in each that of :class:`~vhal.driver.fault.FaultKind`.

    Args:
        run: Called with the plan, which it gives to its world or to :class:`~vhal.layers.chaos.Chaos`.
        kinds: What shall go wrong.
        at: Only at points that match; ``*`` and ``?`` are wildcards.

    Raises:
        BaseException: What ``run`` raised, if that is no :class:`~vhal.errors.VhalError`: a failed assertion, an error
            that nobody translated. A note on it names the fault.
    """
    wanted = [kind for kind in FaultKind if kind in set(kinds)]
    watch = FaultPlan()
    watch.watch()
    run(watch)
    visits = watch.visits or []
    for place, visit in enumerate(visits):
        if not fnmatchcase(visit.point, at):
            continue
        for kind in wanted:
            fault = _fault(kind, visit, visits[:place])
            yield fault, _outcome(run, fault)


def _fault(kind: FaultKind, visit: Visit, before: list[Visit]) -> Fault:
    fault = Fault(at=visit.point, kind=kind, host=visit.host or None, machine=visit.machine or None)
    # Not the visit's own number: a fault without a machine is about the visits with one, too.
    skip = sum(fault.matches(earlier.point, earlier.host, earlier.machine) for earlier in before)
    return fault.replace(skip=skip)


def _outcome(run: Callable[[FaultPlan], T], fault: Fault) -> Outcome[T]:
    plan = FaultPlan([fault])
    try:
        result = run(plan)
    except VhalError as error:
        return Outcome(not plan.faults, error=error)
    except BaseException as error:
        error.add_note(f"with the fault {fault.kind} at {fault.at}: {fault!r}")
        raise
    return Outcome(not plan.faults, result)


@contextmanager
def one_copy(machine: str, source: Host, destination: Host) -> Iterator[None]:
    """Assert after the block, in which a running machine was to move, that there is one copy and the error is true.

    Without an error it runs on the destination and nothing is left on the source. With one it runs on the source and
    nothing is on the destination. :class:`~vhal.errors.InvalidState` allows for one that is stopped, and
    :class:`~vhal.errors.MigrationInDoubt` for anything but two that run.

    Precondition: the two connections have no faults.

    Raises:
        AssertionError: That doesn't hold.
    """
    try:
        yield
    except (MigrationInDoubt, InvalidState):
        running = [host.name for host in (source, destination) if _state(machine, host) is MachineState.RUNNING]
        assert len(running) < 2, f"two copies of {machine!r} run"
        raise
    except VhalError:
        _assert_at(machine, source, destination)
        raise
    _assert_at(machine, destination, source)


def _assert_at(machine: str, here: Host, there: Host) -> None:
    # Two hosts may be called the same.
    states = [_state(machine, host) for host in (here, there)]
    shown = ", ".join(f"{host.name}: {state or 'nothing'}" for host, state in zip((here, there), states, strict=True))
    assert states == [MachineState.RUNNING, None], f"{machine!r} should run on {here.name} only; {shown}"


def _state(machine: str, host: Host) -> MachineState | None:
    try:
        return host.machine(machine).seen.state
    except NotFound:
        return None
