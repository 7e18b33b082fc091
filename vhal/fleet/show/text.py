"""A fleet and a plan as lines for a terminal of a given width, with bars.

Lines are words with colours; who prints them decides whether there are colours, and whether there is more than ASCII.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import NamedTuple

from vhal.fleet.plan import HostChange, Move, Plan
from vhal.fleet.show.letters import Line, Word, bar, clean, fitted, heat, percent, wide
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

LEAST_BAR = 4
MOST_BAR = 20
NAME = 24
"""Columns that a name may take at most."""

STATUS = {
    HostStatus.UP: "green",
    HostStatus.CORDONED: "yellow",
    HostStatus.DRAINING: "yellow",
    HostStatus.UNREACHABLE: "red",
}


class Shares(NamedTuple):
    """How full a host is: 1 is all of what it has; None isn't known."""

    cpus: float | None
    """Virtual processors given away."""
    memory: float | None
    load: float | None
    """Processors busy."""


def shares(snapshot: FleetSnapshot, host: SeenHost) -> Shares:
    """Return how full a host is. Of one that doesn't answer nothing is known."""
    if host.status is HostStatus.UNREACHABLE:
        return Shares(None, None, None)
    active = [machine for machine in snapshot.on[host.name] if machine.state.active]
    return Shares(
        _share(sum(machine.cpus for machine in active), host.cpus),
        _share(sum(machine.memory for machine in active), host.memory),
        _share(busy(host, active), host.cpus),
    )


def busy(host: SeenHost, active: Sequence[SeenMachine]) -> float | None:
    """Return how many processors of a host are busy: as it says, else by its machines if all of theirs are known."""
    if host.load is not None:
        return host.load.cpus
    loads = [machine.load.cpus for machine in active if machine.load is not None]
    return sum(loads) if len(loads) == len(active) else None


def hosts(snapshot: FleetSnapshot, width: int = 80, plain: bool = False, most: int | None = None) -> list[Line]:
    """Return a table of the hosts: status, machines, and bars of what is given away and used.

    Args:
        snapshot: The fleet.
        width: Columns of the terminal.
        plain: For a terminal that has ASCII only.
        most: So many at most: those that don't answer and the busiest. A last line says how many were left out.
    """
    shown = snapshot.hosts
    if most is not None and len(shown) > most:
        shown = tuple(sorted(shown, key=lambda host: _urgency(snapshot, host))[: max(0, most - 1)])
    names = _width([host.name for host in shown], "HOST")
    states = _width([str(host.status) for host in shown], "STATUS")
    room = (width - names - states - 2 - 8 - 2) // 3 - 7
    bars = min(MOST_BAR, room) if room >= LEAST_BAR else 0
    head = [fitted("HOST", names), "  ", fitted("STATUS", states), "  ", "MACHINES"]
    head += [f"  {title:<{5 + bars if bars else 4}}" for title in ("CPUS", "MEM", "LOAD")]
    lines: list[Line] = [[Word("".join(head).rstrip(), "bold")]]
    for host in shown:
        known = host.status is not HostStatus.UNREACHABLE
        count = str(len(snapshot.on[host.name])) if known else "-"
        line = [
            Word(fitted(host.name, names) + "  "),
            Word(fitted(str(host.status), states) + "  ", STATUS[host.status]),
            Word(fitted(count, 8, right=True)),
        ]
        if not known and host.reason:
            used = names + states + 2 + 8 + 2
            line.append(Word("  " + fitted(host.reason, max(0, width - used - 2)).rstrip(), "red"))
        else:
            full = shares(snapshot, host)
            # More processors than there are may be given away, where that is allowed.
            line += _measured(full.cpus, bars, plain, allowed=host.overcommit)
            line += [*_measured(full.memory, bars, plain), *_measured(full.load, bars, plain)]
        lines.append(line)
    if len(shown) < len(snapshot.hosts):
        lines.append([Word(f"and {len(snapshot.hosts) - len(shown)} less busy ones")])
    return lines


