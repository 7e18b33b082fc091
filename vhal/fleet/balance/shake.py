"""Random changes at a falling temperature: out of what no change of a few machines on two hosts improves.

Where hosts differ in size the large machines decide. One that stands on a small host is in the way of anything better,
but to part them takes several machines of several hosts, and only the last of these changes shows that it was worth it.
So changes are made that are worse, too, and the worse the rarer, less and less (simulated annealing: Kirkpatrick,
Gelatt and Vecchi, "Optimization by Simulated Annealing", 1983). They are drawn and scored many at once. Of those that
are accepted, none is made that touches a host of an earlier one, so what they do to the sums adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints

DRAWS = 4000
"""How often changes are drawn, at most: no more often than there are pairs of machine and host."""
BREADTH = 12
"""Changes that are drawn at once: by the number of hosts."""
SWAPS = 0.6
"""The share of changes in which two machines change places; in the others one goes anywhere."""
HOT, COLD = 1.0, 1 / 200
"""Temperature at the beginning and at the end: by the harm that a change does, on average, to what has been found."""


@dataclass(frozen=True)
class _Changes:
    """Changes: a machine goes to a host, and another comes back from there, or nobody."""

    machine: Ints
    other: Ints
    source: Ints
    destination: Ints
    need: Floats
    """Change × resource: how much more is needed at the destination."""

    def of(self, chosen: Ints | Bools) -> _Changes:
        return _Changes(
            self.machine[chosen],
            self.other[chosen],
            self.source[chosen],
            self.destination[chosen],
            self.need[chosen],
        )

    def apart(self, hosts: int) -> Ints:
        """Return those that touch no host of an earlier one."""
        rank = np.arange(len(self.machine))
        first = np.full(hosts, len(rank))
        np.minimum.at(first, self.source, rank)
        np.minimum.at(first, self.destination, rank)
        return np.flatnonzero((first[self.source] == rank) & (first[self.destination] == rank))


class Shaker:
    """Changes at random where machines are.

    Args:
        layout: Where machines are to begin with; it isn't changed.
        machines: Those that may move. Any that must be apart from others stay where they are.
        price: Machine → what it costs in score to be away from home.
        random: What changes are drawn with.
    """

    _sums: Floats
    _squares: Floats

    def __init__(self, layout: Layout, machines: Ints, price: Floats, random: np.random.Generator) -> None:
        problem, objective = layout.problem, layout.objective
        self._layout, self._random = layout, random
        self._machines = machines[[machine not in problem.apart for machine in machines.tolist()]]
        self._hosts = np.flatnonzero(problem.open)
        self._allowed = problem.open & problem.zones
        # Nobody is the last machine: it needs nothing, and is at home anywhere.
        self._nobody = len(layout.at)
        self._amount = np.vstack([objective.amount, np.zeros_like(objective.amount[:1])])
        self._need = np.vstack([problem.need, np.zeros_like(problem.need[:1])])
        self._price, self._zone = np.append(price, 0.0), np.append(problem.zone, 0)
        self._home = np.append(problem.home, -1)
        self._at, self._off, self._free = layout.at.copy(), layout.off.copy(), layout.free + layout.slack
        self._sums, self._squares = layout.sums, layout.squares
        self.score = layout.score
        """How uneven it is now."""

    def run(self, go: Callable[[], bool]) -> Ints:
        """Return where machines are after all temperatures, or when time was over."""
        if not len(self._machines) or not len(self._hosts):
            return self._at
        harm = self._changed(self._drawn())[0]
        usual = float(harm[harm > 0].mean()) if (harm > 0).any() else 0.0
        draws = min(DRAWS, len(self._machines) * len(self._hosts))
        for temperature in np.geomspace(HOT * usual, COLD * usual, draws) if usual else ():
            if not go():
                break
            changes = self._drawn()
            change, sums, squares = self._changed(changes)
            accepted = np.flatnonzero(change < temperature * self._random.standard_exponential(len(change)))
            if len(accepted):
                made = accepted[changes.of(accepted).apart(len(self._off))]
                self._make(changes.of(made))
                self._sums, self._squares = (
                    self._sums + sums[made].sum(axis=0),
                    self._squares + squares[made].sum(axis=0),
                )
                self.score = float(self._layout.score_of(self._sums, self._squares))
        return self._at

    def _drawn(self) -> _Changes:
        """Return changes that break no rule, and for which there is room."""
        count = BREADTH * len(self._off)
        machine, other = self._machines[self._random.integers(len(self._machines), size=(2, count))]
        swaps = self._random.random(count) < SWAPS
        there = np.where(swaps, self._at[other], self._hosts[self._random.integers(len(self._hosts), size=count)])
        other = np.where(swaps, other, self._nobody)
        here = self._at[machine]
        need = self._need[machine] - self._need[other]
        room = np.maximum(self._free, 0.0)
        fits = (need <= room[there]) & (-need <= room[here])
        may = self._allowed[self._zone[machine], there] & (self._allowed[self._zone[other], here] | ~swaps)
        return _Changes(machine, other, here, there, need).of(fits.all(axis=1) & may & (here != there))

    def _changed(self, changes: _Changes) -> tuple[Floats, Floats, Floats]:
        """Return change → of score and price together, of sums, and of squares."""
        per, off = self._layout.objective.per, self._off
        here, there = changes.source, changes.destination
        amount = self._amount[changes.machine] - self._amount[changes.other]
        leave, arrive = amount * per[here], amount * per[there]
        sums = arrive - leave
        squares = arrive * (2 * off[there] + arrive) - leave * (2 * off[here] - leave)
        paid = np.zeros(len(amount))
        for machine, old, new in ((changes.machine, here, there), (changes.other, there, here)):
            home = self._home[machine]
            paid += self._price[machine] * ((new != home).astype(float) - (old != home))
        score = self._layout.score_of(self._sums + sums, self._squares + squares)
        return score - self.score + paid, sums, squares

    def _make(self, changes: _Changes) -> None:
        """Make changes of which no two touch the same host."""
        per = self._layout.objective.per
        here, there = changes.source, changes.destination
        amount = self._amount[changes.machine] - self._amount[changes.other]
        self._off[here] -= amount * per[here]
        self._off[there] += amount * per[there]
        self._free[here] += changes.need
        self._free[there] -= changes.need
        self._at[changes.machine] = there
        swaps = changes.other != self._nobody
        self._at[changes.other[swaps]] = here[swaps]
