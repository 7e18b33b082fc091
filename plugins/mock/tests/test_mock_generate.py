"""Fleets that are made up."""

from __future__ import annotations

import json

import pytest
from vhal_mock import World
from vhal_mock.generate import generate

from vhal.errors import InvalidSpec


def test_the_same_seed_gives_the_same_fleet() -> None:
    one, two, other = (json.dumps(generate(40, 200, seed)) for seed in (7, 7, 8))
    assert one == two != other


def test_it_is_a_world_of_hosts_that_differ() -> None:
    world = World.from_spec(generate(64, 300, 1))
    assert len(world.hosts) == 64
    assert sum(len(host.running) for host in world.hosts.values()) == 300
    assert len({host.model.cpu_model for host in world.hosts.values()}) > 2
    assert any(host.gpus for host in world.hosts.values())
    assert len(world.in_domain(rack="r1")) == 16
    # Who leaves a rack shares its uplink with the others.
    first, last = next(iter(world.hosts)), list(world.hosts)[-1]
    assert len(world.network.path(first, last)) == 4


def test_a_few_hosts_are_one_rack() -> None:
    assert generate(2, 0)["links"] == []
    assert list(World.from_spec(generate(1, 0)).hosts) == ["h1"]


def test_no_more_than_there_is_room_for() -> None:
    with pytest.raises(InvalidSpec, match="have room for") as caught:
        generate(1, 10_000)
    assert caught.value.hint == "more hosts, or fewer machines"
    with pytest.raises(InvalidSpec, match="0 hosts"):
        generate(0, 0)
