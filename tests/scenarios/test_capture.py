"""A real host, written down and simulated."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from vhal_mock import World

import vhal
from tests.scenarios.conftest import Pair
from tests.scenarios.test_command_line import Shell


def test_a_real_host_becomes_a_simulated_one(real: Pair, tmp_path: Path) -> None:
    shell, file = Shell(tmp_path, real), tmp_path / "fleet.json"
    with vhal.connect(real.a) as host:
        vm = host.create(real.spec("web").replace(labels={"team": "blue"}))
        vm.start()
        vm.wait()
        host.create(real.spec("spare"))
        told = host.info()
    (item,) = shell.items("capture", "--all", "-o", str(file))
    assert (item["hosts"], item["machines"], item["missing"]) == (2, 2, [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    world = World.load(file)
    with vhal.connect(world.url("a")) as host:
        simulated = host.info()
        web, spare = sorted(host.machines(), key=lambda machine: machine.name, reverse=True)
        assert (web.state(), spare.state()) == ("running", "stopped")
        assert dict(web.seen.labels) == {"team": "blue"}
        assert web.seen.memory == 128 << 20
    assert (simulated.cpus.count, simulated.memory) == (told.cpus.count, told.memory)
    assert len(simulated.numa) == max(1, len(told.numa))
    # What it uses was measured.
    (guest,) = [m["spec"] for m in json.loads(file.read_text())["machines"] if m["spec"]["name"] == "web"]
    assert guest["options"]["mock"]["workload"]["level"] > 0

    (ran,) = shell.items("sim", "run", str(file), "--until", "600")
    assert ran["failures"] == []
    assert {machine["state"] for machine in ran["machines"]} == {"running", "stopped"}
