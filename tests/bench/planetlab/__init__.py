"""A day of PlanetLab's machines: how much energy, how much is short, how many moves, by vhal and by CloudSim's LR-MMT.

The peer's figures are those of CloudSim 4.0's ``LrMmt`` (safety 1.2) on the day 20110303, run as released; another
day is compared with them by its number of machines, since energy and moves grow with it and shares don't. What there
is, is :mod:`tests.bench.planetlab.protocol`; how a day is played in a world of the simulator, by a fleet and a watch,
:mod:`tests.bench.planetlab.day`; what is measured, :mod:`tests.bench.planetlab.outcome`.

Other days are made from each, of a quarter of its machines, and the worst of them is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Ratio
from tests.bench.planetlab.day import Day
from tests.bench.planetlab.outcome import Outcome
from tests.bench.planetlab.protocol import HOSTS
from tests.bench.planetlab.traces import Traces, load, make, others

MACHINES = 1052
LR_MMT = Outcome(energy_kwh=167.83, slatah=0.0572, pdm=0.0000432 / 0.0572, moves=27_649, shortfall=0.0, hosts=0.0)
"""Of 20110303. CloudSim prints SLAV 0.00432 %, SLATAH 5.72 % and PDM 0.08 %: PDM is what is left of SLAV."""
SEED = 20110303
PART = 4
"""Other days have so many times fewer machines and hosts."""


def ratios(data: Path | None = None) -> Iterator[Ratio]:
    """Yield the comparisons.

    Args:
        data: A folder of days. Without one, or where there are none, a day is made up.
    """
    days = (load(data) if data is not None else {}) or {"made up": make(MACHINES, SEED)}
    for name, traces in days.items():
        outcome = Day(traces).run()
        scale = len(traces) / MACHINES
        for what, ours, peer, limit, unit in (
            ("ESV", outcome.esv, LR_MMT.esv * scale, 1.0, "kWh"),
            ("moves", outcome.moves, LR_MMT.moves * scale, 0.2, "moves"),
            ("energy", outcome.energy_kwh, LR_MMT.energy_kwh * scale, 1.0, "kWh"),
            ("time of hosts that are short", outcome.slatah, LR_MMT.slatah, 1.0, "of the time"),
        ):
            yield Ratio(
                f"PlanetLab, {name}, {len(traces):,} machines: {what} / LR-MMT-1.2 in CloudSim",
                ours,
                peer,
                ours / peer,
                limit,
                1,
                str(outcome) if what == "ESV" else "",
                unit,
            )
        yield from worst(name, traces)


def worst(name: str, traces: Traces) -> Iterator[Ratio]:
    """Yield what the worst of the other days comes to, each compared by its number of machines."""
    part = traces[::PART]
    scale = len(part) / MACHINES
    found = {what: Day(day, HOSTS // PART).run() for what, day in others(part, SEED).items()}
    for what, peer, limit, unit in (("esv", LR_MMT.esv, 1.0, "kWh"), ("moves", LR_MMT.moves, 0.2, "moves")):
        of = {day: float(getattr(outcome, what)) for day, outcome in found.items()}
        day = max(of, key=of.__getitem__)
        all_of = ", ".join(f"{each} {of[each] / (peer * scale):.3f}" for each in of)
        yield Ratio(
            f"PlanetLab, {name}, other days of {len(part):,} machines, the worst ({day}): "
            f"{'ESV' if what == 'esv' else what} / LR-MMT-1.2 in CloudSim",
            of[day],
            peer * scale,
            of[day] / (peer * scale),
            limit,
            1,
            f"{found[day]}; {all_of}",
            unit,
        )
