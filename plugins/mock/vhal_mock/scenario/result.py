"""What came of a scenario: plain values, for programs; ``timeline`` and ``plot`` show them to people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vhal_mock.log import Entry
from vhal_mock.scenario.sample import Samples

DIGITS = 6
"""Decimals of the seconds that are told: what is behind them is no measurement."""


@dataclass(frozen=True, slots=True)
class Move:
    """A migration that succeeded."""

    machine: str
    source: str
    destination: str
    begun_s: float
    """Virtual seconds after the beginning."""
    total_s: float
    downtime_s: float
    transferred: int
    """Bytes."""
    iterations: int
    live: bool
    """Whether it ran while it moved."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that failed; the scenario went on."""

    event: str
    """Which: ``events[3]``."""
    action: str
    host: str
    """Where it was tried; empty if the machine was nowhere."""
    machine: str
    begun_s: float
    ended_s: float
    code: str
    """The error's."""
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An action that was under way at the end."""

    event: str
    action: str
    machine: str
    begun_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A machine at the end."""

    host: str
    machine: str
    state: str


@dataclass(frozen=True, slots=True)
class Result:
    """What happened, what was used, what moved, and what didn't work."""

    seed: int
    until_s: float
    entries: tuple[Entry, ...]
    """The world's log from the beginning of the story on, with the runner's own words in it: ``migrate`` and ``moved``
    around a migration, ``failed`` for what didn't work."""
    samples: Samples
    moves: tuple[Move, ...]
    failures: tuple[Failure, ...]
    unfinished: tuple[Unfinished, ...]
    machines: tuple[Standing, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready: the same for the same scenario and seed."""
        return {
            "seed": self.seed,
            "until_s": self.until_s,
            "entries": [entry.as_dict() for entry in self.entries],
            "samples": self.samples.as_dict(),
            "migrations": [_rounded(asdict(move)) for move in self.moves],
            "failures": [_rounded(asdict(failure)) for failure in self.failures],
            "unfinished": [_rounded(asdict(action)) for action in self.unfinished],
            "machines": [asdict(standing) for standing in self.machines],
        }


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in fields.items()}
