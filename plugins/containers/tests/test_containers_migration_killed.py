"""Moving processes that are killed: before the freeze, while they freeze, and while they send."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.testbed import wait_until
from vhal.errors import InvalidState
from vhal.machine import Machine
from vhal.spec import MachineState

from .moving import World, counters, new_address, state, world_on

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

ROOT = Path(__file__).parents[3]

MOVER = """
import sys, vhal
with vhal.connect(sys.argv[1]) as a, vhal.connect(sys.argv[2]) as b:
    operation = vhal.begin(a.machine("mover").migrate, b, vhal.MigrationPolicy(bandwidth="4MiB"))
    for progress in operation.updates():
        print(progress.phase, progress.message, flush=True)
"""

BEFORE_THE_FREEZE = """
import os, signal
from vhal_containers.api.checkpoints import Checkpoints
Checkpoints.export = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
"""

WHEN_FROZEN = """
import os, signal
from vhal_containers.api.checkpoints import Checkpoints
export = Checkpoints.export
Checkpoints.export = lambda *args, **options: (export(*args, **options), os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


def killed(world: World, script: str, *, at: str | None = None) -> None:
    """Run a moving process until it kills itself, or is killed when it says ``at``."""
    command = [sys.executable, "-c", script, world.a.node.url, world.b.node.url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as mover:
        assert mover.stdout is not None
        for line in mover.stdout:
            if line.strip() == at:
                mover.send_signal(signal.SIGKILL)
                break
    assert mover.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("script", "at"),
    [(WHEN_FROZEN + MOVER, None), (MOVER, "transfer memory")],
    ids=["frozen", "sending"],
)
def test_it_is_saved_on_the_source(world: World, script: str, at: str | None) -> None:
    """The machine is frozen on the source; nothing of it is at the destination, and the hold lapses."""
    ip = new_address()
    machine = world.running(ip=ip, mib=32)
    with world.counting(ip) as asker:
        _, nonce = asker.ask()
        killed(world, script, at=at)
        wait_until(lambda: state(world.a, machine) is MachineState.SAVED, deadline=60, what="the frozen machine")
        assert state(world.b, machine) is None
        assert counters(world.b) == 0
        machine.restore()
        assert asker.ask()[1] == nonce
        wait_until(lambda: f"{ip} " not in world.b.rules(), deadline=60, what="the end of the hold")
        machine.migrate(world.b.host)
        assert asker.ask()[1] == nonce
        world.a.assert_nothing_is_left()
        assert world.b.rules() == ""


class TestBeforeTheFreeze:
    """Nothing was saved. It was noted that something would be, in case the engine dies over it."""

    @pytest.fixture
    def machine(self, world: World) -> Machine:
        machine = world.running()
        killed(world, BEFORE_THE_FREEZE + MOVER)
        assert world.a.driver.records.of(machine.id).freezing is not None
        assert seen(world, machine) == {MachineState.RUNNING}
        return machine

    def test_it_runs_on_and_can_move(self, world: World, machine: Machine) -> None:
        machine.migrate(world.b.host)
        assert machine.state() is MachineState.RUNNING
        world.a.assert_nothing_is_left()

    def test_one_that_ends_by_itself_later_is_stopped(self, world: World, machine: Machine) -> None:
        world.a.node.run(["podman", "kill", "--signal", "TERM", "mover"])
        wait_until(lambda: machine.state() is not MachineState.RUNNING, deadline=60, what="its end")
        assert seen(world, machine) == {MachineState.STOPPED}
        machine.start()

    @pytest.mark.parametrize("force", [True, False])
    def test_one_that_is_stopped_is_stopped(self, world: World, machine: Machine, force: bool) -> None:
        machine.stop(force=force)
        assert seen(world, machine) == {MachineState.STOPPED}
        assert world.a.driver.records.of(machine.id).freezing is None

    def test_one_that_somebody_killed_looks_saved_until_it_is_to_go_on(self, world: World, machine: Machine) -> None:
        world.a.node.run(["podman", "kill", "--signal", "KILL", "mover"])
        wait_until(lambda: machine.state() is not MachineState.RUNNING, deadline=60, what="its end")
        assert seen(world, machine) == {MachineState.SAVED}
        with pytest.raises(InvalidState, match="no saved memory; start"):
            machine.restore()
        assert seen(world, machine) == {MachineState.STOPPED}
        machine.start()


def seen(world: World, machine: Machine) -> set[MachineState]:
    """Return what is told of it, asked for by itself and in a list."""
    return {machine.state(), *(one.seen.state for one in world.a.host.machines() if one.id == machine.id)}
