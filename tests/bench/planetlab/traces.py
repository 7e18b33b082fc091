"""What the machines of a day want of their processors: recorded on PlanetLab, or made up with like statistics.

A trace is a row of 288 percentages, one for each five minutes. The recordings are a folder's ``*.npy`` (machines × 288,
uint8); none are kept here. What is made up has what matters of them: means that are log-normal over machines, and
noise around each machine's own mean that hardly remembers the last sample.

Other days are made from a day, so that nothing is tuned to one: the same machines in another order or at other times of
the day, a fleet that works by day and rests by night, one in which many are busy at once now and then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STEPS = 288
STEP_S = 300.0

Traces = NDArray[np.uint8]


def load(folder: Path) -> dict[str, Traces]:
    """Return the days in a folder and those below, by the names of their files."""
    days = {path.stem: np.load(path) for path in sorted(folder.rglob("*.npy"))}
    for name, day in days.items():
        if day.dtype != np.uint8 or day.ndim != 2 or day.shape[1] != STEPS:
            raise SystemExit(f"{folder}/{name}.npy is no day: machines × {STEPS} bytes are wanted, not {day.shape}")
    return days


def make(machines: int, seed: int) -> Traces:
    """Return a made-up day.

    The figures are those of ten recorded days: logarithms of means around 1.9 ± 1.1, a spread of 1.2 times the mean for
    idle machines and of 0.2 times for busy ones, a correlation of 0.08 from one sample to the next.
    """
    chance = np.random.default_rng(seed)
    means = np.clip(np.exp(chance.normal(1.93, 1.09, machines)), 0.3, 80.0)
    spread = np.clip(2.0 * means**-0.5, 0.2, 1.3)
    shape = 1 / spread**2
    noise = chance.gamma(shape[:, None], (means * spread**2)[:, None], (machines, STEPS))
    remembered = noise.copy()
    remembered[:, 1:] = 0.92 * noise[:, 1:] + 0.08 * noise[:, :-1]
    return np.clip(np.rint(remembered), 0, 100).astype(np.uint8)


def others(day: Traces, seed: int) -> dict[str, Traces]:
    """Return other days, by what they are like; each has as many machines as ``day``."""
    chance = np.random.default_rng(seed)
    machines = len(day)
    phases = chance.integers(0, STEPS, machines)
    return {
        "shuffled": chance.permutation(day),
        "shifted": np.array([np.roll(row, by) for row, by in zip(day, phases, strict=True)]),
        "made up": make(machines, seed),
        "day and night": _scaled(day, 1 + 0.8 * np.sin(2 * np.pi * np.arange(STEPS) / STEPS - np.pi / 2)),
        "busy at once": _busy_at_once(day, chance),
    }


def _scaled(day: Traces, factor: NDArray[np.float64]) -> Traces:
    return np.clip(np.rint(day * factor), 0, 100).astype(np.uint8)


def _busy_at_once(day: Traces, chance: np.random.Generator) -> Traces:
    """Return a day in which a third of the machines have 40 % more to do for half an hour, eight times."""
    changed = day.astype(np.int64)
    for begin in chance.integers(0, STEPS - 6, 8):
        some = chance.random(len(day)) < 1 / 3
        changed[some, begin : begin + 6] += 40
    return np.minimum(changed, 100).astype(np.uint8)
