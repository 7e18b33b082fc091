"""The balancer against Ganeti's hbal (Debian: ``ganeti-htools``), on the same files, scored by one scorer.

A ratio is a share of the peer's: of its score, moves, GiB moved, seconds of processor time. Fleets are made anew, with
several seeds; ``--data`` names a folder of others in Ganeti's format (``NAME.data`` and ``NAME.util``). hbal takes
minutes at 50 hosts and half an hour at 100, so more than 20 hosts are only tried where ``--hbal-hosts`` allows it; what
didn't run is said, and no number of an earlier run stands for it.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Ratio
from vhal.fleet.balance import plan_balance
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.score import objective
from vhal.fleet.formats import ganeti
from vhal.fleet.formats.sample import sample
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.plan import Plan
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot

MODES = {"ganeti": ["--ignore-dynu"], "ganeti-util": ["-U"], "ganeti-default": []}
SHAPES = {"20 hosts": {}, "20 hosts of three sizes": {"sizes": (0.5, 1.0, 2.0)}, "20 tight hosts": {"fill": 0.85}}
_MOVE = re.compile(r"^\s*\d+\.\s+(\S+)\s+\S+\s+=>\s+(\S+)")
_FINAL = re.compile(r"^(?:Final coefficients:\s+overall|Cluster score improved from \S+ to) ([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """What hbal did."""

    score: float
    moves: int
    gib: float
    seconds: float


def hbal(data: Path, util: Path, mode: str, snapshot: FleetSnapshot) -> Peer:
    """Run hbal, and recompute its score from its moves with our scorer; they must agree.

    Raises:
        AssertionError: The two scores differ.
    """
    options = [*MODES[mode], *([str(util)] if mode == "ganeti-util" else [])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    ran = subprocess.run(["hbal", "-t", str(data), *options, "-vv"], capture_output=True, text=True, check=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    steps = [(found[1], found[2]) for line in ran.stdout.splitlines() if (found := _MOVE.match(line))]
    problem = Problem.of(snapshot)
    number = {machine.name: place for place, machine in enumerate(problem.machines)}
    hosts = {host.name: place for place, host in enumerate(problem.hosts)}
    at = problem.home.copy()
    for machine, host in steps:
        at[number[machine]] = hosts[host]
    score = objective(problem, mode).score(at)
    told = float(_FINAL.findall(ran.stdout)[-1])
    assert abs(score - told) < 2e-6, f"hbal says {told}, and we compute {score}"
    return Peer(score, len(steps), sum(float(problem.memory[number[machine]]) for machine, _ in steps), seconds)


def _like(mode: str, most: int | None = None, *, thorough: bool = False) -> BalanceSettings:
    wanted = {"objective": mode, "max_moves": most, "margin": 0, "thorough": thorough}
    return BalanceSettings.model_validate(wanted)


def planned(snapshot: FleetSnapshot, wanted: BalanceSettings) -> tuple[Plan, float]:
    """Return a plan, and the seconds of processor time it took."""
    begun = time.process_time()
    plan = plan_balance(snapshot, wanted)
    return plan, time.process_time() - begun


def ratio(name: str, ours: float, peer: float, limit: float, unit: str, note: str = "") -> Ratio:
    """Return a share that isn't one of seconds."""
    return Ratio(name, ours, peer, ours / peer if peer else float(ours > 0), limit, 1, note, unit)


def against(name: str, data: Path, util: Path, speed: bool) -> Iterator[Ratio]:
    """Compare both on one fleet, in hbal's three modes."""
    snapshot = ganeti.read(data, util)
    for mode in MODES:
        peer = hbal(data, util, mode, snapshot)
        what = f"{name}, {' '.join(MODES[mode]) or 'hbal alone'}"
        plan, seconds = planned(snapshot, _like(mode, peer.moves))
        yield ratio(f"{what}: score / hbal's", plan.score[1], peer.score, 1.0, "score")
        yield ratio(f"{what}: moves / hbal's", len(plan.moves), peer.moves, 1.0, "moves")
        yield ratio(f"{what}: GiB moved / hbal's", plan.memory / (1 << 30), peer.gib, 0.9, "GiB")
        if plan.bound is not None:
            bound = plan.bound.transferred / (1 << 30)
            yield ratio(f"{what}: GiB moved / the bound", plan.memory / (1 << 30), bound, 1.25, "GiB")
        limit = 0.001 if speed else 1.0
        yield Ratio(f"{what}: planned / hbal", seconds, peer.seconds, seconds / peer.seconds, limit, 1, "CPU seconds")
        if speed:
            longer, seconds = planned(snapshot, _like(mode, peer.moves, thorough=True))
            note = f"{seconds:.1f} CPU seconds, score {longer.score[1] / peer.score:.2f} of hbal's"
            moved = longer.memory / (1 << 30)
            yield ratio(f"{what}: GiB moved, thorough / hbal's", moved, peer.gib, 0.9, "GiB", note)
        deep, _ = planned(snapshot, _like(mode))
        yield ratio(
            f"{what}: score without a limit / hbal's",
            deep.score[1],
            peer.score,
            0.5,
            "score",
            f"{len(deep.moves)} moves",
        )


