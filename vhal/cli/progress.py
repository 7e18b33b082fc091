"""An operation followed to its end: a bar on a terminal, plain lines elsewhere, and what Ctrl-C does.

The operation itself is :class:`vhal.Operation`; nothing of its logic is here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import click

from vhal.cli.context import Session
from vhal.cli.output import clean, is_terminal
from vhal.driver.context import Progress
from vhal.errors import OperationAborted
from vhal.operation import Operation

T = TypeVar("T")


def follow(session: Session, operation: Operation[T], abort_after_s: float | None = None) -> T:
    """Show an operation's progress until it has ended, and return its result or raise its error.

    Ctrl-C aborts it and waits until what it began is undone.

    Args:
        session: Says whether anything is to be shown.
        operation: Under way.
        abort_after_s: Abort it after this many seconds.
    """
    with ExitStack() as stack:
        if abort_after_s is not None:
            timer = threading.Timer(abort_after_s, operation.abort)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
        try:
            with _display(session) as display:
                for progress in operation.updates():
                    display(progress)
            return operation.result()
        except KeyboardInterrupt:
            return _abort(session, operation)


def _abort(session: Session, operation: Operation[T]) -> T:
    operation.abort()
    session.note("aborting; what was begun is undone first")
    try:
        result = operation.result()
    except OperationAborted as error:
        raise click.Abort from error
    session.note("it was too late to abort")
    return result


@contextmanager
def _display(session: Session) -> Iterator[Callable[[Progress], None]]:
    with ExitStack() as stack:
        if session.silent:
            yield lambda progress: None
        elif is_terminal(sys.stderr):
            yield bar(stack)
        else:
            yield lines(session)


def lines(session: Session) -> Callable[[Progress], None]:
    """Return what prints a line for each phase, and for each pass over the memory."""
    seen: list[tuple[str, int | None]] = []

    def show(progress: Progress) -> None:
        place = (progress.phase, progress.iteration)
        if place not in seen:
            seen.append(place)
            session.note(f"{progress.phase}: {amount(progress)}".removesuffix(": "))

    return show


def bar(stack: ExitStack) -> Callable[[Progress], None]:
    """Return what draws a bar on stderr until ``stack`` is left; nothing is drawn before the first report."""
    started: list[Callable[[Progress], None]] = []

    def begin() -> Callable[[Progress], None]:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        drawn = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            console=Console(file=sys.stderr),
            transient=True,
        )
        task = stack.enter_context(drawn).add_task("", total=None, amount="")

        def draw(progress: Progress) -> None:
            fraction = progress.fraction
            drawn.update(
                task,
                description=clean(progress.phase),
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                amount=clean(amount(progress)),
            )

        return draw

    def show(progress: Progress) -> None:
        if not started:
            started.append(begin())
        started[0](progress)

    return show


def amount(progress: Progress) -> str:
    """Return how far a phase has come, in words."""
    from vhal.spec.units import Bytes

    said = [progress.message] if progress.message else []
    if progress.fraction is not None:
        said.append(f"{progress.fraction:.0%}")
    if progress.done is not None:
        said.append(str(Bytes(progress.done)) + (f" of {Bytes(progress.total)}" if progress.total else ""))
    if progress.rate is not None:
        said.append(f"{Bytes(progress.rate)}/s")
    if progress.iteration is not None:
        said.append(f"pass {progress.iteration}")
    return ", ".join(said)
