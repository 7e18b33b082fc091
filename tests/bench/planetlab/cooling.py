"""vhal's side of the day: what it sees of the data centre, and what it decides from that."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.planetlab.datacenter import HOST_MIB, Datacenter, Floats
from tests.bench.planetlab.traces import STEP_S
from vhal.fleet.snapshot import FleetSnapshot, Load, SeenHost, SeenMachine
from vhal.fleet.watch.cool import CoolSettings, cool
from vhal.fleet.watch.habit import Habit, learn
from vhal.spec.units import Bytes

UNIT_MIPS = 10.0
"""A processor of the snapshot: hosts have processors of different speeds here, and snapshots only count them."""
MIB = 1 << 20


class Cooling:
    """Asks :func:`vhal.fleet.watch.cool.cool` every five minutes.

    Args:
        settings: None for the defaults.
    """

    def __init__(self, settings: CoolSettings | None = None) -> None:
        self._settings = settings
        self._habits: dict[str, Habit] = {}
        self._moved: dict[int, float] = {}
        self._now_s = 0.0
        self._hosts: tuple[SeenHost, ...] = ()

    def decide(self, center: Datacenter, wanted: Floats) -> Sequence[tuple[int, int]]:
        self._hosts = self._hosts or tuple(_host(center, number) for number in range(len(center.capacity)))
        snapshot = FleetSnapshot(
            taken_s=self._now_s,
            hosts=self._hosts,
            machines=tuple(self._machine(center, number, wanted) for number in range(len(wanted))),
        )
        self._habits = learn(self._habits, snapshot)
        plan = cool(snapshot, self._habits, self._settings)
        moves = [(int(move.id), int(move.destination)) for move in plan.moves]
        self._moved.update((machine, self._now_s) for machine, _ in moves)
        self._now_s += STEP_S
        return moves

    def _machine(self, center: Datacenter, number: int, wanted: Floats) -> SeenMachine:
        return SeenMachine(
            id=str(number),
            name=f"m{number}",
            host=str(center.place[number]),
            cpus=int(center.mips[number] / UNIT_MIPS),
            memory=Bytes(int(center.mib[number]) * MIB),
            load=Load(cpus=wanted[number] / UNIT_MIPS),
            moved_s=self._moved.get(number),
        )


def _host(center: Datacenter, number: int) -> SeenHost:
    return SeenHost(
        name=str(number),
        uuid=str(number),
        cpus=int(center.capacity[number] / UNIT_MIPS),
        # Where memory doesn't count, there is enough for all.
        memory=Bytes(int(HOST_MIB if center.memory else center.mib.sum()) * MIB),
        overcommit=64,
    )
