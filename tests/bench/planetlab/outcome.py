"""What came of a day: energy, how much was short, how much moved. Counted from where the world had each machine when.

CloudSim's formulas: energy; SLATAH, the time in which a host that is on gives less than is wanted of it, by the time in
which hosts are on; PDM, what machines lack while they move by all that is wanted; their product SLAV; ESV = energy ·
SLAV; moves. ESV is 0 without any move however machines suffer, so the shortfall is measured, too: all that is lacking
by all that is wanted.

A host without machines is off and draws nothing; switching takes no time and no energy. A machine gets no more than one
core of its host. While it moves it gets 90 % of what it would get, and nothing while it stands still; its source is
loaded as before, and its destination with a tenth of it besides.

Different from CloudSim: a host whose machines all happen to want nothing is on and draws idle power (there it counts as
off); PDM counts the whole of a move, and SLATAH the whole time that a machine is on its way to a host, not from the
next event on; power is that of the moment, not the mean of its step's beginning and the next one's. None of it favours
who moves less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from tests.bench.planetlab.protocol import Center, Floats, Ints
from tests.bench.planetlab.traces import STEP_S, Traces

Turn = Literal["step", "begun", "halted", "ended"]


@dataclass(frozen=True)
class Moved:
    """One machine's move, by the world's clock."""

    machine: int
    destination: int
    begun_s: float
    halted_s: float
    """From when on it stood still."""
    ended_s: float


@dataclass(frozen=True)
class Outcome:
    """What came of a day."""

    energy_kwh: float
    slatah: float
    pdm: float
    moves: int
    shortfall: float
    hosts: float
    """On, in the mean."""

    @property
    def slav(self) -> float:
        return self.slatah * self.pdm

    @property
    def esv(self) -> float:
        return self.energy_kwh * self.slav

    def __str__(self) -> str:
        return (
            f"{self.energy_kwh:.2f} kWh, {self.moves:,} moves, SLATAH {self.slatah:.2%}, PDM {self.pdm:.4%}, "
            f"SLAV {self.slav:.6%}, ESV {self.esv:.6f}, shortfall {self.shortfall:.3%}, {self.hosts:.0f} hosts on"
        )


class Count:
    """The sums of a day, moment by moment.

    Args:
        center: Hosts and machines.
        traces: What machines want, in percent.
        places: Where they are at first.
    """

    def __init__(self, center: Center, traces: Traces, places: Ints) -> None:
        self._center = center
        self._demand: Floats = traces * center.mips[:, None] / 100
        self._place, self._target = places.copy(), places.copy()
        self._moving, self._still = np.zeros(len(places), bool), np.zeros(len(places), bool)
        self._energy = self._short_s = self._on_s = self._lacked_moving = self._lacked = self._wanted = 0.0
        self.given: Floats = np.zeros(len(places))
        """MIPS · s that each machine got, with no other rule than that hosts are finite: what the world counts."""

    def day(self, moves: Iterable[Moved], until_s: float) -> Outcome:
        """Return what came of it."""
        listed = list(moves)
        begun_s, step = 0.0, 0
        for at_s, turns in groupby(_turns(listed, until_s), key=lambda each: each[0]):
            if at_s > begun_s:
                self._pass(self._demand[:, step], at_s - begun_s)
            begun_s = at_s
            for _, turn, move in turns:
                self._take(turn, move)
            step = round(at_s // STEP_S) % self._demand.shape[1]  # moves of the last look may end after the day
        return Outcome(
            self._energy / 3.6e6,
            self._short_s / self._on_s,
            self._lacked_moving / self._wanted,
            len(listed),
            self._lacked / self._wanted,
            self._on_s / until_s,
        )

    def _take(self, turn: Turn, move: Moved | None) -> None:
        if move is None:
            return
        self._moving[move.machine] = turn != "ended"
        self._still[move.machine] = turn == "halted"
        if turn == "begun":
            self._target[move.machine] = move.destination
        if turn == "ended":
            self._place[move.machine] = move.destination

    def _pass(self, wanted: Floats, span: float) -> None:
        """Count a time in which nothing changes."""
        center, at, moving = self._center, self._place, self._moving
        count = len(center.capacity)
        running = np.where(self._still, 0.0, 1.0)
        asked = np.bincount(at, wanted * running, count)
        self.given += wanted * running * np.minimum(1.0, center.capacity / np.maximum(asked, 1e-9))[at] * span
        taken = np.minimum(wanted, center.core[at]) * running
        arriving = np.bincount(self._target[moving], 0.1 * wanted[moving], count)
        load = np.bincount(at, taken, count) + arriving
        scale = np.minimum(1.0, center.capacity / np.maximum(load, 1e-9))
        served = taken * scale[at] * np.where(moving, 0.9, 1.0)
        on = (np.bincount(at, minlength=count) > 0) | (np.bincount(self._target, minlength=count) > 0)
        share = np.minimum(1.0, load / center.capacity)
        short = (asked + arriving > np.minimum(load, center.capacity) + 0.1) | (arriving > 0)
        self._energy += float(center.power(share)[on].sum()) * span
        self._on_s += float(on.sum()) * span
        self._short_s += float((short & on).sum()) * span
        self._lacked_moving += float((wanted - served)[moving].sum()) * span
        self._lacked += float((wanted - served).sum()) * span
        self._wanted += float(wanted.sum()) * span


def _turns(moves: Iterable[Moved], until_s: float) -> Iterator[tuple[float, Turn, Moved | None]]:
    """Yield all that changes until the end, in order of time."""
    turns: list[tuple[float, Turn, Moved | None]] = [
        (step * STEP_S, "step", None) for step in range(int(until_s // STEP_S) + 1)
    ]
    for move in moves:
        turns += [(move.begun_s, "begun", move), (move.halted_s, "halted", move), (move.ended_s, "ended", move)]
    # One that ends and one that begins at a moment may be of one machine; sorting keeps the order that they came in.
    yield from sorted((turn for turn in turns if turn[0] <= until_s), key=lambda each: each[0])