def _urgency(snapshot: FleetSnapshot, host: SeenHost) -> tuple[bool, float, str]:
    return host.status is not HostStatus.UNREACHABLE, -(shares(snapshot, host).load or 0.0), host.name


SORTS: dict[str, Callable[[SeenMachine], tuple[object, ...]]] = {
    "load": lambda machine: (-(machine.load.cpus if machine.load else -1.0), machine.name),
    "memory": lambda machine: (-machine.memory, machine.name),
    "name": lambda machine: (machine.name, machine.host),
    "host": lambda machine: (machine.host, machine.name),
}
"""By what machines can be sorted."""


def machines(
    snapshot: FleetSnapshot, width: int = 80, plain: bool = False, sort: str = "load", most: int | None = None
) -> list[Line]:
    """Return a table of the machines: where they are, what they hold and use.

    Args:
        snapshot: The fleet.
        width: Columns of the terminal.
        plain: For a terminal that has ASCII only.
        sort: One of :data:`SORTS`.
        most: So many at most; a last line says how many were left out.
    """
    found = sorted(snapshot.machines, key=SORTS[sort])
    shown = found if most is None or len(found) <= most else found[: max(0, most - 1)]
    names = _width([machine.name for machine in shown], "MACHINE")
    places = _width([machine.host for machine in shown], "HOST")
    states = _width([str(machine.state) for machine in shown], "STATE")
    room = width - names - places - states - 6 - 4 - 2 - 10 - 2 - 7
    bars = min(MOST_BAR, room) if room >= LEAST_BAR else 0
    head = "  ".join(
        (fitted("MACHINE", names), fitted("HOST", places), fitted("STATE", states), "CPUS", f"{'MEMORY':>10}", "LOAD")
    )
    lines: list[Line] = [[Word(head, "bold")]]
    for machine in shown:
        used = None if machine.load is None else _share(machine.load.cpus, machine.cpus)
        line = [
            Word(fitted(machine.name, names) + "  " + fitted(machine.host, places) + "  "),
            Word(fitted(str(machine.state), states), _colour(machine.state)),
            Word(f"  {machine.cpus:>4}  {machine.memory!s:>10}"),
        ]
        lines.append([*line, *_measured(used, bars, plain)])
    if len(shown) < len(found):
        lines.append([Word(f"and {len(found) - len(shown)} more")])
    return lines


def plan(made: Plan, width: int = 80, plain: bool = False) -> list[Line]:
    """Return a plan: its moves with reasons and costs, hosts before and after, how good it could be, notes."""
    lines: list[Line] = [[Word(summary(made), "bold")]]
    for place, move in enumerate(made.moves):
        cost = told(move)
        head = f"{place + 1:>3}. {_short(move.machine)}"
        lines.append([Word(head), Word("  " + way(move, plain), "cyan"), Word(f"  {cost}")])
        after = f"after {', '.join(str(each + 1) for each in move.after)}: " if move.after else ""
        lines += _wrapped(f"{after}{move.reason}", width, "     ")
    if made.hosts:
        lines += [[], *changes(made.hosts, width, plain)]
    if made and made.bound is not None:
        lines += [[], *_wrapped(bounded(made), width)]
    for note in made.notes:
        lines += _wrapped(note, width)
    return lines


def _wrapped(text: str, width: int, indent: str = "") -> list[Line]:
    """Return a sentence on as many lines as it needs."""
    room = max(20, width - len(indent))
    return [[Word(indent + line)] for line in wrap(clean(text), room)]


def moves(under_way: Sequence[Move], width: int = 80, plain: bool = False) -> list[Line]:
    """Return the moves that are under way, a line each: what, from where to where, how much, why."""
    lines: list[Line] = []
    for move in under_way:
        words = [Word(_short(move.machine)), Word("  " + way(move, plain), "cyan"), Word(f"  {move.memory}")]
        used = sum(wide(word.text) for word in words)
        lines.append([*words, Word("  " + fitted(move.reason, max(0, width - used - 2)).rstrip())])
    return lines


