"""Machines that are on a world's hosts from the beginning."""

from __future__ import annotations

import pytest
from vhal_mock import World

import vhal
from vhal.errors import EngineError, InvalidSpec
from vhal.spec import MachineState

HOSTS = [{"name": "a", "cpus": 4, "memory": "8GiB"}]


def test_they_are_there_and_run_as_if_they_had_been_called_for() -> None:
    world = World.from_spec(
        {"hosts": HOSTS, "machines": [{"host": "a", "running": True, "count": 3, "spec": {"name": "web"}}]}
    )
    with vhal.connect(world.url("a")) as a:
        assert [(vm.name, vm.state()) for vm in a.machines()] == [
            (f"web{number}", MachineState.RUNNING) for number in (1, 2, 3)
        ]
        assert a.info().allocated.cpus == 3
    assert [(entry.kind, entry.machine) for entry in world.log][:2] == [("created", "web1"), ("started", "web1")]


def test_the_faults_of_the_spec_wait_until_they_are_there() -> None:
    world = World.from_spec(
        {
            "hosts": HOSTS,
            "machines": [{"host": "a", "running": True, "spec": {"name": "web"}}],
            "faults": [{"at": "create.begin"}, {"at": "start.after_claim_before_power"}],
        }
    )
    assert world.machine("web").state is MachineState.RUNNING
    with vhal.connect(world.url("a")) as a, pytest.raises(EngineError):
        a.create(vhal.MachineSpec(name="db"))


def test_one_that_has_no_room_is_named() -> None:
    big = {"host": "a", "running": True, "count": 3, "spec": {"name": "big", "memory": "4GiB"}}
    with pytest.raises(InvalidSpec, match=r"machines\[0\]: .*full") as caught:
        World.from_spec({"hosts": HOSTS, "machines": [big]})
    assert caught.value.machine == "big3"
