"""A fleet of two backends: one snapshot, and placement by what each engine says."""

from __future__ import annotations

from pathlib import Path

import pytest
from vhal_mock.world import World

import vhal
from vhal.fleet.members.entry import Keeping


def test_machines_go_where_their_backend_can_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    world = World.from_spec({"hosts": [{"name": "a", "cpus": 64, "memory": "512GiB"}]})
    hosts = {"simulated": world.url("a"), "virtual": "libvirt+test:///default"}
    with vhal.Fleet(hosts, defaults=Keeping(overcommit=4)) as fleet:
        before = fleet.snapshot()
        assert {host.name: host.backend for host in before.hosts} == {"simulated": "mock", "virtual": "libvirt"}
        assert [machine.host for machine in before.machines] == ["virtual"]
        machine = fleet.create(vhal.MachineSpec(name="web", memory="64MiB"), on="backend=libvirt")
        try:
            machine.start()
            assert fleet.find("web").host is fleet.host("virtual")
            # The test driver measures nothing, and moves nothing.
            seen = {each.name: each for each in fleet.snapshot(over_s=0.01, movable=True).machines}
            assert not seen["web"].movable
            report = fleet.report()
            assert report.fleet.running == 2
        finally:
            machine.delete(force=True)
        container = fleet.explain(vhal.MachineSpec(name="box", kind="container", memory="64MiB"))
        assert {verdict.host: set(verdict.against) for verdict in container.verdicts}["virtual"] == {"engine"}
