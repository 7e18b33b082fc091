"""Steps of the engine that are parts of something longer: what is told of them, or that nothing is.

A paused machine is unpaused to be saved, one that arrives is created and restored, one whose memory is kept is
checkpointed. The engine tells of each step; to whoever listens here they aren't what happened. Which event belongs to
which call, the time says that the engine gives it: its clock is ours where it is on this machine, and near it
elsewhere. Other connections don't know, and tell of the steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from vhal.driver import EventKind

Meanings = Mapping[str, EventKind | None]
"""The engine's action → what is told of it; None for nothing."""

_MOST = 1000


@dataclass(slots=True)
class _Span:
    machine: str
    meanings: Meanings
    begun_ns: int
    ended_ns: int | None = None


class Steps:
    """The calls of one driver that are under way, or were lately. Safe to use from several threads."""

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque(maxlen=_MOST)

    def begin(self, machine: str, meanings: Meanings) -> None:
        """Let these actions of a machine mean something else until :meth:`end`."""
        self._spans.append(_Span(machine, meanings, time.time_ns()))

    def end(self, machine: str) -> None:
        """End what was begun for a machine. Does nothing if there is nothing."""
        for span in tuple(self._spans):
            if span.machine == machine and span.ended_ns is None:
                span.ended_ns = time.time_ns()

    @contextmanager
    def meaning(self, machine: str, meanings: Meanings) -> Iterator[None]:
        """Let these actions of a machine mean something else while the block runs."""
        self.begin(machine, meanings)
        try:
            yield
        finally:
            self.end(machine)

    def of(self, machine: str, action: str, time_ns: int) -> Meanings | None:
        """Return what an action of that time means, or None if it is a part of nothing."""
        for span in tuple(self._spans):
            begun = span.begun_ns <= time_ns
            if span.machine == machine and begun and (span.ended_ns is None or time_ns <= span.ended_ns):
                return span.meanings if action in span.meanings else None
        return None
