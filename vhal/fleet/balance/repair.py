"""Machines that are where a rule doesn't let them be, and where they go instead: the fewest moves, the least harm.

It mends rules only; whether hosts are even is :mod:`~vhal.fleet.balance.search`'s. A machine that can't be moved, or
finds no room, stays, and is told of.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vhal.fleet.balance.layout import Layout


def repair(layout: Layout) -> tuple[dict[int, str], list[str]]:
    """Move machines that break rules; return machine → which rule it broke, and what couldn't be mended.

    Those with the fewest hosts to choose from go first. Each goes where the score becomes least.
    """
    problem = layout.problem
    mended: dict[int, str] = {}
    notes: list[str] = []
    wrong = dict(_wrong(layout))
    choices = {machine: int(layout.may(machine).sum()) for machine in wrong}
    for machine in sorted(wrong, key=lambda each: (choices[each], each)):
        name, why = problem.machines[machine].name, wrong[machine]
        hosts = np.flatnonzero(layout.may(machine))
        if not problem.movable[machine]:
            notes.append(f"{name} stays, though {why}: {immovable(problem.machines[machine].reason)}")
        elif not len(hosts):
            notes.append(f"{name} stays, though {why}: no host that may take it has room")
        else:
            mended[machine] = why
            layout.place(machine, best(layout, machine, hosts))
    return mended, notes


def best(layout: Layout, machine: int, hosts: np.ndarray[tuple[int], np.dtype[np.intp]]) -> int:
    """Return the host, of some, with the least score after the machine went there."""
    sums, squares = layout.changes(np.full(len(hosts), machine), hosts)
    return int(hosts[layout.score_of(layout.sums + sums, layout.squares + squares).argmin()])


def immovable(reason: str) -> str:
    """Return why a machine isn't moved, in words."""
    return reason or "it may not be moved, or doesn't run, or moved a moment ago"


def _wrong(layout: Layout) -> Iterator[tuple[int, str]]:
    problem = layout.problem
    outside = ~problem.zones[problem.zone, layout.at]
    for machine in np.flatnonzero(outside).tolist():
        yield machine, f"a rule doesn't let it be on {problem.hosts[layout.at[machine]].name}"
    for separation in problem.separations:
        domain = separation.domain[layout.at[separation.members]]
        for crowded in np.flatnonzero(np.bincount(domain + 1)[1:] > 1).tolist():
            together = separation.members[(domain == crowded) & ~outside[separation.members]]
            # One may stay: one that has to, else the largest.
            order = sorted(together.tolist(), key=lambda each: (problem.movable[each], -problem.memory[each], each))
            for machine in order[1:]:
                yield machine, f"'{separation.name}' keeps it apart from {problem.machines[order[0]].name}"
