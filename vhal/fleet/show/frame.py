"""One screen of a fleet: its hosts, the moves under way, and its machines, cut to a terminal's size."""

from __future__ import annotations

import time
from collections.abc import Sequence

from vhal.fleet.plan import Move
from vhal.fleet.show import text
from vhal.fleet.show.letters import Line, Word, fitted
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenMachine
from vhal.spec.state import MachineState

KEYS = {"l": "load", "m": "memory", "n": "name", "h": "host"}
"""What machines are sorted by, by the key that says so."""


def frame(
    snapshot: FleetSnapshot,
    moves: Sequence[Move] = (),
    *,
    width: int = 80,
    height: int | None = None,
    sort: str = "load",
    plain: bool = False,
) -> list[Line]:
    """Return a fleet as lines.

    Args:
        snapshot: The fleet.
        moves: Those that are known to be under way. Machines that move otherwise are told by their state.
        width: Columns.
        height: Lines; None for as many as it takes.
        sort: What machines are sorted by: one of :data:`vhal.fleet.show.text.SORTS`.
        plain: For a terminal that has ASCII only.
    """
    third = None if height is None else max(3, height // 3)
    lines = [[Word(fitted(_head(snapshot, moves), width).rstrip(), "bold")], []]
    lines += [list(line) for line in text.hosts(snapshot, width, plain, third)]
    going = text.moves(moves[:third], width, plain) + _going(snapshot, moves, plain)[:third]
    if going:
        lines += [[], [Word("MOVES UNDER WAY", "bold")], *map(list, going)]
    left = None if height is None else height - len(lines) - 2
    if left is None or left >= 2:
        lines += [[], *map(list, text.machines(snapshot, width, plain, sort, left))]
    return list(lines if height is None else lines[:height])


def _head(snapshot: FleetSnapshot, moves: Sequence[Move]) -> str:
    dead = sum(host.status is HostStatus.UNREACHABLE for host in snapshot.hosts)
    moving = len({machine.id for machine in _moving(snapshot)} | {move.id for move in moves})
    told = [
        time.strftime("%H:%M:%S", time.localtime(snapshot.taken_s)),
        f"{len(snapshot.hosts)} hosts" + (f" ({dead} without an answer)" if dead else ""),
        f"{len(snapshot.machines)} machines",
    ]
    return ", ".join([*told, f"{moving} moving"] if moving else told)


def _moving(snapshot: FleetSnapshot) -> list[SeenMachine]:
    return [machine for machine in snapshot.machines if machine.state is MachineState.MIGRATING]


def _going(snapshot: FleetSnapshot, moves: Sequence[Move], plain: bool) -> list[Line]:
    """Return the machines that move without a plan that is known: where to isn't told by their state."""
    known = {move.id for move in moves}
    arrow = "->" if plain else "→"
    return [
        [
            Word(f"{fitted(machine.name, text.NAME).rstrip()}  "),
            Word(f"{fitted(machine.host, text.NAME).rstrip()} {arrow} ?", "cyan"),
        ]
        for machine in _moving(snapshot)
        if machine.id not in known
    ]
