"""What a machine is used to want of its host's processors: learned from one snapshot after the other.

A mean and a spread, in which what is long past counts less. A machine of which little is known yet is taken for one
like the fleet's others. Nothing is decided here; see :mod:`vhal.fleet.watch.cool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated

from pydantic import Field

from vhal.fleet.snapshot import FleetSnapshot, SeenMachine
from vhal.spec.model import Model
from vhal.spec.state import MachineState

HALF_LIFE_S = 4 * 3600.0
"""After so long a sample counts half: the working day is seen, and a machine that has changed is found out."""
OTHERS = 1.0
"""How many samples of its own the experience with the others is worth."""


class Habit(Model):
    """Processors that one machine kept busy."""

    mean: Annotated[float, Field(ge=0)] = 0.0
    variance: Annotated[float, Field(ge=0)] = 0.0
    weight: Annotated[float, Field(ge=0)] = 0.0
    """How many samples it is from, those that are past counted for less."""
    seen_s: float = 0.0
    """When the last one was taken."""

    def sampled(self, busy: float, at_s: float, half_life_s: float) -> Habit:
        """Return it with one more sample.

        The recursion is West's for weighted means and variances (Communications of the ACM 22, 1979), with weights that
        halve in ``half_life_s``.
        """
        kept = self.weight * 0.5 ** (max(0.0, at_s - self.seen_s) / half_life_s)
        weight = kept + 1.0
        off = busy - self.mean
        mean = self.mean + off / weight
        variance = (kept * self.variance + off * (busy - mean)) / weight
        return Habit(mean=max(0.0, mean), variance=max(0.0, variance), weight=weight, seen_s=at_s)


Habits = Mapping[str, Habit]
"""Machine's id → what it is used to."""


def learn(habits: Habits, snapshot: FleetSnapshot, half_life_s: float = HALF_LIFE_S) -> dict[str, Habit]:
    """Return what is known after one more snapshot: of the machines that are in it, and of no others.

    A machine whose load isn't known, or that doesn't run, teaches nothing; what was known of it stays.
    """
    known = {}
    for machine in snapshot.machines:
        habit = habits.get(machine.id)
        if machine.load is not None and machine.state is MachineState.RUNNING:
            known[machine.id] = (habit or Habit()).sampled(machine.load.cpus, snapshot.taken_s, half_life_s)
        elif habit is not None:
            known[machine.id] = habit
    return known


def expected(machine: SeenMachine, habits: Habits, typical: float) -> tuple[float, float]:
    """Return the mean and the variance of the processors that a machine will want.

    Args:
        machine: Which.
        habits: What is known.
        typical: The part of its processors that a machine of this fleet keeps busy: see :func:`typical`.
    """
    habit = habits.get(machine.id, Habit())
    others = typical * machine.cpus
    weight = habit.weight + OTHERS
    mean = (habit.weight * habit.mean + OTHERS * others) / weight
    variance = (habit.weight * habit.variance + OTHERS * others**2) / weight
    # That the mean is known from few samples only makes it less sure, too.
    return mean, variance * (1 + 1 / weight)


def typical(snapshot: FleetSnapshot, habits: Habits) -> float:
    """Return the part of its processors that a machine of the fleet keeps busy in the mean; 1 if nothing is known."""
    known = [(habits[machine.id].mean, machine.cpus) for machine in snapshot.machines if machine.id in habits]
    given = sum(cpus for _, cpus in known)
    return sum(mean for mean, _ in known) / given if given else 1.0


def spare(capacity: float, mean: float, variance: float) -> float:
    """Return how many standard deviations are left between what is expected and what there is."""
    left = capacity - mean
    if variance <= 0:
        return inf if left >= 0 else -inf
    return float(left / variance**0.5)
