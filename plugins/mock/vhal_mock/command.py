"""``vhal sim``: scenarios from the command line. What they are is in :mod:`vhal_mock.scenario`."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vhal.driver.command import Shell
    from vhal_mock.scenario import Scenario

_file = click.argument("file", type=click.Path(path_type=Path))
# What a scenario takes, said before anything is read.
_spans = click.FloatRange(0, 31_536_000, min_open=True)
_seeds = click.IntRange(min=0)
_until = click.option(
    "--until",
    "until_s",
    type=_spans,
    metavar="SECONDS",
    help="Stop after so many virtual seconds.",
)
_seed = click.option("--seed", type=_seeds, help="Another seed than the scenario's.")


@click.group("sim")
def sim() -> None:
    """Simulate a fleet: what happens in it, in virtual time."""


@sim.command("run")
@_file
@_seed
@_until
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it, too: a file that ends in .png or .svg.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page about it, too.")
@click.pass_obj
def run(
    shell: Shell, file: Path, seed: int | None, until_s: float | None, plot: Path | None, html: Path | None
) -> None:
    """Let a scenario happen, and tell what came of it.

    FILE is TOML or JSON: hosts, machines, and what happens when. The same file and seed give the same, byte for byte.
    What fails in it is a part of the story, and no failure of this command.
    """
    from vhal.driver.picture import check, check_folder
    from vhal_mock.scenario import run as happen
    from vhal_mock.scenario import timeline

    # Now, not when all has happened.
    if plot is not None:
        check(plot)
    if html is not None:
        check_folder(html)
    result = happen(_scenario(file, seed, until_s), shell.connect, file)
    if plot is not None:
        from vhal_mock.scenario.plot import draw

        draw(result, plot)
    if html is not None:
        from vhal_mock.scenario.page import page

        shell.page(page(result, f"A simulated fleet: {file.stem}"), html)
    if shell.json:
        shell.document([result.as_dict()])
        return
    shell.table(timeline.STORY, timeline.story(result), right=timeline.STORY[:1])
    shell.say("")
    shell.table(timeline.HOSTS, timeline.hosts(result), right=timeline.HOSTS[1:])
    for line in timeline.summary(result):
        shell.say(line)


@sim.command("check")
@_file
@click.pass_obj
def check(shell: Shell, file: Path) -> None:
    """Say whether a scenario is sound; let nothing happen."""
    scenario = _scenario(file, None, None)
    world = scenario.world(file)
    count = sum(len(host.machines) for host in world.hosts.values())
    if shell.json:
        shell.document(
            [
                {
                    "hosts": len(world.hosts),
                    "machines": count,
                    "events": len(scenario.events),
                    "until_s": scenario.until_s,
                }
            ]
        )
        return
    shell.say(
        f"{file}: {len(world.hosts)} hosts, {count} machines, {len(scenario.events)} events in {scenario.until_s:g} s"
    )


@sim.command("generate")
@click.option("--hosts", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many hosts.")
@click.option(
    "--machines", type=click.IntRange(0, 1_000_000), default=200, show_default=True, help="How many machines."
)
@click.option("--seed", type=_seeds, default=0, show_default=True, help="Of everything that is made up.")
@click.option("-o", "--output", type=click.File("w", encoding="utf-8"), default="-", help="Write it there.")
@click.pass_obj
def generate(shell: Shell, hosts: int, machines: int, seed: int, output: IO[str]) -> None:
    """Make up a fleet: hosts of several kinds in racks, machines on them, as JSON.

    What it writes is a scenario in which nothing happens yet, and a world for World.load().
    """
    import json

    from vhal_mock.generate import generate as make

    json.dump(make(hosts, machines, seed), output, indent=1)
    output.write("\n")
    shell.note(f"made up {hosts} hosts and {machines} machines")


@sim.command("points")
@click.pass_obj
def points(shell: Shell) -> None:
    """List the points at which a scenario's faults can strike."""
    from vhal_mock.points import POINTS

    if shell.json:
        shell.document([{"point": point, "there": there} for point, there in POINTS.items()])
    else:
        shell.table(("POINT", "WHAT IS TRUE THERE"), POINTS.items())


def _scenario(file: Path, seed: int | None, until_s: float | None) -> Scenario:
    from vhal_mock.scenario import Scenario

    scenario = Scenario.load(file)
    if seed is not None:
        scenario = scenario.replace(seed=seed)
    return scenario if until_s is None else scenario.cut(until_s)
