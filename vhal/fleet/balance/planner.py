"""The plan that makes a fleet even, cools its hot hosts, or mends its rules. Its door is :mod:`vhal.fleet.balance`.

It puts together what the other modules find, and decides whether it is worth it. It looks at no host and moves nothing:
that is :mod:`vhal.fleet.moves.carrier`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vhal.fleet.balance.bound import LeastMemory, bound
from vhal.fleet.balance.cheapest import Cheapest
from vhal.fleet.balance.descend import descend
from vhal.fleet.balance.estimate import CELLS
from vhal.fleet.balance.hot import relieve
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.order import Step, order
from vhal.fleet.balance.problem import Ints, Problem
from vhal.fleet.balance.repair import repair
from vhal.fleet.balance.score import Objective, objective
from vhal.fleet.balance.search import Search
from vhal.fleet.balance.trial import Limits
from vhal.fleet.balance.words import Told, write
from vhal.fleet.plan import Bound, Plan
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot

SMALL = 200
"""Hosts up to which the best single moves are found exactly, as a mark that no plan is worse than."""
BINDING = 0.9
"""A limit that single moves don't come near to is none: then the plan goes as far as it leads."""


@dataclass
class _Work:
    """What is known while a plan is made."""

    problem: Problem
    objective: Objective
    settings: BalanceSettings
    machines: Ints
    limits: Limits
    go: Callable[[], bool]
    memory: LeastMemory | None = None
    single: Sequence[tuple[int, int]] = ()
    """The best single moves, one by one: each found its room when it was made."""


def plan(snapshot: FleetSnapshot, settings: BalanceSettings | None = None) -> Plan:
    """Return what :func:`vhal.fleet.balance.plan_balance` promises."""
    wanted = settings or BalanceSettings()
    end = time.monotonic() + wanted.budget_s
    problem = Problem.of(snapshot, stay=wanted.stay, cool_down_s=wanted.cool_down_s)
    work = _Work(
        problem,
        objective(problem, wanted.objective),
        wanted,
        np.flatnonzero(problem.movable),
        Limits(
            np.inf if wanted.max_moves is None else wanted.max_moves,
            np.inf if wanted.max_memory is None else wanted.max_memory / (1 << 30),
        ),
        lambda: time.monotonic() < end,
    )
    layout = Layout(work.objective)
    why, notes = repair(layout) if wanted.mode != "hot" else ({}, [])
    mended = layout.at.copy()
    if wanted.mode == "hot":
        why, notes = relieve(layout, wanted.hot, wanted.cooled, work.limits)
        mended = layout.at.copy()
        if not why and not notes:
            notes.append(f"nothing worth moving: no host is above {wanted.hot:.0%} of its processors")
    elif wanted.mode == "full":
        layout, said = _even(work, layout)
        notes += said
    elif not why and not notes:
        notes.append("nothing worth moving: every rule holds")
    return _finish(snapshot, work, layout.at, mended, why, notes)


def _even(work: _Work, mended: Layout) -> tuple[Layout, list[str]]:
    settings, before = work.settings, mended.score
    if not len(work.machines) or work.problem.open.sum() < 2:
        return mended, ["nothing worth moving: no machine may move, or there is no second host that takes machines"]
    if before <= settings.band:
        return mended, [f"nothing worth moving: an imbalance of {before:.4f} is within the band of {settings.band:g}"]
    found = _frugal(work, mended) if _limited(work) else _deep(work, mended, work.limits)
    gained = (before - found.score) / before
    if gained < settings.margin:
        return mended, [
            f"nothing worth moving: the best plan takes away {gained:.1%} of the imbalance of {before:.4f}, "
            f"and less than {settings.margin:.0%} isn't worth it"
        ]
    return found, [] if work.go() else [f"the budget of {settings.budget_s:g} s was at its end: this is what was found"]


def _limited(work: _Work) -> bool:
    return work.settings.max_moves is not None or work.settings.max_memory is not None


def _least(work: _Work) -> float:
    """Return the score that a move must gain: a share of what a host has of the imbalance, on average."""
    start = work.objective.score(work.problem.home)
    return work.settings.least_gain * start / max(1, len(work.problem.hosts))


def _rates(work: _Work, per_move: float) -> tuple[float, float]:
    """Return score by GiB: so high that hardly anything is worth it, and so low that the least gain just is."""
    usual = float(work.problem.memory[work.machines].mean())
    start = work.objective.score(work.problem.home)
    first = 16 * start / max(1.0, float(work.problem.memory.sum()))
    return first, min(first, _least(work) / ((1 + per_move) * max(usual, 1e-6)))


