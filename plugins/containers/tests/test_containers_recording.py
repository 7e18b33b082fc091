"""A session with a real engine is recorded, and answers without it: programs, files, errors, and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vhal.errors import AlreadyExists, NotFound
from vhal.host import Host, connect
from vhal.spec import MachineSpec
from vhal.testing import Recorder, Replay

from . import containers_place
from .containers_place import Place

place = containers_place.place

HUSH = "s3cr3t-of-the-engine"


def live(host: Host, spec: MachineSpec) -> list[Any]:
    vm = host.create(spec)
    vm.start()
    told: list[Any] = [
        vm.exec(["sh", "-c", "echo out; echo err >&2; exit 7"]),
        vm.exec(["sh", "-c", "echo is $TOKEN"], env={"TOKEN": HUSH}).exit_code,
        vm.info().replace(spec=None),
        host.info(),
    ]
    vm.write_file("/etc/motd", b"\x00\xff")
    told.append(vm.read_file("/etc/motd"))
    with pytest.raises(NotFound) as missing:
        vm.read_file("/etc/nothing")
    with pytest.raises(AlreadyExists) as taken:
        host.create(spec)
    told += [missing.value.message, taken.value.message, [usage.memory for usage in host.usage().values()]]
    vm.delete(force=True)
    return told


def test_a_recorded_container_answers_without_its_engine(place: Place, tmp_path: Path) -> None:
    spec, path = place.spec("recorded", process={"env": {"PASSWORD": HUSH}}), tmp_path / "session.json"
    with connect(place.node.url, layers=[Recorder]) as host:
        told = live(host, spec)
        host.layer(Recorder).save(path)
    assert HUSH not in path.read_text()
    driver = Replay.load(path)
    assert live(connect(driver), spec) == told
    assert driver.left() == []
