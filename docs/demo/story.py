"""How the demos tell what happens: a line a step, and a bar while a machine moves."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

import vhal
from vhal.fleet.moves.applied import Applied, ApplySettings, MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.fleet.plan import Plan
from vhal.fleet.show import text
from vhal.fleet.show.letters import Line
from vhal.fleet.snapshot import FleetSnapshot
from vhal.journal import Journal

console = Console(highlight=False)


def step(text: str) -> None:
    """Tell one step."""
    console.print(f"[bold cyan]▸[/] {text}")


def hosts(connections: Sequence[vhal.Host]) -> None:
    """Show which machines are where."""
    table = Table("host", "processors", "memory used", "machines")
    for host in connections:
        info = host.info()
        names = ", ".join(f"{m.name} ({m.seen.state})" for m in host.machines()) or "–"
        used = f"{info.allocated.memory} of {info.capacity.memory}"
        table.add_row(info.name, f"{info.allocated.cpus} of {info.capacity.cpus}", used, names)
    console.print(table)


def move(vm: vhal.Machine, to: vhal.Host, policy: vhal.MigrationPolicy | None = None) -> vhal.MigrationResult:
    """Migrate with a bar."""
    operation = vhal.begin(vm.migrate, to, policy)
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(True), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("offer", total=None)
        told = ""
        for progress in operation.updates():
            phase = progress.phase if progress.iteration is None else f"{progress.phase}, pass {progress.iteration}"
            bar.update(task, description=phase)
            if bar.disable and phase != told:
                console.print(f"  {phase}")
                told = phase
            if progress.total:
                bar.update(task, completed=progress.done, total=progress.total)
    result = operation.result()
    passes = f"{result.iterations} pass{'' if result.iterations == 1 else 'es'}"
    step(
        f"moved in [bold]{result.total_s:.2f} s[/]: {result.transferred} in {passes}, "
        f"[bold green]downtime {result.downtime_s * 1000:.0f} ms[/]"
    )
    return result


def lines(shown: Iterable[Line]) -> None:
    """Show what vhal has words for."""
    for line in shown:
        console.print(Text.assemble("  ", *((word.text, word.colour) for word in line)))


def fleet(snapshot: FleetSnapshot) -> None:
    """Show a fleet's hosts with bars."""
    lines(text.hosts(snapshot, console.width - 2))


def carry(plan: Plan, hosts: vhal.Fleet, settings: ApplySettings | None = None) -> Applied:
    """Carry a plan out, with a bar for each move."""
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(True), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not sys.stdout.isatty()) as bars, TemporaryDirectory() as folder:
        tasks = {}

        def show(event: MoveEvent) -> None:
            move = event.move
            if event.kind == "begun":
                tasks[event.place] = bars.add_task(f"{move.machine}: {move.source} → {move.destination}", total=None)
            elif event.progress is not None and event.progress.total:
                bars.update(tasks[event.place], completed=event.progress.done, total=event.progress.total)
            elif event.result is not None:
                result = event.result
                console.print(
                    f"  {move.machine}: {move.source} → {move.destination}: {result.outcome} in {result.seconds:.2f} s,"
                    f" downtime [bold green]{result.downtime_s * 1000:.0f} ms[/]"
                )

        # A journal of its own: the demo leaves nothing behind.
        with Journal(Path(folder) / "journal.sqlite") as journal:
            return apply(plan, hosts, settings, journal=journal, on_event=show).check()
