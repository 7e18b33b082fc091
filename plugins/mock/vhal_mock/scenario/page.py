"""A scenario's result as a page for people: how full the hosts were, what moved, what went wrong, and the whole story.

What is on it is here; how it is drawn is the command line's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver.page import Facts, Grid, Lines, Page, Part, Strip, Words
from vhal.spec.units import Bytes
from vhal_mock.scenario import timeline
from vhal_mock.scenario.mark import marks

if TYPE_CHECKING:
    from vhal_mock.scenario.result import Result

MOST_ENTRIES = 2000
"""Lines of the story that a page has; ``--json`` has all."""
MOST_MARKS = 200
"""Moves and troubles that are drawn."""

MOVES = ("BEGUN", "MACHINE", "FROM", "TO", "TIME", "DOWNTIME", "SENT", "PASSES")
FAILURES = ("TIME", "ACTION", "MACHINE", "HOST", "WHAT", "HINT")


def page(result: Result, title: str) -> Page:
    """Return the page of a result.

    Args:
        result: Of a run.
        title: What the scenario is called.
    """
    usages = result.samples.hosts
    times = result.samples.times_s
    cpus = {name: [busy / usage.all_cpus for busy in usage.cpus] for name, usage in usages.items()}
    memory = {name: [held / usage.all_memory for held in usage.memory] for name, usage in usages.items()}
    parts: list[tuple[str, Part]] = [
        ("", Facts(_figures(result))),
        ("Processors busy", Lines(times, cpus)),
        ("Memory promised", Lines(times, memory)),
    ]
    found = marks(result)
    if found:
        parts.append(("Moves and troubles", Strip(result.until_s, found[:MOST_MARKS])))
    if len(found) > MOST_MARKS:
        parts.append(("", Words(f"{len(found) - MOST_MARKS} later ones aren't drawn")))
    parts.append(("Hosts", Grid(timeline.HOSTS, timeline.hosts(result), frozenset(timeline.HOSTS[1:]))))
    if result.moves:
        parts.append(("Moves", _moves(result)))
    if result.failures:
        parts.append(("What failed", _failures(result)))
    story = timeline.story(result)
    parts.append(("What happened", Grid(timeline.STORY, story[:MOST_ENTRIES], frozenset(timeline.STORY[:1]))))
    if len(story) > MOST_ENTRIES:
        parts.append(("", Words(f"{len(story) - MOST_ENTRIES} later lines are left out; --json has them")))
    return Page(title, parts)


def _figures(result: Result) -> dict[str, str]:
    figures = {
        "virtual time": f"{result.until_s:g} s",
        "hosts": str(len(result.samples.hosts)),
        "machines": str(len(result.machines)),
        "moves": str(len(result.moves)),
        "failures": str(len(result.failures)),
        "seed": str(result.seed),
    }
    if result.moves:
        figures["longest downtime"] = f"{max(move.downtime_s for move in result.moves) * 1000:.0f} ms"
        figures["sent by moves"] = str(Bytes(sum(move.transferred for move in result.moves)))
    return figures


def _moves(result: Result) -> Grid:
    rows = [
        (
            f"{move.begun_s:.2f} s",
            move.machine,
            move.source,
            move.destination,
            f"{move.total_s:.2f} s",
            f"{move.downtime_s * 1000:.0f} ms",
            str(Bytes(move.transferred)),
            str(move.iterations),
        )
        for move in result.moves
    ]
    return Grid(MOVES, rows, frozenset({"BEGUN", "TIME", "DOWNTIME", "SENT", "PASSES"}))


def _failures(result: Result) -> Grid:
    rows = [
        (f"{each.ended_s:.2f} s", each.action, each.machine, each.host, f"{each.code}: {each.message}", each.hint)
        for each in result.failures
    ]
    return Grid(FAILURES, rows, frozenset(FAILURES[:1]))
