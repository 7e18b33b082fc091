"""How the demos tell what happens: a line a step, and a bar while a machine moves."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

import vhal

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
