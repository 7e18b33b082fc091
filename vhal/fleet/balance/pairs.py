"""Changes of two machines each that look best: which two change places, go home, or go instead of one another.

Estimates only, by the score's tangent (:mod:`~vhal.fleet.balance.estimate`): a :class:`~vhal.fleet.balance.trial.Trial`
makes them, and counts exactly.
"""

from __future__ import annotations

import numpy as np

from vhal.fleet.balance.estimate import (
    CELLS,
    SHORT,
    Singles,
    Tangent,
    arrivals,
    best_of,
    best_of_each,
    departures,
    exchanges,
    product,
)
from vhal.fleet.balance.problem import Floats, Ints
from vhal.fleet.balance.trial import NONE, Pairs, Trial


def exchange(trial: Trial, *, frugal: bool) -> Pairs:
    """Let two machines change places: any two, or in a frugal search only those of which one has moved."""
    layout, second = trial.layout, _few(trial)
    first = second[trial.away[second]] if frugal else second
    if not len(first):
        return NONE
    change = exchanges(layout, Tangent.of(layout), first, second)
    at, there = layout.at[first], layout.at[second]
    for machines, other, cells in ((first, there, change), (second, at, change.T)):
        paid = (trial.rate * trial.price[machines]).astype(np.float32)
        cells += np.where(trial.away[machines], np.float32(0), paid)[:, None]
        moved = np.flatnonzero(trial.away[machines])
        row, column = np.nonzero(trial.problem.home[machines[moved]][:, None] == other)  # one of them goes home
        cells[moved[row], column] -= paid[moved[row]]
    change[at[:, None] == there if frugal else at[:, None] >= there] = 0.0  # none on one host, each pair once
    rows, columns = best_of_each(change)
    return Pairs(first[rows], there[columns], second[columns], at[rows])


def instead(trial: Trial) -> Pairs:
    """Let moved machines go home, and others to where they were."""
    layout, machines = trial.layout, _few(trial)
    moved = machines[trial.away[machines]]
    if not len(moved):
        return NONE
    tangent, amount = Tangent.of(layout), layout.objective.amount
    at, home, there = layout.at[machines], trial.problem.home[moved], layout.at[moved]
    paid = trial.paid(machines)
    change = arrivals(layout, tangent, machines, there).T.copy()
    change += (departures(layout, tangent, machines) + paid).astype(np.float32)
    change += _home(trial, tangent, moved)[:, None]
    change -= product(2 * tangent.curve[there] * amount[moved], amount[machines])
    row, column = np.nonzero(at == home[:, None])  # those that stand where it goes
    both = 2 * tangent.curve[home[row]] * amount[moved[row]] * amount[machines[column]]
    change[row, column] -= both.sum(axis=1).astype(np.float32)
    change[at == there[:, None]] = 0.0
    rows, columns = best_of_each(change)
    return Pairs(moved[rows], home[rows], machines[columns], there[rows])


def elsewhere(trial: Trial) -> Pairs:
    """Let moved machines go home, and another one of their home anywhere."""
    layout = trial.layout
    machines = _few(trial)
    moved = machines[trial.away[machines]]
    home = trial.problem.home[moved]
    rows, columns = np.nonzero(home[:, None] == layout.at[machines])
    hosts = np.arange(len(trial.problem.hosts))
    most = max(CELLS // len(hosts), 1)
    rows, columns = rows[:most], columns[:most]
    if not len(rows):
        return NONE
    tangent, amount = Tangent.of(layout), layout.objective.amount
    others = machines[columns]
    paid = trial.paid(others)
    change = arrivals(layout, tangent, others, hosts)
    both = (2 * tangent.curve[home[rows]] * amount[moved[rows]] * amount[others]).sum(axis=1)
    own = _home(trial, tangent, moved)[rows] + departures(layout, tangent, others) + paid - both
    change += own.astype(np.float32)[:, None]
    trial.refund(change, others)
    to, value = trial.roomy(change, others, hosts)
    found = best_of(value, SHORT)
    to = to[found]
    return Pairs(moved[rows[found]], home[rows[found]], others[found], to)


def _few(trial: Trial) -> Ints:
    """Return the machines of which every pair can be looked at: those on the most uneven hosts."""
    most = int(CELLS**0.5)
    if len(trial.machines) <= most:
        return trial.machines
    objective = trial.layout.objective
    uneven = (np.abs(trial.layout.off) * objective.weight).sum(axis=1)
    order = np.argsort(-uneven[trial.layout.at[trial.machines]], kind="stable")
    return np.sort(trial.machines[order[:most]])


def _home(trial: Trial, tangent: Tangent, moved: Ints) -> Singles:
    """Return moved machine → change of score and price if it went home."""
    amount, home = trial.layout.objective.amount[moved], trial.problem.home[moved]
    back = (amount * (tangent.tilt[home] + amount * tangent.curve[home])).sum(axis=1)
    change: Floats = back + departures(trial.layout, tangent, moved) - trial.rate * trial.price[moved]
    found: Singles = change.astype(np.float32)
    return found
