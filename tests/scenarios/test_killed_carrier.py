"""A process that carries out a plan between real hosts is killed, and another goes on: each guest runs on, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vhal
from tests.scenarios.conftest import Pair
from vhal.fleet.fleet import Fleet
from vhal.fleet.moves.applied import ApplySettings
from vhal.fleet.moves.apply import resume
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.moves.works import unfinished
from vhal.journal import Journal

SETTINGS = ApplySettings(fleet=1, policy=vhal.MigrationPolicy(bandwidth="16MiB"))

COUNT = r"count (\d+)\r?\n"

CARRY = """
import sys
from vhal.fleet.moves.applied import ApplySettings
from vhal.fleet.moves.apply import apply
from vhal.fleet.fleet import Fleet
from vhal.fleet.plan import Plan
from vhal.journal import Journal

a, b, journal, plan, settings, phase = sys.argv[1:]

def listen(event):
    progress = event.progress
    if (progress.phase if progress else event.kind) == phase and (phase != "transfer" or progress.done):
        print("now", flush=True)
        sys.stdin.read()  # until it is killed

with Fleet({"a": a, "b": b}) as fleet, Journal(journal) as book:
    apply(
        Plan.model_validate_json(plan), fleet, ApplySettings.model_validate_json(settings),
        journal=book, on_event=listen,
    )
"""


def count(vm: vhal.Machine) -> int:
    with vm.console() as console:
        return int(console.expect(COUNT)[1])


@pytest.fixture
def fleet(real: Pair) -> Iterator[Fleet]:
    with Fleet({"a": real.a, "b": real.b}) as fleet:
        for name in ("web", "db"):
            vm = fleet.host("a").create(real.spec(name))
            vm.start()
            vm.wait("ready")
        yield fleet


@pytest.mark.parametrize("phase", ["offer", "transfer", "commit", "ended"])
def test_a_killed_process_is_gone_on_with(real: Pair, fleet: Fleet, tmp_path: Path, phase: str) -> None:
    before = {name: count(fleet.find(name)) for name in ("web", "db")}
    plan = plan_drain(fleet.snapshot(), ["a"])
    path = tmp_path / "journal.sqlite"
    words = [real.a, real.b, str(path), plan.model_dump_json(), SETTINGS.model_dump_json(), phase]
    child = subprocess.Popen(
        [sys.executable, "-c", CARRY, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
    finally:
        child.kill()
        child.communicate()
    with Journal(path) as journal:
        (work,) = unfinished(journal)
        applied = resume(work.id, fleet, journal=journal).check()
        assert unfinished(journal) == []
    assert len(applied.arrived) == 2
    assert fleet.host("a").machines() == []
    for name, was in before.items():
        vm = fleet.host("b").machine(name)
        assert vm.state() == "running"
        assert count(vm) > was, "it goes on where it was, and didn't boot anew"
