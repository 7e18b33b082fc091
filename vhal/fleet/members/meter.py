"""What machines use, smoothed over time: a fleet shall not be rearranged for a burst of ten seconds.

Usage comes as counters (:mod:`vhal.spec.usage`); a rate is the difference of two samples over the host's own clock, so
a simulated host's time counts as its own. The average is exponentially weighted: a sample after ``t`` seconds replaces
``1 - 0.5 ** (t / half_life_s)`` of what was known (Hunter, The Exponentially Weighted Moving Average, 1986, with the
weight for samples that aren't equally far apart).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vhal.fleet.snapshot import Load
from vhal.spec.usage import Rates, Usage, rates

HALF_LIFE_S = 300.0
"""After so long, half of what was known is forgotten. VMware DRS looks at the last 5 minutes, oVirt acts after 5."""

Key = tuple[str, str]
"""Backend and id of a machine."""


@dataclass(slots=True)
class _Track:
    host: str
    sample: Usage
    load: Load | None = None


class Meter:
    """The smoothed load of machines, learned sample by sample.

    Concurrency: one thread at a time.

    Args:
        half_life_s: Seconds; the smaller, the faster it follows.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self.half_life_s = half_life_s
        self._tracks: dict[Key, _Track] = {}

    def note(self, host: str, backend: str, usage: Mapping[str, Usage]) -> None:
        """Take a sample of the machines of one host.

        Args:
            host: Its uuid: counters of two hosts aren't compared.
            backend: Name.
            usage: Machine's id → counters.
        """
        for id_, sample in usage.items():
            track = self._tracks.setdefault((backend, id_), _Track(host, sample))
            if track.host == host:
                rate = rates(track.sample, sample)
                if rate.cpus is not None:
                    track.load = self._smoothed(track.load, rate, sample)
            track.host, track.sample = host, sample

    def load(self, backend: str, id: str) -> Load | None:
        """Return what a machine uses, or None if it wasn't measured twice yet."""
        track = self._tracks.get((backend, id))
        return None if track is None else track.load

    def keep(self, keys: Iterable[Key]) -> None:
        """Forget all other machines."""
        self._tracks = {key: self._tracks[key] for key in keys if key in self._tracks}

    def _smoothed(self, before: Load | None, rate: Rates, sample: Usage) -> Load:
        now = {
            "cpus": rate.cpus or 0.0,
            "memory": float(sample.memory or 0),
            "disk": (rate.read or 0.0) + (rate.written or 0.0),
            "network": (rate.received or 0.0) + (rate.sent or 0.0),
        }
        if before is None:
            return Load(**now)
        new = 1 - 0.5 ** (rate.seconds / self.half_life_s)
        return Load(**{name: getattr(before, name) * (1 - new) + value * new for name, value in now.items()})
