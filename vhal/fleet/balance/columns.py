"""What a host could send away and take in: each such change is a column of the problem which changes to make together.

There are too many to write all down. Those of few machines are, and of the others those that are near to what a
solution uses. Machines of one kind (:mod:`~vhal.fleet.balance.kinds`) are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.allowance import Allowance
from vhal.fleet.balance.kinds import Kinds
from vhal.fleet.balance.problem import Bools, Floats, Ints

ONE_WAY = 2000
"""Changes of a host that only send or only take, of each at most: all of one machine, all of two, and so on."""
BOTH_WAYS = 150
"""Of each, how many are tried with each other."""


@dataclass(frozen=True)
class Columns:
    """Changes of hosts, each of one."""

    host: Ints
    """Change → its host."""
    change: Floats
    """Change × kind: how many more there are. Whole numbers, as floats: they are multiplied with prices often."""
    memory: Floats
    """Change → GiB that the host sends."""
    moves: Ints
    """Change → machines that it sends."""
    taken: Floats
    """Change → what the host takes of the allowance then."""

    def of(self, chosen: Ints | Bools) -> Columns:
        """Return some of them."""
        return Columns(
            self.host[chosen], self.change[chosen], self.memory[chosen], self.moves[chosen], self.taken[chosen]
        )

    @classmethod
    def all(cls, parts: Sequence[Columns]) -> Columns:
        """Return the changes of several, one after the other."""
        return cls(
            np.concatenate([part.host for part in parts]),
            np.concatenate([part.change for part in parts]),
            np.concatenate([part.memory for part in parts]),
            np.concatenate([part.moves for part in parts]),
            np.concatenate([part.taken for part in parts]),
        )

    @classmethod
    def made(cls, kinds: Kinds, allowance: Allowance, host: Ints, change: Ints | Floats) -> Columns:
        """Return changes of hosts, without those that can't be made, or take more than is allowed by themselves."""
        shares = kinds.shares[host] + (change @ kinds.amount) * kinds.per[host]
        taken = allowance.taken(host, shares)
        few = np.flatnonzero(taken <= 1.0)
        host, change, taken = host[few], change[few], taken[few]
        need = change @ kinds.need
        fits = ((need <= kinds.free[host] + kinds.layout.slack) | (need <= 0)).all(axis=1)
        fits &= ((change <= 0) | kinds.allowed[host]).all(axis=1)
        fits &= ((change >= -kinds.home[host]) & (change <= kinds.elsewhere[host])).all(axis=1)
        sent = np.maximum(-change, 0)
        return cls(host, change.astype(float), sent @ kinds.memory, sent.sum(axis=1), taken).of(fits)


def small(kinds: Kinds, allowance: Allowance) -> Columns:
    """Return the changes of few machines, of all hosts."""
    found = Columns.all(
        [
            Columns.made(kinds, allowance, np.full(len(change), host), change)
            for host in range(len(kinds.home))
            for change in _small(kinds, allowance, host)
        ]
    )
    # What the others take at least isn't left for one.
    least = np.ones(len(kinds.home))
    np.minimum.at(least, found.host, found.taken)
    return found.of(found.taken <= 1.0 - least.sum() + least[found.host] + 1e-9)


def _small(kinds: Kinds, allowance: Allowance, host: int) -> Iterator[Ints]:
    home = kinds.home[host]
    send = _multisets(home, ONE_WAY)
    take = _multisets(np.where(kinds.allowed[host], kinds.elsewhere[host], 0), ONE_WAY)
    yield -send[1:]
    yield take
    out, into = send[1:BOTH_WAYS], take[1:BOTH_WAYS]
    more, less = ((each @ kinds.amount) * kinds.per[host] for each in (into, out))
    shares = kinds.shares[host] + more[None, :, :] - less[:, None, :]
    good = allowance.taken(np.full(shares.shape[:2], host), shares) <= 1.0
    good &= out @ into.T == 0
    which, what = np.nonzero(good)
    yield into[what] - out[which]


def near(kinds: Kinds, allowance: Allowance, columns: Columns) -> Columns:
    """Return the changes that differ from these by one machine, or by one for another."""
    one = np.eye(len(kinds.memory))
    swap = (one[:, None, :] - one[None, :, :])[one == 0]
    steps = np.concatenate([one, -one, swap])
    change = (columns.change[:, None, :] + steps).reshape(-1, len(one))
    return Columns.made(kinds, allowance, np.repeat(columns.host, len(steps)), change)


def keys(columns: Columns) -> Ints:
    """Return change → a number that no other change has, but by a chance of one in a million millions."""
    factors = np.random.default_rng(0).integers(1 << 62, size=columns.change.shape[1] + 1)
    key: Ints = columns.change.astype(np.intp) @ factors[1:] + columns.host * factors[0]
    return key


def _multisets(limits: Ints, most: int) -> Ints:
    """Return how often each kind is taken, none more often than its limit: of few machines first, at most so many."""
    level = np.zeros((1, len(limits)), np.intp)
    last = np.zeros(1, np.intp)
    found, count = [level], 1
    while len(level) and count < most:
        row, kind = np.nonzero((level < limits) & (np.arange(len(limits)) >= last[:, None]))
        row, kind = row[: most - count], kind[: most - count]
        level = level[row]
        level[np.arange(len(row)), kind] += 1
        last = kind
        found.append(level)
        count += len(level)
    return np.concatenate(found)
