"""What a container runs, as a spec says it."""

from __future__ import annotations

from typing import Any

import pytest

from vhal.errors import InvalidSpec
from vhal.spec import BootArchive, BootRootfs, Gpu, Health, MachineSpec, Mount, Process, Ulimit, parse_spec

WHOLE = """
name = "web"
kind = "container"
gpus = [{ cdi = "vendor.example/gpu=0" }]
boot = { source = "archive", archive = "/srv/web.tar" }
mounts = [
  { target = "/data", volume = "web-data" },
  { target = "/etc/web", path = "/srv/web", read_only = true, shared = true },
  { target = "/tmp", tmpfs = "64MiB" },
]

[process]
entrypoint = ["/bin/web"]
command = ["--port", "80"]
env = { MODE = "fast" }
user = "1000:web"
cwd = "/srv"
read_only = true
capabilities_add = ["CAP_NET_BIND_SERVICE"]
capabilities_drop = ["CAP_CHOWN"]
ulimits = { nofile = 1024, nproc = { soft = 10, hard = -1 } }
stop_signal = "SIGINT"
health = { command = ["/bin/up"], interval_s = 1 }
"""


def test_a_whole_container() -> None:
    spec = parse_spec(WHOLE, "toml")
    assert spec.process is not None
    assert spec.process.command == ("--port", "80")
    assert spec.process.ulimits == {"nofile": Ulimit(soft=1024, hard=1024), "nproc": Ulimit(soft=10, hard=-1)}
    assert [mount.target for mount in spec.mounts] == ["/data", "/etc/web", "/tmp"]
    assert parse_spec(spec.model_dump_json(), "json") == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "vm", "process": Process(command=["/x"])}, "only a container has process"),
        ({"kind": "vm", "mounts": [Mount(target="/d", volume="d")]}, "only a container has mounts"),
        ({"kind": "vm", "boot": BootRootfs(rootfs="/srv/root")}, "only a container boots"),
        ({"kind": "vm", "boot": BootArchive(archive="/srv/a.tar")}, "only a container boots"),
        (
            {"kind": "container", "mounts": [Mount(target="/d", volume="a"), Mount(target="/d", volume="b")]},
            "two mounts have one target",
        ),
    ],
)
def test_what_a_machine_cant_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        MachineSpec(name="m", **fields)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Process(capabilities_add=["CAP_CHOWN"], capabilities_drop=["CAP_CHOWN"]), "CAP_CHOWN can't be both"),
        (lambda: Process(capabilities_add=["chown"]), "capabilities_add"),
        (lambda: Process(user="-x"), "user"),
        (lambda: Process(env={"a=b": "c"}), "env"),
        (lambda: Process(ulimits={"nofile": Ulimit(soft=-1, hard=5)}), "soft limit is above"),
        (lambda: Process(ulimits={"nofile": Ulimit(soft=6, hard=5)}), "soft limit is above"),
        (lambda: Health(command=[]), "command"),
        (lambda: Mount(target="/d"), "one of volume, path, tmpfs"),
        (lambda: Mount(target="/d", volume="v", path="/p"), "one of volume, path, tmpfs"),
        (lambda: Mount(target="/d", tmpfs="1MiB", shared=True), "neither shared nor read-only"),
        (lambda: Mount(target="/d", volume="../x"), "volume"),
        (lambda: Mount(target="d", volume="v"), "target"),
        (lambda: Gpu(cdi="nvidia.com/gpu"), "cdi"),
        (lambda: Gpu(cdi="nvidia.com/gpu=0", profile="1g"), "leave the rest out"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        make()
