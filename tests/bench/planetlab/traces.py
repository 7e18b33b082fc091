"""What the machines of a day want of their processors: recorded on PlanetLab, or made up with like statistics.

A trace is a row of 288 percentages, one for each five minutes. The recordings are a folder's ``*.npy`` (machines × 288,
uint8); none are kept here. What is made up has what matters of them: means that are log-normal over machines, and
noise around each machine's own mean that hardly remembers the last sample.
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