def large(hosts: int, machines: int, limit_s: float, most: int | None, worst: float | None) -> Iterator[Ratio]:
    """Plan for a fleet that hbal can't."""
    snapshot = sample(hosts, machines, seed=1)
    plan, seconds = planned(snapshot, BalanceSettings(objective="ganeti", max_moves=most, budget_s=10 * limit_s))
    name = f"{hosts:,} hosts, {machines:,} machines"
    note = f"score {plan.score[1]:.4f}, {len(plan.moves):,} moves, {plan.memory / (1 << 40):.1f} TiB"
    yield Ratio(f"{name}: planned / {limit_s:g} s", seconds, limit_s, seconds / limit_s, 1.0, 1, f"CPU seconds; {note}")
    if worst is not None:
        yield ratio(f"{name}: score / {worst:g}", plan.score[1], worst, 1.0, "score", note)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    yield ratio(f"{name}: memory / 1 GiB", peak, 1.0, 1.0, "GiB", "of this process, with all before")


def emptied(limit_s: float = 0.1) -> Ratio:
    """Plan to empty the fullest of 1,000 hosts."""
    snapshot = sample(1000, 10_000, seed=2)
    fullest = max(snapshot.on, key=lambda each: len(snapshot.on[each]))
    begun = time.process_time()
    plan = plan_drain(snapshot, [fullest])
    seconds = time.process_time() - begun
    note = f"{len(plan.moves)} moves, {len(plan.notes)} without a place"
    return Ratio("one of 1,000 hosts emptied / 100 ms", seconds, limit_s, seconds / limit_s, 1.0, 1, note)


def quiet(rounds: int = 200) -> Ratio:
    """Count the moves after the third of many rounds of unchanged load."""
    snapshot = sample(20, 200, seed=3)
    late = 0
    for number in range(rounds):
        plan = plan_balance(snapshot)
        late += len(plan.moves) if number >= 3 else 0
        at = {move.id: move.destination for move in plan.moves}
        if at:
            machines = tuple(each.replace(host=at.get(each.id, each.host)) for each in snapshot.machines)
            snapshot = snapshot.replace(machines=machines)
    return ratio(f"moves after the third of {rounds} rounds of unchanged load", late, 1.0, 0.0, "moves")


def fleets(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield name, data and load of fleets: made anew, and of the folder that is named."""
    for shape, facts in SHAPES.items():
        for seed in (1, 2):
            data, util = folder / f"{shape}{seed}.data", folder / f"{shape}{seed}.util"
            ganeti.write(sample(20, 200, seed=seed, **facts), data, util)  # type: ignore[arg-type]
            yield f"{shape}, seed {seed}", data, util
    given = os.environ.get("VHAL_BENCH_FLEETS")
    for data in sorted(Path(given).rglob("*.data"), key=lambda each: each.stat().st_size) if given else ():
        yield data.stem, data, data.with_suffix(".util")


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons."""
    most = int(os.environ.get("VHAL_BENCH_HBAL_HOSTS", "20"))
    if shutil.which("hbal") is None:
        print("not run: hbal; 'apt-get install ganeti-htools' brings it", file=sys.stderr)
        most = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data, util in fleets(Path(folder)):
            hosts = len(ganeti.read(data).hosts)
            if hosts > most:
                print(f"not run: hbal on {name} with {hosts} hosts; --hbal-hosts {hosts} would", file=sys.stderr)
                continue
            yield from against(name, data, util, speed=hosts >= 50)
    steps: list[Callable[[], Iterator[Ratio]]] = [
        lambda: large(1000, 10_000, 5.0, 1430, 0.1113),
        lambda: large(10_000, 100_000, 120.0, None, None),
    ]
    for step in steps:
        yield from step()
    yield emptied()
    yield quiet()
