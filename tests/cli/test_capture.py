"""``vhal capture``: hosts and machines as a world that can be simulated, without secrets."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vhal_mock import World

import vhal
from tests.cli.harness import Cli
from vhal.capture import capture, merged
from vhal.driver.backend import Backend
from vhal.driver.driver import Driver
from vhal.driver.url import HostUrl
from vhal.errors import HostUnreachable
from vhal.layers.scrub import HIDDEN
from vhal.registry import Registry
from vhal.spec import Init, Process

WORLD: dict[str, Any] = {
    "hosts": [
        {
            "name": "big",
            "cpus": 48,
            "memory": "384GiB",
            "memory_overcommit": 1.5,
            "numa": 2,
            "cpu_model": "Icelake",
            "cpu_features": ["avx512f", "vmx"],
            "gpus": [{"model": "A30", "memory": "24GiB", "count": 2}],
            "versions": {"qemu": "8.2.0"},
        }
    ],
    "machines": [
        {
            "host": "big",
            "running": True,
            "spec": {
                "name": "db",
                "cpus": 4,
                "memory": "16GiB",
                "labels": {"team": "blue"},
                "disks": [{"size": "3TiB", "name": "data"}],
                "options": {"mock": {"load": 0.25, "read": "1MiB", "send": "2MiB", "working_set": 0.5}},
            },
        },
        {"host": "big", "spec": {"name": "spare", "memory": "1GiB"}},
    ],
}


def unreachable(url: HostUrl) -> Driver:
    raise HostUnreachable("it doesn't answer", hint="switch it on")


@pytest.fixture
def world() -> World:
    return World.from_spec({**WORLD, "hosts": [{**WORLD["hosts"][0], "disk": "8TiB"}]})


def test_a_host_comes_back_as_it_was(world: World) -> None:
    with vhal.connect(world.url("big")) as host:
        found = capture(host, wait=world.clock.advance)
        told = host.info()
    again = World.from_spec(found)
    with vhal.connect(again.url("big")) as host:
        simulated = host.info()
        assert simulated.replace(uuid=told.uuid) == told
        db, spare = host.machines()
        assert (db.state(), spare.state()) == ("running", "stopped")
        assert db.seen.spec is not None
        assert (db.seen.cpus, db.seen.memory, dict(db.seen.labels)) == (4, 16 << 30, {"team": "blue"})
        assert db.seen.spec.disks[0].size == 3 << 40
        before = db.usage()
        again.clock.advance(10)
        after = db.usage()
    assert before.cpu_s is not None
    assert after.cpu_s == pytest.approx(before.cpu_s + 10.0)
    assert after.read == pytest.approx(10 << 20, rel=0.01)
    assert after.sent == pytest.approx(20 << 20, rel=0.01)
    assert after.memory == 8 << 30


def test_the_file(cli: Cli, world: World, tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    ran = cli("capture", world.url("big"), "-o", str(file), "--over", "1ms")
    assert ran.stdout == f"{file}: 1 hosts, 2 machines\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    loaded = World.load(file)
    assert list(loaded.host("big").by_name) == ["db", "spare"]
    (item,) = cli.items("sim", "run", str(file), "--until", "60")
    assert item["failures"] == []
    assert {machine["machine"] for machine in item["machines"]} == {"db", "spare"}


def test_a_file_that_is_there_is_replaced_and_becomes_private(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    file.write_text("old")
    file.chmod(0o644)
    cli("capture", "mock:///a", "-o", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["hosts"][0]["name"] == "a"


def test_no_secrets(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    with vhal.connect("mock:///a") as host:
        host.create(
            vhal.MachineSpec(
                name="app",
                kind="container",
                disks=[
                    vhal.Disk(image="https://me:s3cret@example.org/i.qcow2", size="1GiB"),
                    vhal.Disk(image="s3cret"),
                ],
                boot=vhal.BootImage(image="registry.example/s3cret:1"),
                process=Process(command=("--password", "s3cret"), env={"TOKEN": "s3cret"}),
                init=Init(user_data="#cloud-config\npassword: s3cret"),
                options={"libvirt": {"note": "s3cret"}},
                labels={"api-token": "s3cret", "from": "https://me:s3cret@example.org", "tier": "DB_PASSWORD=s3cret"},
            )
        )
    cli("capture", "mock:///a", "-o", str(file))
    assert "s3cret" not in file.read_text()
    app = World.load(file).machine("app").spec
    assert app.kind == "container"
    assert [disk.size for disk in app.disks] == [1 << 30]
    assert app.labels["from"] == f"https://{HIDDEN}@example.org"


def test_all_named_hosts(cli: Cli, name_hosts: Callable[..., Path], tmp_path: Path) -> None:
    name_hosts(alpha="mock:///a", beta="mock:///b", same="mock:///a")
    file = tmp_path / "fleet.json"
    (item,) = cli.items("capture", "--all", "-o", str(file))
    assert item == {"file": str(file), "hosts": 2, "machines": 0, "missing": []}
    assert list(World.load(file).hosts) == ["alpha", "beta"]


def test_a_host_that_does_not_answer(
    cli: Cli, name_hosts: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    registry.add(Backend(name="dead", summary="never there", open=unreachable))
    name_hosts(alpha="mock:///a", gone="dead:///")
    file = tmp_path / "fleet.json"
    error = cli.error("capture", "--all", "-o", str(file), code=6)
    assert error["message"] == "1 of 2 hosts can't be captured, so nothing was written: gone: it doesn't answer"
    assert error["hint"] == "--partial writes the others down"
    assert not file.exists()
    ran = cli("capture", "--all", "--partial", "-o", str(file))
    assert "warning: it doesn't answer" in ran.stderr
    assert list(World.load(file).hosts) == ["alpha"]
    (item,) = cli.items("capture", "--all", "--partial", "-o", str(file))
    assert [(missing["place"], missing["error"]["code"]) for missing in item["missing"]] == [
        ("gone", "host-unreachable")
    ]
    file.unlink()
    assert cli.error("capture", "gone", "--partial", "-o", str(file), code=6)["message"] == "it doesn't answer"
    assert not file.exists()


def test_what_is_wrong_on_the_command_line(cli: Cli, name_hosts: Callable[..., Path], tmp_path: Path) -> None:
    file = str(tmp_path / "fleet.json")
    assert cli.error("capture", "-o", file, code=2)["hint"] == "name hosts, or give --all"
    assert cli.error("capture", "mock:///a", "--all", "-o", file, code=2)["code"] == "usage"
    assert cli.error("capture", "--all", "-o", file, code=2)["code"] == "invalid-config"
    assert cli.error("capture", "mock:///a", code=2)["code"] == "usage"
    assert cli.error("capture", "nobody", "-o", file, code=3)["code"] == "not-found"
    assert cli.error("capture", "mock:///a", "-o", str(tmp_path / "no" / "f.json"), code=3)["code"] == "not-found"
    assert cli.error("capture", "mock:///a", "-o", str(tmp_path), code=6)["code"] == "access-denied"


def test_names_that_a_world_does_not_take() -> None:
    one = {"hosts": [{"name": "n"}], "machines": [{"host": "n", "spec": {}}]}
    both = merged([one, one])
    assert [host["name"] for host in both["hosts"]] == ["n", "n-2"]
    assert [machine["host"] for machine in both["machines"]] == ["n", "n-2"]


def test_more_than_a_host_says_it_has_still_fits() -> None:
    world = World.from_spec({"hosts": [{"name": "a", "cpus": 2, "memory": "4GiB"}]})
    with vhal.connect(world.url()) as host:
        vm = host.create(vhal.MachineSpec(name="big", cpus=8, memory="4GiB"))
        vm.start()
        found = capture(host, wait=world.clock.advance)
    assert World.from_spec(found).machine("big").state == "running"
