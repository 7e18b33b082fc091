"""What a search has changed so far and paid for it, and the making of further changes, the best first.

A change is of one machine or of several, to be made together or not at all. It is estimated before, and counted exactly
when it is made: what turns out worse than it looked, has no room, or breaks a rule or a limit, is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.estimate import Singles
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints

TINY = 1e-9
PATIENCE = 8
"""Changes in a row that turn out worse than they looked; then it is time for new estimates."""


@dataclass(frozen=True)
class Limits:
    """What a search may not exceed."""

    moves: float = np.inf
    memory: float = np.inf
    """GiB."""
    score: float = np.inf
    """No change may end above it, unless it makes the score lower."""


@dataclass(frozen=True)
class Pairs:
    """Changes of two machines each: the first goes to a host, then the second to another."""

    first: Ints
    to: Ints
    second: Ints
    there: Ints


NONE = Pairs(*(np.empty(0, np.intp) for _ in range(4)))


class _Steps(Sequence[Sequence[tuple[int, int]]]):
    """Changes of as many machines each, which are only spelled out when they are looked at."""

    def __init__(self, machines: Ints, hosts: Ints) -> None:
        self._machines, self._hosts = machines, hosts

    def __len__(self) -> int:
        return len(self._machines)

    def __getitem__(self, place: int) -> Sequence[tuple[int, int]]:  # type: ignore[override]
        return list(zip(self._machines[place].tolist(), self._hosts[place].tolist(), strict=True))


class Trial:
    """Where machines could be, and what that costs.

    Args:
        layout: Where machines are; changed.
        machines: Those that may move.
        usual: The memory of a usual machine, GiB.
        per_move: The price of a move, whatever the machine's size, by that.
        limits: What may not be exceeded.
    """

    def __init__(self, layout: Layout, machines: Ints, usual: float, per_move: float, limits: Limits | None) -> None:
        self.layout = layout
        self.problem = layout.problem
        self.machines = machines
        self.limits = limits or Limits()
        self._usual = usual
        self.charge(per_move)
        self.rate = 0.0
        """Score that a GiB must be worth."""
        self.target = 0.0
        """The score that is enough."""
        self.away: Bools = layout.at != self.problem.home
        self.moves = int(self.away.sum())
        self.memory = float(self.problem.memory[self.away].sum())
        self._allowed = self.problem.open & self.problem.zones

    def charge(self, per_move: float) -> None:
        """Set the price of a move, whatever the machine's size, by the memory of a usual machine."""
        self.price: Floats = self.problem.memory + per_move * self._usual

    def ignore_memory(self) -> None:
        """Let every move have the same price, that of a usual machine."""
        self.price = np.full(len(self.problem.memory), self._usual)

    def paid(self, machines: Ints) -> Floats:
        """Return machine → what it costs in score if it leaves: nothing if it has left home already."""
        return np.where(self.away[machines], 0.0, self.rate * self.price[machines])

    def refund(self, change: Singles, machines: Ints) -> None:
        """Take from machine × host what going home gives back of what was paid."""
        rows = np.flatnonzero(self.away[machines])
        moved = machines[rows]
        change[rows, self.problem.home[moved]] -= (self.rate * self.price[moved]).astype(np.float32)

    def roomy(self, change: Singles, machines: Ints, hosts: Ints) -> tuple[Ints, Singles]:
        """Return each machine's best host of those with room for it, and its estimate."""
        rows = np.arange(len(machines))
        best = change.argmin(axis=1)
        value = change[rows, best]
        layout, problem = self.layout, self.problem
        there = hosts[best]
        fits = self._allowed[problem.zone[machines], there]
        fits &= (problem.need[machines] <= layout.free[there] + layout.slack).all(axis=1)
        # Most find room at their best host; only for the others all hosts are gone through.
        full = np.flatnonzero((value < 0) & ~fits)
        if len(full):
            again = np.where(self._room(machines[full], hosts), change[full], np.inf)
            best[full] = again.argmin(axis=1)
            value[full] = again[np.arange(len(full)), best[full]]
        return best, value

    def _room(self, machines: Ints, hosts: Ints) -> Bools:
        layout, problem = self.layout, self.problem
        fits = self._allowed[problem.zone[machines]][:, hosts]
        for need, free, slack in zip(problem.need[machines].T, layout.free[hosts].T, layout.slack, strict=True):
            if need.any():
                fits &= need[:, None] <= free + slack
        fits &= layout.at[machines][:, None] != hosts
        return fits

    def make(self, machines: Ints, hosts: Ints) -> int:
        """Move machines, each by itself, where that is worth its price; return how many."""
        if not len(machines):
            return 0
        layout = self.layout
        sums, squares = layout.changes(machines, hosts)
        values = layout.score_of(layout.sums + sums, layout.squares + squares) - layout.score
        values += self.rate * self._cost(machines, hosts)
        touched = np.column_stack([layout.at[machines], hosts])
        return self.take(values, _Steps(machines[:, None], hosts[:, None]), touched)

    def make_pairs(self, pairs: Pairs) -> int:
        """Make changes of two machines where that is worth its price; return how many."""
        if not len(pairs.first):
            return 0
        layout = self.layout
        sums, squares = layout.changes_of_two(pairs.first, pairs.to, pairs.second, pairs.there)
        values = layout.score_of(layout.sums + sums, layout.squares + squares) - layout.score
        values += self.rate * (self._cost(pairs.first, pairs.to) + self._cost(pairs.second, pairs.there))
        machines, hosts = np.column_stack([pairs.first, pairs.second]), np.column_stack([pairs.to, pairs.there])
        return self.take(values, _Steps(machines, hosts), np.hstack([layout.at[machines], hosts]))

    def take(self, values: Floats, changes: Sequence[Sequence[tuple[int, int]]], hosts: Ints) -> int:
        """Make the best of these changes, and those that are half as good and touch other hosts; return how many.

        Args:
            values: What each is worth.
            changes: Machines and where they go, of each.
            hosts: Change × host: those that each touches.
        """
        order = np.argsort(values, kind="stable")
        enough = min(-TINY, float(values[order[0]]) / 2)
        order = order[values[order] <= enough]
        made = failed = 0
        touched = np.zeros(len(self.problem.hosts), bool)
        score = self.layout.score
        while len(order) and score > self.target and failed < PATIENCE:
            place, order = int(order[0]), order[1:]
            after = self._try(changes[place], score, enough)
            if after is None:
                failed += 1
            else:
                made, score, failed = made + 1, after, 0
                touched[hosts[place]] = True
                order = order[~touched[hosts[order]].any(axis=1)]
        return made

    def shed(self) -> None:
        """Send machines home, each time the one that does least harm to the score, until there are few enough moves."""
        layout = self.layout
        while self.moves > self.limits.moves:
            moved = layout.moved
            home = self.problem.home[moved]
            sums, squares = layout.changes(moved, home)
            scores = layout.score_of(layout.sums + sums, layout.squares + squares)
            fits = [layout.fits(*each) for each in zip(moved.tolist(), home.tolist(), strict=True)]
            if not any(fits):
                return
            best = int(np.where(fits, scores, np.inf).argmin())
            self._put(int(moved[best]), int(home[best]))

    def _cost(self, machines: Ints, hosts: Ints) -> Floats:
        cost: Floats = self.price[machines] * ((hosts != self.problem.home[machines]) ^ self.away[machines])
        return np.where(self.away[machines], -cost, cost)

    def _try(self, change: Sequence[tuple[int, int]], before: float, enough: float) -> float | None:
        """Make a change if it is allowed, within the limits, and as good as it has to be; return the score after it."""
        layout, limits = self.layout, self.limits
        free = [layout.free[host].copy() for _, host in change]
        back = [(machine, int(layout.at[machine])) for machine, _ in change]
        moves, memory = max(self.moves, limits.moves), max(self.memory, limits.memory)
        paid = sum([self._put(machine, host) for machine, host in change])
        now = layout.score
        good = (
            now - before + self.rate * paid <= enough
            and (now <= before or now <= limits.score)
            and self.moves <= moves
            and self.memory <= memory + TINY
            and all(self._holds(machine, host, was) for (machine, host), was in zip(change, free, strict=True))
        )
        if good:
            return now
        for machine, host in reversed(back):
            self._put(machine, host)
        return None

    def _holds(self, machine: int, host: int, free: Floats) -> bool:
        """Return whether a machine that was put on a host may be there."""
        layout, problem = self.layout, self.problem
        left = layout.free[host]
        return bool(
            self._allowed[problem.zone[machine], host]
            and ((left >= -layout.slack) | (left >= free)).all()
            and not (machine in problem.apart and layout.crowded(machine)[host])
        )

    def _put(self, machine: int, host: int) -> float:
        """Put a machine on a host, and return what was paid for it."""
        was, will = bool(self.away[machine]), host != int(self.problem.home[machine])
        self.layout.place(machine, host)
        self.away[machine] = will
        step = int(will) - int(was)
        self.moves += step
        self.memory += step * float(self.problem.memory[machine])
        return step * float(self.price[machine])
