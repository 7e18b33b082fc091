"""A day of PlanetLab's machines: how much energy, how much is short, how many moves, by vhal and by CloudSim's LR-MMT.

The peer's figures are those of CloudSim 4.0's ``LrMmt`` (safety 1.2) on the day 20110303, run as released; another
day is compared with them by its number of machines, since energy and moves grow with it and shares don't. What is
measured and how is :mod:`tests.bench.planetlab.datacenter`; what vhal decides from is
:mod:`tests.bench.planetlab.cooling`.

Each day is played twice: as in CloudSim, where who decides knows what machines want in the five minutes that come,
and late, with only what they wanted in those that are over. Limits are for the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Ratio
from tests.bench.planetlab.cooling import Cooling
from tests.bench.planetlab.datacenter import Datacenter, Outcome
from tests.bench.planetlab.traces import load, make

MACHINES = 1052
LR_MMT = Outcome(energy_kwh=167.83, slatah=0.0572, pdm=0.0000432 / 0.0572, moves=27_649, shortfall=0.0, hosts=0.0)
"""Of 20110303. CloudSim prints SLAV 0.00432 %, SLATAH 5.72 % and PDM 0.08 %: PDM is what is left of SLAV."""
SEED = 20110303


def ratios(data: Path | None = None) -> Iterator[Ratio]:
    """Yield the comparisons.

    Args:
        data: A folder of days. Without one, or where there are none, a day is made up.
    """
    days = (load(data) if data is not None else {}) or {"made up": make(MACHINES, SEED)}
    for name, traces in days.items():
        center = Datacenter(traces)
        known = Datacenter(traces).run(Cooling())
        late = center.run(Cooling(), late=1)
        scale = len(traces) / MACHINES
        note = f"{late}; knowing what comes: {known}"
        for what, ours, peer, limit, unit in (
            ("ESV", late.esv, LR_MMT.esv * scale, 1.0, "kWh"),
            ("moves", late.moves, LR_MMT.moves * scale, 0.2, "moves"),
            ("energy", late.energy_kwh, LR_MMT.energy_kwh * scale, 1.0, "kWh"),
            ("time of hosts that are short", late.slatah, LR_MMT.slatah, 1.0, "of the time"),
        ):
            yield Ratio(
                f"PlanetLab, {name}, {len(traces):,} machines: {what} / LR-MMT-1.2 in CloudSim",
                ours,
                peer,
                ours / peer,
                limit,
                1,
                note if what == "ESV" else "",
                unit,
            )
