"""Up to two machines of one host that go elsewhere together: what changes places where single machines can't.

A machine that is too large for what a small host lacks makes up for it together with another that comes back. Changes
of one against two, or two against two, are too many to look at one by one; as exchanges of bundles they are estimated
with the same matrix product as those of single machines (:func:`~vhal.fleet.balance.estimate.exchanged`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vhal.fleet.balance.layout import Layout
from vhal.fleet.balance.problem import Floats, Ints

NOBODY = -1
"""Stands where a bundle has no machine."""


@dataclass(frozen=True)
class Bundles:
    """Bundles of none, one or two machines."""

    members: Ints
    """Bundle × 2: its machines, or nobody."""
    host: Ints
    amount: Floats
    """Bundle × axis."""
    paid: Floats
    """Bundle → what its machines cost if they leave."""

    def of(self, chosen: Ints) -> Bundles:
        """Return some of them."""
        return Bundles(self.members[chosen], self.host[chosen], self.amount[chosen], self.paid[chosen])

    def steps(self, bundle: int, host: int) -> list[tuple[int, int]]:
        """Return machines and where they go if a bundle goes to a host."""
        return [(machine, host) for machine in self.members[bundle].tolist() if machine != NOBODY]


def bundles(layout: Layout, machines: Ints, paid: Floats, most: int, random: np.random.Generator) -> Bundles:
    """Return the bundles of these machines: none, each one, and each two of a host; of too many twos a sample.

    Args:
        layout: Where machines are.
        machines: Those that may move.
        paid: Machine, of those → what it costs if it leaves.
        most: How many bundles, at most.
        random: What the sample is drawn with.
    """
    at = layout.at[machines]
    first, second = np.nonzero(np.triu(at[:, None] == at, 1))
    room = max(most - len(machines) - len(layout.free), 0)
    if len(first) > room:
        kept = np.sort(random.choice(len(first), room, replace=False))
        first, second = first[kept], second[kept]
    hosts = np.arange(len(layout.free))
    one, none = np.full(len(machines), NOBODY), np.full(len(hosts), NOBODY)
    amount = layout.objective.amount[machines]
    return Bundles(
        members=np.column_stack(
            [np.concatenate([none, machines, machines[first]]), np.concatenate([none, one, machines[second]])]
        ),
        host=np.concatenate([hosts, at, at[first]]),
        amount=np.vstack([np.zeros((len(hosts), amount.shape[1])), amount, amount[first] + amount[second]]),
        paid=np.concatenate([np.zeros(len(hosts)), paid, paid[first] + paid[second]]),
    )
