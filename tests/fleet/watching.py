"""Fleets whose machines keep processors busy as a test says, and watches over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.fleet.stand import Stand, world
from vhal.fleet.snapshot import FleetSnapshot, Load
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Round, Watch
from vhal.journal import Journal

DAY_S = 86_400.0
HOT = {"a": {"web": 8, "db": 8, "job": 8}, "b": {}, "c": {}}
STEADY = {"web": 6.0, "db": 4.0, "job": 4.5, "mail": 3.0, "dns": 1.0}
PLACED = {"a": {"web": 8, "db": 8, "job": 8}, "b": {"mail": 8}, "c": {"dns": 8}}


class Busy(Stand):
    """A fleet whose machines keep processors busy as the test says."""

    def __init__(self, busy: Callable[[str, float], float], hosts: dict[str, dict[str, int]] = HOT) -> None:
        super().__init__(world(hosts))
        self.busy = busy

    def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
        now = super().snapshot()
        at_s = self.world.clock.now_s
        machines = tuple(
            machine.model_copy(update={"load": Load(cpus=self.busy(machine.name, at_s))}) for machine in now.machines
        )
        return now.model_copy(update={"machines": machines, "taken_s": at_s})


def decisions(rounds: list[Round]) -> list[str]:
    return [str(each.decision) for each in rounds]


def balanced(fleet: Stand, journal: Journal, policy: WatchPolicy, looks: int) -> list[Round]:
    clock = fleet.world.clock
    watch = Watch(fleet, policy, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance)
    return list(itertools.islice(watch.rounds(), looks))


def moves(rounds: list[Round]) -> int:
    return sum(len(each.applied.moves) for each in rounds if each.applied is not None)
