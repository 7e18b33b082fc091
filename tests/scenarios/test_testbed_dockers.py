"""The test bed's docker hosts for real: kept apart, alive without their service, and gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.leftovers import assert_nothing_left, network_cards, processes_in, processes_naming
from tests.testbed import ContainerImage, Engine, Lab, LabError, wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/counter:1"

OWNER = """
import json, sys
from tests.scenarios.test_testbed_dockers import run_counter
from tests.testbed import Lab
with Lab(hosts=0, dockers=1) as lab:
    run_counter(lab, lab.dockers[0])
    print(json.dumps({"folder": str(lab.folder), "pid": lab.dockers[0].pid}), flush=True)
    sys.stdin.read()
"""


def docker(engine: Engine, *words: str) -> str:
    return engine.run(["docker", *words]).stdout.strip()


def run_counter(lab: Lab, engine: Engine) -> str:
    """Have a container count on an engine, and return its id."""
    rootfs = lab.shared / "rootfs.tar"
    rootfs.write_bytes(ContainerImage.build().rootfs_tar.read_bytes())
    docker(engine, "import", str(rootfs), IMAGE)
    return docker(engine, "run", "-d", "--memory", "32m", "--name", "left", IMAGE, "/bin/counter")


def test_containers_run_on_without_the_service() -> None:
    with Lab(hosts=0, dockers=2) as lab:
        a, b = lab.dockers
        run_counter(lab, a)
        assert (docker(b, "ps", "-aq"), docker(b, "images", "-q")) == ("", "")
        assert a.run(["hostname"]).stdout.strip() == a.name
        pid = docker(a, "inspect", "-f", "{{.State.Pid}}", "left")
        a.signal_service(signal.SIGKILL)
        with pytest.raises(LabError, match="does not run"):
            a.service_pid()
        assert Path(f"/proc/{a.pid}/root/proc/{pid}").exists()
        a.start_service()
        assert docker(a, "inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "left") == f"true {pid}"


def test_nothing_is_left_with_a_container_running_and_a_service_stopped() -> None:
    cards = network_cards()
    with Lab(hosts=0, dockers=1) as lab:
        folder, (engine,) = lab.folder, lab.dockers
        network = Path(f"/proc/{engine.pid}/ns/net").readlink()
        run_counter(lab, engine)
        engine.signal_service(signal.SIGSTOP)
        assert network_cards() == cards
    assert_nothing_left(folder)
    assert processes_in(network) == []
    assert network_cards() == cards


def test_nothing_is_left_when_the_owner_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        made = json.loads(owner.stdout.readline())
        folder, network = Path(made["folder"]), Path(f"/proc/{made['pid']}/ns/net").readlink()
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not folder.exists(), deadline=60, what="the end of the lab")
    wait_until(lambda: not processes_naming(folder), deadline=60, what="the end of its processes")
    assert_nothing_left(folder)
    assert processes_in(network) == []
