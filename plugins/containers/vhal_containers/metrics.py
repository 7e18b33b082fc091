"""What machines use, all of them at once."""

from __future__ import annotations

import time
from collections.abc import Mapping

from vhal.spec import Bytes
from vhal.spec.usage import Usage
from vhal_containers.api.types import Stats
from vhal_containers.engine import Engine
from vhal_containers.inventory import Inventory


class Metrics:
    """Measures one engine's machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory) -> None:
        self._engine = engine
        self._inventory = inventory

    def usage(self) -> Mapping[str, Usage]:
        """Return the usage of every active machine by its id. Two requests, however many machines there are.

        Memory is what the machine's control group is charged with, its share of the host's file cache included.
        """
        machines = self._inventory.containers()
        measured = self._engine.api.containers.stats()
        now_s = time.monotonic()
        return {
            machines[stats.id]: _usage(stats, now_s) for stats in measured if stats.id in machines and _active(stats)
        }


def _active(stats: Stats) -> bool:
    # One that doesn't run is listed with zeros.
    return bool(stats.cpu_ns or stats.memory or stats.pids)


def _usage(stats: Stats, now_s: float) -> Usage:
    return Usage(
        time_s=now_s,
        cpu_s=stats.cpu_ns / 1e9,
        memory=Bytes(stats.memory),
        read=Bytes(stats.block_in),
        written=Bytes(stats.block_out),
        received=Bytes(stats.network_in),
        sent=Bytes(stats.network_out),
        processes=stats.pids,
    )
