"""What is on the page of a plan: its moves with reasons and costs, hosts before and after, and how good it could be."""

from __future__ import annotations

from collections.abc import Sequence

from vhal.driver.page import Bars, Facts, Grid, Page, Part, Words
from vhal.fleet.plan import HostChange, Plan
from vhal.fleet.show.letters import HOT
from vhal.fleet.show.text import bounded, most_changed, shares, summary
from vhal.fleet.snapshot import FleetSnapshot

MOST_BARS = 60
"""Hosts that are drawn: those that change most."""
MOVES = ("#", "MACHINE", "FROM", "TO", "MEMORY", "SENT", "TIME", "DOWNTIME", "AFTER", "WHY")
HOSTS = ("HOST", "STATUS", "MACHINES", "CPUS", "MEMORY", "LOAD", "WHY")


def of_plan(plan: Plan, snapshot: FleetSnapshot | None = None) -> Page:
    """Return the page of a plan.

    Args:
        plan: What is planned.
        snapshot: What it was made from, to show the hosts, too.
    """
    parts: list[tuple[str, Part]] = [("", Facts(_figures(plan)))]
    parts += [("", Words(note)) for note in plan.notes]
    if plan.moves:
        parts.append(("Moves", _moves(plan)))
    changed = most_changed(plan.hosts, MOST_BARS)
    if any(change.load is not None for change in changed):
        loads = {change.host: change.load or (None, None) for change in changed}
        parts.append(("Processors busy", Bars(loads, HOT)))
    if plan.hosts:
        parts.append(("Processors given away", Bars({change.host: change.cpus for change in changed})))
        parts.append(("Memory given away", Bars({change.host: change.memory for change in changed})))
        parts.append(("Machines", _counts(plan.hosts)))
    if len(changed) < len(plan.hosts):
        parts.append(("", Words(f"{len(plan.hosts) - len(changed)} hosts that change less aren't drawn")))
    if plan.bound is not None:
        parts.append(("How good could it be?", Words(bounded(plan))))
    if snapshot is not None:
        parts.append(("The fleet before", _hosts(snapshot)))
    return Page(f"Plan: {summary(plan)}", parts)


def _figures(plan: Plan) -> dict[str, str]:
    figures = {"moves": str(len(plan.moves)), "memory of what moves": str(plan.memory)}
    if any(move.total_s for move in plan.moves):
        figures["one after the other"] = f"{sum(move.total_s for move in plan.moves):.0f} s"
        figures["longest downtime"] = f"{max(move.downtime_s for move in plan.moves) * 1000:.0f} ms"
    if plan.score != (0.0, 0.0):
        figures["score before"], figures["after"] = (f"{score:.4g}" for score in plan.score)
    if plan.bound is not None:
        figures["no plan below"] = f"{plan.bound.score:.4g}"
    return {**figures, "snapshot": plan.snapshot}


def _moves(plan: Plan) -> Grid:
    rows = [
        (
            str(place + 1),
            move.machine,
            move.source,
            move.destination,
            str(move.memory),
            str(move.transferred),
            f"{move.total_s:.1f} s" if move.total_s else "-",
            f"{move.downtime_s * 1000:.0f} ms" if move.total_s else "-",
            ", ".join(str(each + 1) for each in move.after),
            move.reason,
        )
        for place, move in enumerate(plan.moves)
    ]
    return Grid(MOVES, rows, frozenset({"#", "MEMORY", "SENT", "TIME", "DOWNTIME"}))


def _counts(changes: Sequence[HostChange]) -> Grid:
    rows = [(change.host, str(change.machines[0]), str(change.machines[1])) for change in changes]
    return Grid(("HOST", "MACHINES BEFORE", "AFTER"), rows, frozenset({"MACHINES BEFORE", "AFTER"}))


def _hosts(snapshot: FleetSnapshot) -> Grid:
    def row(name: str) -> Sequence[str]:
        host = snapshot.host(name)
        told = ["-" if share is None else f"{share:.0%}" for share in shares(snapshot, host)]
        known = any(share != "-" for share in told) or not host.reason
        return (name, str(host.status), str(len(snapshot.on[name])) if known else "-", *told, host.reason)

    return Grid(HOSTS, [row(host.name) for host in snapshot.hosts], frozenset(HOSTS[2:6]))
