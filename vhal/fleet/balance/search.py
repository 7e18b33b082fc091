"""Changes of one machine or of two, each the best for its price, until a score is reached: what plans are made by.

Moving has a price: the memory that is sent, and something for every move. The exchange rate between price and score
begins high, so that first only those machines move that do most good for their size, and falls until the score is
reached (annealing, but of a price, and without chance). A machine that goes home gives its price back. Where single
moves are at their end, pairs go on: two machines change places, or one goes home and another moves instead. Without a
limit of moves, up to two of a host at once change places with up to two of another in the end.

That is local search with 1- and 2-exchanges (Aarts and Lenstra, Local Search in Combinatorial Optimization, 1997) on a
Lagrangian of the problem "least memory moved such that the score is at most so much".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vhal.fleet.balance.bundles import bundles
from vhal.fleet.balance.estimate import Singles, Tangent, arrivals, departures, exchanged, exchanges, product
from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Bools, Floats, Ints

CELLS = 1 << 20
"""Machines × hosts, or machines × machines, that are looked at in one go; of more, a part."""
BUNDLES = 1 << 12
"""Bundles of machines that are looked at."""
SAMPLE = 128
"""Hosts that a machine is tried on where there are too many for all."""
ROUNDS = 8
"""Rounds of pairs at one rate, where only a part of them can be looked at."""
LOOKS = 3
"""Samples in a row that must have nothing good in them."""
TINY = 1e-9
PATIENCE = 8
"""Changes in a row that turn out worse than they looked; then it is time for new estimates."""
SHORT = 256
"""Changes that get a closer look, of each round of estimates."""


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


class _Steps(Sequence[Sequence[tuple[int, int]]]):
    """Changes of as many machines each, which are only spelled out when they are looked at."""

    def __init__(self, machines: Ints, hosts: Ints) -> None:
        self._machines, self._hosts = machines, hosts

    def __len__(self) -> int:
        return len(self._machines)

    def __getitem__(self, place: int) -> Sequence[tuple[int, int]]:  # type: ignore[override]
        return list(zip(self._machines[place].tolist(), self._hosts[place].tolist(), strict=True))


class Search:
    """A search over where machines could be.

    Args:
        layout: Where machines are; changed.
        machines: Those that may move.
        usual: The memory of a usual machine, GiB.
        per_move: The price of a move, whatever the machine's size, by that.
        limits: What may not be exceeded.
        go: Whether there is time left.
        seed: Of the choice among too many hosts.
        frugal: Whether no two machines change places that both haven't moved: that is dear, and most of all pairs.
    """

    def __init__(
        self,
        layout: Layout,
        machines: Ints,
        usual: float,
        per_move: float,
        limits: Limits | None = None,
        go: Callable[[], bool] = lambda: True,
        seed: int = 0,
        frugal: bool = False,
    ) -> None:
        self.layout = layout
        self.problem = layout.problem
        self.machines = machines
        self.limits = limits or Limits()
        self._usual = usual
        self._mean = layout.objective.amount.mean(axis=0)
        self.charge(per_move)
        self.rate = 0.0
        """Score that a GiB must be worth."""
        self.target = 0.0
        """The score that is enough."""
        self.away: Bools = layout.at != self.problem.home
        self.moves = int(self.away.sum())
        self.memory = float(self.problem.memory[self.away].sum())
        self.frugal = frugal
        self._go = go
        self._random = np.random.default_rng(seed)
        self._whole = len(machines) * len(self.problem.hosts) <= CELLS
        self._allowed = self.problem.open & self.problem.zones

    def charge(self, per_move: float) -> None:
        """Set the price of a move, whatever the machine's size, by the memory of a usual machine."""
        self.price: Floats = self.problem.memory + per_move * self._usual

    def ignore_memory(self) -> None:
        """Let every move have the same price, that of a usual machine."""
        self.price = np.full(len(self.problem.memory), self._usual)

    def anneal(self, target: float, rates: tuple[float, float], fall: float = 0.5, pairs: bool = True) -> bool:
        """Change what is worth its price while that falls, until the score is reached; return whether it was.

        Args:
            target: The score that is enough.
            rates: Score by GiB, at the beginning and at the end.
            fall: What the rate is multiplied with when nothing is worth its price any more.
            pairs: Whether pairs of machines are tried, too.
        """
        self.target = target
        self.rate, last = rates
        while not self._done():
            self.layout.tally()
            barren = 0
            while not self._done() and barren < (1 if self._whole else LOOKS):
                barren = 0 if self.singles() else barren + 1
            rounds = 0
            while pairs and not self._done() and (self._whole or rounds < ROUNDS) and self.twos():
                self.singles()
                rounds += 1
            if self.rate <= last and not (pairs and self._whole and not self.frugal and self.bundles()):
                break
            self.rate = max(self.rate * fall, last)
        return self.layout.score <= target

    def cheapen(self, ceiling: float, rates: tuple[float, float], rise: float = 2.0) -> None:
        """Move less, at a score that is below a ceiling and stays there.

        Args:
            ceiling: The score that isn't exceeded.
            rates: Score by GiB, at the beginning and at the end.
            rise: What the rate is multiplied with when nothing is worth it any more.
        """
        self.limits = replace(self.limits, score=ceiling)
        self.target = -np.inf
        self.rate, last = rates
        while self.rate <= last and not self._done():
            self.layout.tally()
            while not self._done() and self.singles() + self.twos():
                pass
            self.rate *= rise

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

    def _done(self) -> bool:
        return self.layout.score <= self.target or not self._go()

    def singles(self) -> int:
        """Make single moves that are worth their price; return how many."""
        layout, tangent = self.layout, Tangent.of(self.layout)
        leaving = departures(layout, tangent, self.machines)
        away, price = self.away[self.machines], self.rate * self.price[self.machines]
        paid = np.where(away, 0.0, price)
        whole = self._whole
        # Nobody arrives for less than where all axes are at their lowest.
        lowest = np.where(self.problem.open[:, None], tangent.tilt, 0.0).min(axis=0)
        hopeful = leaving + layout.objective.amount.take(self.machines, axis=0) @ lowest < np.where(away, price, -price)
        rows = np.flatnonzero(hopeful if whole else hopeful & (leaving < 0))
        chosen: list[tuple[Ints, Ints, Singles]] = []
        size = CELLS // (len(self.problem.hosts) if whole else SAMPLE) + 1
        known = self._hosts(tangent, whole)
        for first in range(0, len(rows), size if whole else 512):
            part = rows[first : first + (size if whole else 512)]
            # A different part of them for each part of the machines: else all would want the same host.
            hosts = known if whole else self._random.permutation(known)[:SAMPLE]
            change = arrivals(layout, tangent, self.machines[part], hosts)
            change += (leaving + paid)[part].astype(np.float32)[:, None]
            if whole:
                self._refund(change, self.machines[part])
            best, value = self._roomy(change, self.machines[part], hosts)
            chosen.append((part, hosts[best], value))
        if not chosen:
            return 0
        places, hosts, values = (np.concatenate(column) for column in zip(*chosen, strict=True))
        good = _best(values, max(SHORT, len(self.problem.hosts)))
        return self._make(self.machines[places[good]], hosts[good])

    def _hosts(self, tangent: Tangent, whole: bool) -> Ints:
        """Return all hosts, or the colder half where they are too many."""
        if whole:
            return np.arange(len(self.problem.hosts))
        usual = self._mean
        heat = np.where(self.problem.open, tangent.tilt @ usual, np.inf)
        return np.argsort(heat, kind="stable")[: max(SAMPLE, len(heat) // 2)]

    def _refund(self, change: Singles, machines: Ints) -> None:
        # Going home costs nothing and gives back what was paid.
        rows = np.flatnonzero(self.away[machines])
        moved = machines[rows]
        change[rows, self.problem.home[moved]] -= (self.rate * self.price[moved]).astype(np.float32)

    def _roomy(self, change: Singles, machines: Ints, hosts: Ints) -> tuple[Ints, Singles]:
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

    def twos(self) -> int:
        """Change pairs of machines where that is worth its price; return how many pairs."""
        done = 0
        for round_ in (self._instead, self._elsewhere, self._exchange):
            if not self._done():
                done += round_()
        return done

    def bundles(self) -> int:
        """Let up to two machines of a host change places with up to two of another; return how many times."""
        layout, objective = self.layout, self.layout.objective
        paid = np.where(self.away[self.machines], 0.0, self.rate * self.price[self.machines])
        second = bundles(layout, self.machines, paid, BUNDLES, self._random)
        # All that stand on the most uneven hosts, with all.
        uneven = np.argsort(-(np.abs(layout.off) * objective.weight).sum(axis=1), kind="stable")
        place = np.argsort(uneven)[second.host]
        chosen = np.argsort(place, kind="stable")[: CELLS // len(second.host)]
        first = second.of(chosen)
        change = exchanged(Tangent.of(layout), (first.amount, first.host), (second.amount, second.host))
        change += first.paid.astype(np.float32)[:, None]
        change += second.paid.astype(np.float32)
        change[first.host[:, None] == second.host] = 0.0
        rows, columns = _each_best(change)
        if not len(rows):
            return 0
        steps = [
            first.steps(row, int(second.host[column])) + second.steps(column, int(first.host[row]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        return self._take(change[rows, columns].astype(float), steps)

    def _few(self) -> Ints:
        """Return the machines of which every pair can be looked at: those on the most uneven hosts."""
        most = int(CELLS**0.5)
        if len(self.machines) <= most:
            return self.machines
        objective = self.layout.objective
        uneven = (np.abs(self.layout.off) * objective.weight).sum(axis=1)
        order = np.argsort(-uneven[self.layout.at[self.machines]], kind="stable")
        return np.sort(self.machines[order[:most]])

    def _exchange(self) -> int:
        """Let two machines change places: any two, or in a frugal search only those of which one has moved."""
        layout, second = self.layout, self._few()
        first = second[self.away[second]] if self.frugal else second
        if not len(first):
            return 0
        change = exchanges(layout, Tangent.of(layout), first, second)
        at, there = layout.at[first], layout.at[second]
        for machines, other, cells in ((first, there, change), (second, at, change.T)):
            paid = (self.rate * self.price[machines]).astype(np.float32)
            cells += np.where(self.away[machines], np.float32(0), paid)[:, None]
            moved = np.flatnonzero(self.away[machines])
            row, column = np.nonzero(self.problem.home[machines[moved]][:, None] == other)  # one of them goes home
            cells[moved[row], column] -= paid[moved[row]]
        change[at[:, None] == there if self.frugal else at[:, None] >= there] = 0.0  # none on one host, each pair once
        rows, columns = _each_best(change)
        return self._make_pairs(Pairs(first[rows], there[columns], second[columns], at[rows]))

    def _instead(self) -> int:
        """Let moved machines go home, and others to where they were."""
        layout, machines = self.layout, self._few()
        moved = machines[self.away[machines]]
        if not len(moved):
            return 0
        tangent, amount = Tangent.of(layout), layout.objective.amount
        at, home, there = layout.at[machines], self.problem.home[moved], layout.at[moved]
        paid = np.where(self.away[machines], 0.0, self.rate * self.price[machines])
        change = arrivals(layout, tangent, machines, there).T.copy()
        change += (departures(layout, tangent, machines) + paid).astype(np.float32)
        change += self._home(tangent, moved)[:, None]
        change -= product(2 * tangent.curve[there] * amount[moved], amount[machines])
        row, column = np.nonzero(at == home[:, None])  # those that stand where it goes
        both = 2 * tangent.curve[home[row]] * amount[moved[row]] * amount[machines[column]]
        change[row, column] -= both.sum(axis=1).astype(np.float32)
        change[at == there[:, None]] = 0.0
        rows, columns = _each_best(change)
        return self._make_pairs(Pairs(moved[rows], home[rows], machines[columns], there[rows]))

    def _elsewhere(self) -> int:
        """Let moved machines go home, and another one of their home anywhere."""
        layout = self.layout
        machines = self._few()
        moved = machines[self.away[machines]]
        home = self.problem.home[moved]
        rows, columns = np.nonzero(home[:, None] == layout.at[machines])
        hosts = np.arange(len(self.problem.hosts))
        most = max(CELLS // len(hosts), 1)
        rows, columns = rows[:most], columns[:most]
        if not len(rows):
            return 0
        tangent, amount = Tangent.of(layout), layout.objective.amount
        others = machines[columns]
        paid = np.where(self.away[others], 0.0, self.rate * self.price[others])
        change = arrivals(layout, tangent, others, hosts)
        both = (2 * tangent.curve[home[rows]] * amount[moved[rows]] * amount[others]).sum(axis=1)
        own = self._home(tangent, moved)[rows] + departures(layout, tangent, others) + paid - both
        change += own.astype(np.float32)[:, None]
        self._refund(change, others)
        to, value = self._roomy(change, others, hosts)
        found = _best(value, SHORT)
        to = to[found]
        return self._make_pairs(Pairs(moved[rows[found]], home[rows[found]], others[found], to))

    def _home(self, tangent: Tangent, moved: Ints) -> Singles:
        """Return moved machine → change of score and price if it went home."""
        amount, home = self.layout.objective.amount[moved], self.problem.home[moved]
        back = (amount * (tangent.tilt[home] + amount * tangent.curve[home])).sum(axis=1)
        change: Floats = back + departures(self.layout, tangent, moved) - self.rate * self.price[moved]
        found: Singles = change.astype(np.float32)
        return found

    def _cost(self, machines: Ints, hosts: Ints) -> Floats:
        cost: Floats = self.price[machines] * ((hosts != self.problem.home[machines]) ^ self.away[machines])
        return np.where(self.away[machines], -cost, cost)

    def _make(self, machines: Ints, hosts: Ints) -> int:
        if not len(machines):
            return 0
        layout = self.layout
        sums, squares = layout.changes(machines, hosts)
        values = layout.score_of(layout.sums + sums, layout.squares + squares) - layout.score
        values += self.rate * self._cost(machines, hosts)
        return self._take(values, _Steps(machines[:, None], hosts[:, None]))

    def _make_pairs(self, pairs: Pairs) -> int:
        if not len(pairs.first):
            return 0
        layout = self.layout
        sums, squares = layout.changes_of_two(pairs.first, pairs.to, pairs.second, pairs.there)
        values = layout.score_of(layout.sums + sums, layout.squares + squares) - layout.score
        values += self.rate * (self._cost(pairs.first, pairs.to) + self._cost(pairs.second, pairs.there))
        machines, hosts = np.column_stack([pairs.first, pairs.second]), np.column_stack([pairs.to, pairs.there])
        return self._take(values, _Steps(machines, hosts))

    def _take(self, values: Floats, changes: Sequence[Sequence[tuple[int, int]]]) -> int:
        """Make the best of these changes, and those that are half as good and touch other hosts; return how many.

        Args:
            values: What each is worth.
            changes: Machines and where they go, of each.
        """
        order = np.argsort(values, kind="stable")
        enough = min(-TINY, float(values[order[0]]) / 2)
        made = failed = 0
        touched: set[int] = set()
        score = self.layout.score
        for place in order.tolist():
            if values[place] > enough or score <= self.target or failed >= PATIENCE:
                break
            change = changes[place]
            hosts = {host for _, host in change}.union(int(self.layout.at[machine]) for machine, _ in change)
            if touched.isdisjoint(hosts):
                after = self._try(change, score, enough)
                if after is None:
                    failed += 1
                else:
                    made, score, failed = made + 1, after, 0
                    touched |= hosts
        return made

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


def _best(values: Floats | Singles, most: int) -> Ints:
    good = np.flatnonzero(values < 0)
    if len(good) > most:
        good = good[np.argpartition(values[good], most)[:most]]
    return good


def _each_best(change: Singles) -> tuple[Ints, Ints]:
    """Return the best column of each row where it is an improvement; of many rows the best."""
    columns = change.argmin(axis=1)
    rows = _best(change[np.arange(len(columns)), columns], SHORT)
    return rows, columns[rows]
