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
    equal,
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
        row, column = equal(trial.problem.home[machines[moved]], other)  # one of them goes home
        cells[moved[row], column] -= paid[moved[row]]
    if frugal:
        change[equal(at, there)] = 0.0  # none on one host
    else:
        change[at[:, None] >= there] = 0.0  # nor any pair twice
    rows, columns = best_of_each(change)
    return Pairs(first[rows], there[columns], second[columns], at[rows])


def instead(trial: Trial) -> Pairs:
    """Let moved machines go home, and others to where they were."""
    layout, machines = trial.layout, _few(trial)
    moved = machines[trial.away[machines]]
    if not len(moved):
        return NONE
    tangent = Tangent.of(layout)
    at, home, there = layout.at[machines], trial.problem.home[moved], layout.at[moved]
    paid = trial.paid(machines)
    # What arrives finds a host that the moved one has left.
    curve = tangent.curve[there]
    left = np.hstack([tangent.tilt[there] - 2 * curve * layout.objective.amount[moved], curve])
    change = product(left, layout.objective.moments[machines])
    change += (departures(layout, tangent, machines) + paid).astype(np.float32)
    change += _home(trial, tangent, moved)[:, None]
    row, column = equal(home, at)  # those that stand where it goes
    change[row, column] -= _both(trial, tangent, moved[row], machines[column])
    change[equal(there, at)] = 0.0
    rows, columns = best_of_each(change)
    return Pairs(moved[rows], home[rows], machines[columns], there[rows])


def elsewhere(trial: Trial) -> Pairs:
    """Let moved machines go home, and another one of their home anywhere."""
    layout = trial.layout
    machines = _few(trial)
    moved = machines[trial.away[machines]]
    home = trial.problem.home[moved]
    rows, columns = equal(home, layout.at[machines])
    hosts = np.arange(len(trial.problem.hosts))
    most = max(CELLS // len(hosts), 1)
    rows, columns = rows[:most], columns[:most]
    if not len(rows):
        return NONE
    tangent = Tangent.of(layout)
    own = _home(trial, tangent, moved)[rows] - _both(trial, tangent, moved[rows], machines[columns])
    # Where a machine goes doesn't depend on which one goes home: it is looked at once, with the one that suits it best.
    paired = np.full(len(machines), np.inf, np.float32)
    np.minimum.at(paired, columns, own)
    known = np.flatnonzero(np.isfinite(paired))
    others = machines[known]
    change = arrivals(layout, tangent, others, hosts)
    change += (paired[known] + departures(layout, tangent, others) + trial.paid(others)).astype(np.float32)[:, None]
    trial.refund(change, others)
    to, value = trial.roomy(change, others, hosts)
    place = np.searchsorted(known, columns)
    found = best_of(value[place] + (own - paired[columns]), SHORT)
    return Pairs(moved[rows[found]], home[rows[found]], machines[columns[found]], to[place[found]])


def _few(trial: Trial) -> Ints:
    """Return the machines of which every pair can be looked at: those on the most uneven hosts."""
    most = int(CELLS**0.5)
    if len(trial.machines) <= most:
        return trial.machines
    objective = trial.layout.objective
    uneven = (np.abs(trial.layout.off) * objective.weight).sum(axis=1)
    order = np.argsort(-uneven[trial.layout.at[trial.machines]], kind="stable")
    return np.sort(trial.machines[order[:most]])


def _both(trial: Trial, tangent: Tangent, moved: Ints, others: Ints) -> Singles:
    """Return pair → by how much less it is than the sum of both: where one comes home, the other leaves."""
    amount = trial.layout.objective.amount
    curve = tangent.curve[trial.problem.home[moved]]
    found: Singles = (2 * np.einsum("ij,ij,ij->i", curve, amount[moved], amount[others])).astype(np.float32)
    return found


def _home(trial: Trial, tangent: Tangent, moved: Ints) -> Singles:
    """Return moved machine → change of score and price if it went home."""
    amount, home = trial.layout.objective.amount[moved], trial.problem.home[moved]
    back = (amount * (tangent.tilt[home] + amount * tangent.curve[home])).sum(axis=1)
    change: Floats = back + departures(trial.layout, tangent, moved) - trial.rate * trial.price[moved]
    found: Singles = change.astype(np.float32)
    return found
