"""A scenario's result as tables for people: what happened when, and how full each host was.

Rows of text; whoever prints them takes care of the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.spec.units import Bytes

if TYPE_CHECKING:
    from vhal_mock.scenario.result import Result
    from vhal_mock.scenario.sample import Usage

HIDDEN = frozenset({"round", "migrated-in", "migrated-out"})
"""Kinds of entry that ``migrate`` and ``moved`` tell in fewer words."""

MOST_HOSTS = 20
"""Hosts that are shown: those with the busiest moments."""

STORY = ("TIME", "HOST", "MACHINE", "WHAT", "DETAIL")
HOSTS = ("HOST", "CPU MEAN", "CPU PEAK", "MEMORY MEAN", "MEMORY PEAK", "SENT PEAK", "MACHINES")


def story(result: Result) -> list[tuple[str, ...]]:
    """Return what happened, a row each under :data:`STORY`."""
    return [
        (f"{entry.time_s:.2f} s", entry.host, entry.machine, entry.kind, entry.detail)
        for entry in result.entries
        if entry.kind not in HIDDEN
    ]


def hosts(result: Result) -> list[tuple[str, ...]]:
    """Return how full the hosts were, a row each under :data:`HOSTS`."""
    usages = result.samples.hosts
    busiest = sorted(usages, key=lambda name: -max(usages[name].cpus) / usages[name].all_cpus)[:MOST_HOSTS]
    return [_row(name, usages[name]) for name in usages if name in busiest]


def summary(result: Result) -> list[str]:
    """Return what there is to say in a few lines."""
    lines = []
    left_out = len(result.samples.hosts) - MOST_HOSTS
    if left_out > 0:
        lines.append(f"{left_out} hosts that were less busy aren't shown; --json has them")
    if result.moves:
        longest = max(move.total_s for move in result.moves)
        downtime = max(move.downtime_s for move in result.moves)
        lines.append(
            f"{len(result.moves)} moved, in at most {longest:.2f} s, with at most {downtime * 1000:.0f} ms of downtime"
        )
    if result.failures:
        lines.append(f"{len(result.failures)} failed")
    lines += [
        f"{action.action} of {action.machine} was under way at the end, since {action.begun_s:.2f} s"
        for action in result.unfinished
    ]
    return lines


def _row(name: str, usage: Usage) -> tuple[str, ...]:
    def percent(value: float, whole: float) -> str:
        return f"{100 * value / whole:.0f} %"

    count = len(usage.cpus)
    return (
        name,
        percent(sum(usage.cpus) / count, usage.all_cpus),
        percent(max(usage.cpus), usage.all_cpus),
        percent(sum(usage.memory) / count, usage.all_memory),
        percent(max(usage.memory), usage.all_memory),
        f"{Bytes(max(usage.sent))}/s",
        str(usage.machines[-1]),
    )
