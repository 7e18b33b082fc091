"""The same seed and the same calls give the same log, byte for byte: in this process, in another, on any Python.

``play.log`` is what ``play.py`` printed once; every version of Python that the tests run on must print it. After a
change of what is simulated, not of how: ``python plugins/mock/tests/play.py > plugins/mock/tests/play.log``.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from vhal_mock.world import World

import vhal
from vhal.driver.fault import Fault
from vhal.errors import OperationTimeout, VhalError

pytestmark = pytest.mark.timeout(60)

PLAY = Path(__file__).with_name("play.py")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vhal_mock_play", PLAY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestPlay:
    def test_is_the_same_on_every_python(self, script: ModuleType) -> None:
        world = script.play()
        kept = PLAY.with_suffix(".log").read_text(encoding="utf-8")
        assert world.log.text() + script.usage(world) == kept
        kinds = {entry.kind for entry in world.log}
        assert {"fault", "round", "migrated-in", "host-crash", "hang", "partition", "slow-link"} <= kinds

    def test_is_the_same_again_here(self, script: ModuleType) -> None:
        """Other worlds came before, so their numbers and ids differ."""
        assert script.play().log.text() == script.play().log.text()

    def test_is_the_same_while_threads_compete(self, script: ModuleType) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            with ThreadPoolExecutor(3) as pool:
                texts = [world.log.text() for world in pool.map(lambda _: script.play(), range(3))]
        finally:
            sys.setswitchinterval(before)
        assert len(set(texts)) == 1

    @pytest.mark.parametrize("hash_seed", ["0", "4242"])
    def test_is_the_same_in_another_process(self, hash_seed: str) -> None:
        printed = subprocess.run(
            [sys.executable, PLAY],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=50,
        ).stdout
        assert printed == PLAY.with_suffix(".log").read_bytes()


def test_another_seed_gives_another_log() -> None:
    def log(seed: int) -> str:
        world = World.from_spec(
            {
                "hosts": [{"name": "a"}],
                "seed": seed,
                "faults": [{"at": "*", "kind": "error", "probability": 0.3, "times": None}],
            }
        )
        a = vhal.connect(world.url("a"))
        for number in range(20):
            try:
                a.create(vhal.MachineSpec(name=f"m{number}")).start()
            except VhalError:
                continue
        return world.log.text()

    assert log(1) == log(1)
    assert log(1) != log(2)


def test_the_time_that_this_process_takes_changes_nothing() -> None:
    """A deadline is a virtual time, not a moment before it by what the calls took here."""
    world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
    a, b = (vhal.connect(world.url(name)) for name in "ab")
    vm = a.create(vhal.MachineSpec(name="web", memory="60GiB", options={"mock": {"stop_s": None}}))
    vm.start()
    with pytest.raises(OperationTimeout):
        vm.migrate(b, timeout_s=20)
    assert world.clock.now_s == 20
    with pytest.raises(OperationTimeout):
        vm.stop(timeout_s=7)
    assert world.clock.now_s == 27
    world.inject(Fault(at="migration.transfer.round=1", kind="hang"))
    with pytest.raises(VhalError):
        vm.migrate(b, timeout_s=100)
    assert world.clock.now_s == pytest.approx(27 + 100 + 2 * 30, abs=1e-9)  # two looks at a host that hangs


def test_hosts_that_fail_at_once_wake_their_callers_in_order() -> None:
    def log() -> str:
        world = World.from_spec({"hosts": [{"name": f"h{n}"} for n in range(9)]})
        target = vhal.connect(world.url("h0"))
        vms = []
        for number in range(1, 9):
            host = vhal.connect(world.url(f"h{number}"))
            vms.append(host.create(vhal.MachineSpec(name=f"m{number}", memory="8GiB")))
            vms[-1].start()

        def move(vm: vhal.Machine) -> None:
            try:
                vm.migrate(target)
            except VhalError as error:
                world.log.add("told", machine=vm.name, detail=type(error).__name__)
            vm.host.create(vhal.MachineSpec(name=f"after-{vm.name}"))

        world.clock.at(3, world.host("h0").trouble.crash)
        world.clock.together(*[lambda vm=vm: move(vm) for vm in vms])
        return world.log.text()

    logs = {log() for _ in range(5)}
    assert len(logs) == 1
    assert logs.pop().count('"told"') == 8


def test_what_is_random_doesnt_depend_on_the_global_generator() -> None:
    def level(seed: int) -> str:
        random.seed(seed)
        world = World.from_spec({"hosts": [{"name": "a"}], "seed": 5})
        a = vhal.connect(world.url("a"))
        burst = {"profile": "burst", "every_s": 100, "length_s": 10, "jitter": 1}
        a.create(vhal.MachineSpec(name="web", options={"mock": {"workload": burst}})).start()
        world.clock.advance(950)
        return repr(a.machine("web").usage().cpu_s)

    assert level(1) == level(2)
