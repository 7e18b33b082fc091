"""What shall be moved, why, what it costs, and what comes of it. Data: it can be shown, kept, and carried out later.

Who makes one is :mod:`vhal.fleet.balance` or :mod:`vhal.fleet.moves.drain`; who carries it out is
:mod:`vhal.fleet.moves.carrier`.
"""

from __future__ import annotations

from typing import Literal

from vhal.fleet.document import Document
from vhal.fleet.settings import BalanceSettings
from vhal.spec.model import Model
from vhal.spec.units import Bytes

FORMAT = 1
"""Version of the file format. Another one is refused; an older one would be converted when it is read."""


class Move(Model):
    """One machine's way from one host to another."""

    machine: str
    """Name."""
    id: str
    source: str
    destination: str
    reason: str
    """Why, in a sentence with its figures."""
    memory: Bytes
    """What has to be sent at least."""
    transferred: Bytes
    """What will be sent, as predicted: pages that are written meanwhile are sent again."""
    total_s: float
    """How long it will take, as predicted; 0 where no bandwidth is known."""
    downtime_s: float
    """How long the machine will stand still, as predicted."""
    after: tuple[int, ...] = ()
    """Places in the plan of the moves that must be over before: they make the room, or keep a rule."""
    gain: float = 0.0
    """By how much the score goes down with this move, at its place in the order."""


class HostChange(Model):
    """A host before and after a plan: shares of what it has, 1 is all of it."""

    host: str
    machines: tuple[int, int]
    cpus: tuple[float, float]
    """Virtual processors given away / processors."""
    memory: tuple[float, float]
    """Memory given away / memory."""
    load: tuple[float, float] | None = None
    """Processors busy / processors; None where the load isn't known."""


class Bound(Model):
    """How good any plan could be."""

    score: float
    """No placement that a plan could lead to has a lower score."""
    transferred: Bytes
    """No plan that reaches this one's score moves less memory."""
    method: str
    """How it was found, and what it leaves out."""


class Plan(Document):
    """An ordered list of moves. Carried out in this order, one after the other, every rule holds after each of them."""

    made_by = "vhal fleet plan --output FILE"

    format: int = FORMAT
    kind: Literal["balance", "drain", "restore", "evacuate", "repair"] = "balance"
    snapshot: str
    """Digest of the snapshot it was made from."""
    emptied: tuple[str, ...] = ()
    """Hosts that nothing new may be put on from the beginning, since they are to have no machines in the end."""
    restored: tuple[str, ...] = ()
    """Hosts that may be used again from the beginning, since this takes back what emptied them."""
    moves: tuple[Move, ...] = ()
    hosts: tuple[HostChange, ...] = ()
    """Only hosts that change."""
    score: tuple[float, float] = (0.0, 0.0)
    """Before and after; lower is better, 0 is perfectly even."""
    bound: Bound | None = None
    settings: BalanceSettings | None = None
    """How it was made, where the balancer made it: how it is made anew after a move that failed."""
    notes: tuple[str, ...] = ()
    """What else there is to say: why nothing is worth moving, which machine found no place."""

    @property
    def memory(self) -> Bytes:
        """The memory of all machines that move."""
        return Bytes(sum(move.memory for move in self.moves))

    def __bool__(self) -> bool:
        return bool(self.moves)
