"""What a machine is used to want of its host's processors: learned from one snapshot after the other.

A mean and a spread, in which what is long past counts less, and what it does lately. A machine of which little is known
yet is taken for one like the fleet's others. Nothing is decided here; see :mod:`vhal.fleet.watch.cool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, NamedTuple

from pydantic import Field

from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine
from vhal.spec.model import Model
from vhal.spec.state import MachineState
from vhal.spec.usage import Usage, rates

HALF_LIFE_S = 4 * 3600.0
"""After so long a sample counts half: the working day is seen, and a machine that has changed is found out."""
LATELY_S = 900.0
"""The same for what it does lately: what the morning brings is seen before the habit has changed."""
SAMPLE_S = 300.0
"""What was measured over so long is one sample; over less, a part of one: who looks more often doesn't know more."""
OTHERS = 1.0
"""How many samples of its own the experience with the others is worth; for what it does lately, its habit."""
SHORT = 0.98
"""A host with so much of its processors busy is short of them: what its machines want isn't seen."""


class Habit(Model):
    """Processors that one machine kept busy."""

    mean: Annotated[float, Field(ge=0)] = 0.0
    variance: Annotated[float, Field(ge=0)] = 0.0
    weight: Annotated[float, Field(ge=0)] = 0.0
    """How many samples it is from, those that are past counted for less; 0: nothing is known yet."""
    lately: Annotated[float, Field(ge=0)] = 0.0
    """The mean of the last few samples."""
    lately_weight: Annotated[float, Field(ge=0)] = 0.0
    seen_s: float = 0.0
    """When the last one was taken."""
    host: str = ""
    """Where the machine was when it was looked at last."""
    usage: Usage | None = None
    """Its counters then; None if it didn't run, or nobody counts."""

    def sampled(self, busy: float, at_s: float, half_life_s: float, worth: float = 1.0) -> Habit:
        """Return it with one more sample, or ``worth`` of one.

        The recursion is West's for weighted means and variances (Communications of the ACM 22, 1979), with weights that
        halve in ``half_life_s``.
        """
        age_s = max(0.0, at_s - self.seen_s)
        kept = self.weight * 0.5 ** (age_s / half_life_s)
        weight = kept + worth
        off = busy - self.mean
        mean = self.mean + off * worth / weight
        variance = (kept * self.variance + worth * off * (busy - mean)) / weight
        lately_weight = self.lately_weight * 0.5 ** (age_s / LATELY_S) + worth
        return Habit(
            mean=max(0.0, mean),
            variance=max(0.0, variance),
            weight=weight,
            lately=max(0.0, self.lately + (busy - self.lately) * worth / lately_weight),
            lately_weight=lately_weight,
            seen_s=at_s,
        )


Habits = Mapping[str, Habit]
"""Machine's id → what it is used to."""


def learn(habits: Habits, snapshot: FleetSnapshot, half_life_s: float = HALF_LIFE_S) -> dict[str, Habit]:
    """Return what is known after one more snapshot: of its machines, and of those on hosts that don't answer.

    What a machine did is the difference of its counters in two snapshots, since a load that is smoothed hides how
    uneven it is. Where there is no such difference, at first or since nobody counts, its load is taken. A machine that
    has moved in between, doesn't run, or of which neither is known, teaches nothing; what was known of it stays. One
    whose host is short of processors wants more than it gets: at least what it is used to.
    """
    done = {
        machine.id: _done(habits.get(machine.id, Habit()), machine)
        for machine in snapshot.machines
        if machine.state is MachineState.RUNNING
    }
    short = _short(snapshot, {name: busy for name, (busy, _) in done.items()})
    dead = {host.name for host in snapshot.hosts if host.status is HostStatus.UNREACHABLE}
    known = {machine: habit for machine, habit in habits.items() if habit.host in dead}
    for machine in snapshot.machines:
        habit = habits.get(machine.id, Habit())
        busy, worth = done.get(machine.id, (0.0, 0.0))
        if worth > 0:
            wanted = max(busy, habit.mean) if machine.host in short else busy
            habit = habit.sampled(wanted, snapshot.taken_s, half_life_s, worth)
        usage = machine.usage if machine.id in done else None
        if habit.weight or usage is not None:
            known[machine.id] = habit.model_copy(update={"host": machine.host, "usage": usage})
    return known


def _done(habit: Habit, machine: SeenMachine) -> tuple[float, float]:
    """Return how many processors it kept busy since it was looked at last, and how many samples that is worth."""
    if machine.usage is None or not (habit.weight or habit.usage):
        return (0.0, 0.0) if machine.load is None else (machine.load.cpus, 1.0)
    if habit.usage is None or habit.host != machine.host:
        return 0.0, 0.0  # counters of two hosts, or of two times that it ran, aren't compared
    done = rates(habit.usage, machine.usage)
    return (0.0, 0.0) if done.cpus is None else (done.cpus, min(1.0, done.seconds / SAMPLE_S))


def _short(snapshot: FleetSnapshot, busy: Mapping[str, float]) -> set[str]:
    """Return the hosts that had no more to give."""
    return {
        host.name
        for host in snapshot.hosts
        if sum(busy.get(machine.id, 0.0) for machine in snapshot.on[host.name]) >= SHORT * max(1, host.cpus)
    }


class Want(NamedTuple):
    """Processors that a machine is expected to want."""

    usual: float
    """By what it is used to."""
    lately: float
    """By what it does lately. Of several machines, the larger of the two sums is to be reckoned with."""
    variance: float
    """Of what is usual."""


def expected(machine: SeenMachine, habits: Habits, typical: float) -> Want:
    """Return the processors that a machine will want.

    Args:
        machine: Which.
        habits: What is known.
        typical: The part of its processors that a machine of this fleet keeps busy: see :func:`typical`.
    """
    habit = habits.get(machine.id, Habit())
    others = typical * machine.cpus
    weight = habit.weight + OTHERS
    usual = (habit.weight * habit.mean + OTHERS * others) / weight
    variance = (habit.weight * habit.variance + OTHERS * others**2) / weight
    lately = (habit.lately_weight * habit.lately + OTHERS * usual) / (habit.lately_weight + OTHERS)
    # That the mean is known from few samples only makes it less sure, too.
    return Want(usual, lately, variance * (1 + 1 / weight))


def typical(snapshot: FleetSnapshot, habits: Habits) -> float:
    """Return the part of its processors that a machine of the fleet keeps busy in the mean; 1 if nothing is known."""
    known = [
        (habits[machine.id].mean, machine.cpus)
        for machine in snapshot.machines
        if machine.id in habits and habits[machine.id].weight
    ]
    given = sum(cpus for _, cpus in known)
    return sum(mean for mean, _ in known) / given if given else 1.0


def spare(capacity: float, mean: float, variance: float) -> float:
    """Return how many standard deviations are left between what is expected and what there is."""
    left = capacity - mean
    if variance <= 0:
        return inf if left >= 0 else -inf
    return float(left / variance**0.5)
