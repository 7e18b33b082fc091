"""Machines that are alike: of which of them moves, nobody can tell the difference.

A fleet has many machines, but few sizes of them. Whoever decides how many of each kind go from where to where has
decided as much as by naming machines, out of far fewer possibilities. Machines that rules hold apart are none of
these: they stay where a layout has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints


@dataclass(frozen=True)
class Kinds:
    """The kinds of machines of a layout, and how many of each are at home on each host."""

    layout: Layout
    """Where all other machines are."""
    machines: Ints
    """The machines that are of any kind."""
    kind: Ints
    """Machine, of those → its kind."""
    amount: Floats
    """Kind × axis."""
    need: Floats
    """Kind × resource."""
    allowed: Bools
    """Host × kind: whether it may go there."""
    home: Ints
    """Host × kind: how many are at home there."""
    shares: Floats
    """Host × axis: what is taken by what there is, with all of them at home."""
    free: Floats
    """Host × resource: what is left then."""

    @classmethod
    def of(cls, layout: Layout) -> Kinds:
        """Return the kinds of machines that may move in a layout."""
        problem, objective = layout.problem, layout.objective
        alone = np.array([machine not in problem.apart for machine in range(len(problem.home))], bool)
        machines = np.flatnonzero(problem.movable & alone)
        facts = np.column_stack([objective.amount[machines], problem.need[machines], problem.zone[machines]])
        _, first, kind = np.unique(facts, axis=0, return_index=True, return_inverse=True)
        kind, one = kind.ravel(), machines[first]
        home = np.zeros((len(problem.hosts), len(one)), np.intp)
        np.add.at(home, (problem.home[machines], kind), 1)
        at = layout.at.copy()
        at[machines] = problem.home[machines]
        return cls(
            layout=layout,
            machines=machines,
            kind=kind,
            amount=objective.amount[one],
            need=problem.need[one],
            allowed=(problem.zones[problem.zone[one]] & problem.open).T,
            home=home,
            shares=objective.shares(at),
            free=problem.free(at),
        )

    @property
    def per(self) -> Floats:
        """Host × axis: by how much one unit of amount raises the host's share."""
        return self.layout.objective.per

    @cached_property
    def elsewhere(self) -> Ints:
        """Host × kind: how many are at home on other hosts."""
        found: Ints = self.home.sum(axis=0) - self.home
        return found

    @property
    def memory(self) -> Floats:
        """Kind → memory, GiB."""
        found: Floats = self.need[:, 0] / (1 << 30)
        return found

    def changes(self, layout: Layout) -> Ints:
        """Return host × kind: how many more are there in a layout than at home."""
        now = np.zeros_like(self.home)
        np.add.at(now, (layout.at[self.machines], self.kind), 1)
        return now - self.home

    def carried_out(self, changes: Ints) -> Layout:
        """Return the layout with so many more, or less, of each kind on each host than at home.

        Args:
            changes: Host × kind; of each kind as many leave as arrive.
        """
        at = self.layout.at.copy()
        at[self.machines] = self.layout.problem.home[self.machines]
        for kind in np.flatnonzero(changes.any(axis=0)).tolist():
            change, mine = changes[:, kind], self.machines[self.kind == kind]
            home = at[mine]
            leaving = np.concatenate([mine[home == host][: -change[host]] for host in np.flatnonzero(change < 0)])
            at[leaving] = np.repeat(np.arange(len(change)), np.maximum(change, 0))
        return Layout(self.layout.objective, at)