def _deep(work: _Work, mended: Layout, limits: Limits, per_move: float = 1.0) -> Layout:
    layout = Layout(work.objective, mended.at)
    search = _search(work, layout, limits, per_move)
    search.anneal(0.0, _rates(work, per_move), fall=0.25)
    return layout


def _search(work: _Work, layout: Layout, limits: Limits, per_move: float, *, frugal: bool = False) -> Search:
    usual = float(work.problem.memory[work.machines].mean())
    return Search(layout, work.machines, usual, per_move, limits, work.go, work.settings.seed, frugal)


def _frugal(work: _Work, mended: Layout) -> Layout:
    """Return a layout within the limits: the score of the best single moves, with as little memory as possible."""
    cells = len(work.machines) * len(work.problem.hosts)
    most = None if work.settings.max_moves is None else max(0, work.settings.max_moves - len(mended.moved))
    mark = Layout(work.objective, mended.at)
    if len(work.problem.hosts) > SMALL or cells > CELLS:
        if most is None:
            return _deep(work, mended, work.limits, per_move=4.0)
        search = _search(work, mark, work.limits, 1.0)
        search.ignore_memory()
        search.anneal(0.0, _rates(work, 1.0), fall=0.25, pairs=False)
        made = []
    else:
        least = None if work.settings.objective != "even" else _least(work)
        made = descend(mark, work.machines, most=most, least=least, go=work.go)
    if most is not None and len(mark.moved) - len(mended.moved) < most * BINDING:
        deep = _deep(work, mended, work.limits)
        if deep.score < mark.score:
            return deep
    if mark.memory > work.limits.memory:
        return _deep(work, mended, work.limits)
    work.single = made
    limits = Limits(len(mark.moved) if most is None else work.limits.moves, work.limits.memory)
    cheapest = Cheapest(
        mark,
        mended,
        lambda layout, price: _search(work, layout, limits, price, frugal=True),
        work.settings.max_moves,
        _rates(work, 1.0),
        work.go,
        work.settings.thorough,
    )
    cheapest.run(cells)
    work.memory = cheapest.memory
    return cheapest.found


def _or_single(work: _Work, steps: list[Step], stays: list[int], mended: Ints) -> tuple[list[Step], list[int]]:
    """Return the best single moves as they were found, if what is left of a plan is worse than they."""
    first, left = order(work.objective, mended, hops=0)
    at = _end(work, first)
    other = list(first)
    for machine, host in work.single:
        other.append(Step(machine, int(at[machine]), host))
        at[machine] = host
    better = work.objective.score(at) < work.objective.score(_end(work, steps))
    return (other, []) if better and not left else (steps, stays)


def _end(work: _Work, steps: list[Step]) -> Ints:
    at = work.problem.home.copy()
    for step in steps:
        at[step.machine] = step.destination
    return at


def _in_vain(work: _Work, steps: list[Step], mended: Ints) -> bool:
    """Return whether what is left of a plan, after moves without a way were left out, isn't worth it."""
    before = work.objective.score(mended)
    return before - work.objective.score(_end(work, steps)) < work.settings.margin * before


def _finish(
    snapshot: FleetSnapshot, work: _Work, at: Ints, mended: Ints, why: dict[int, str], notes: list[str]
) -> Plan:
    hops = None if work.settings.max_moves is None else 0
    steps, stays = order(work.objective, at, hops=hops)
    if stays and work.single:
        steps, stays = _or_single(work, steps, stays, mended)
    if stays and work.settings.mode == "full" and _in_vain(work, steps, mended):
        notes.append("nothing else worth moving: there is no order in which it finds its room")
        steps, stays = order(work.objective, mended, hops=hops)
    for machine in stays:
        name, wanted = work.problem.machines[machine].name, work.problem.hosts[at[machine]].name
        notes.append(f"{name} stays: there is no order in which it finds room at {wanted}")
    if not steps and not notes:
        notes.append("nothing worth moving: no move that is possible within the limits makes the fleet more even")
    kept = {machine: reason for machine, reason in why.items() if at[machine] == mended[machine]}
    kind: Literal["repair", "balance"] = "repair" if work.settings.mode == "minimal" else "balance"
    told = Told(work.problem, work.objective, steps, kept)
    return write(snapshot, told, kind, notes, _bound(work, told.at), work.settings)


def _bound(work: _Work, at: Ints) -> Bound:
    return bound(work.objective, at, work.settings.max_moves, work.memory)