def way(move: Move, plain: bool = False) -> str:
    """Return from where to where a machine moves."""
    return f"{_short(move.source)} {'->' if plain else '→'} {_short(move.destination)}"


def changes(changed: Sequence[HostChange], width: int = 80, plain: bool = False) -> list[Line]:
    """Return hosts before and after a plan, a bar each for what is worst of them: the load, or memory given away."""
    names = _width([change.host for change in changed], "HOST")
    measured = all(change.load is not None for change in changed)
    room = (width - names - 10 - 2 * 9) // 2
    bars = min(MOST_BAR, room) if room >= LEAST_BAR else 0
    title = "LOAD" if measured else "MEMORY"
    lines: list[Line] = [
        [Word(f"{fitted('HOST', names)}  MACHINES  {title + ' BEFORE':<{bars + 7}}{title + ' AFTER'}".rstrip(), "bold")]
    ]
    for change in changed:
        before, after = change.load if measured and change.load is not None else change.memory
        count = f"{change.machines[0]} {'->' if plain else '→'} {change.machines[1]}"
        line = [Word(f"{fitted(change.host, names)}  {fitted(count, 8)}")]
        lines.append([*line, *_measured(before, bars, plain), *_measured(after, bars, plain)])
    return lines


def most_changed(changed: Sequence[HostChange], most: int) -> list[HostChange]:
    """Return the hosts that a plan changes, those that it changes most first, and so many at most."""

    def change(host: HostChange) -> float:
        pairs = (host.load or (0.0, 0.0), host.memory, host.cpus)
        return max(abs(after - before) for before, after in pairs)

    return sorted(changed, key=change, reverse=True)[:most]


def summary(made: Plan) -> str:
    """Return in a line how many moves a plan has, and what they cost."""
    if not made:
        return f"{made.kind}: nothing to move"
    count = f"{len(made.moves)} move{'s' if len(made.moves) != 1 else ''}"
    took = sum(move.total_s for move in made.moves)
    told_s = f", {took:.0f} s one after the other" if took else ""
    score = f", score {made.score[0]:.4g} to {made.score[1]:.4g}" if made.score != (0.0, 0.0) else ""
    return f"{made.kind}: {count}, {made.memory} of memory{told_s}{score}"


def told(move: Move) -> str:
    """Return what a move costs, in words."""
    time = f", {move.total_s:.1f} s, {move.downtime_s * 1000:.0f} ms of downtime" if move.total_s else ""
    return f"{move.transferred}{time}"


def bounded(made: Plan) -> str:
    """Return how far a plan is from the best there could be, in words; empty where that isn't known."""
    if made.bound is None:
        return ""
    bound = made.bound
    times = f" ({made.memory / bound.transferred:.2f} times that)" if bound.transferred else ""
    return (
        f"bound: no placement scores below {bound.score:.4g}; none as good moves less than "
        f"{Bytes(int(bound.transferred))}{times}; {bound.method}"
    )


def _measured(share: float | None, bars: int, plain: bool, allowed: float = 1.0) -> list[Word]:
    drawn = f"{bar(share, bars, plain)} " if bars else ""
    return [Word("  "), Word(drawn, heat(None if share is None else share / allowed)), Word(percent(share))]


def _colour(state: MachineState) -> str:
    colours = {MachineState.RUNNING: "green", MachineState.MIGRATING: "yellow", MachineState.CRASHED: "red"}
    return colours.get(state, "")


def _share(part: float | None, whole: float) -> float | None:
    return part / whole if part is not None and whole else None


def _short(name: str) -> str:
    return fitted(name, min(NAME, wide(clean(name))))


def _width(names: Sequence[str], header: str) -> int:
    return min(NAME, max(wide(clean(name)) for name in [header, *names]))
