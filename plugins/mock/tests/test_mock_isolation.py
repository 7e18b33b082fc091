"""Two tests that both use ``mock:///a`` don't see each other's machines, in whichever order they run."""

from __future__ import annotations

import pytest
from vhal_mock.world import World

import vhal


@pytest.mark.parametrize("attempt", [1, 2])
def test_the_default_world_is_empty_in_each_test(attempt: int) -> None:
    with vhal.connect("mock:///a") as a:
        assert a.machines() == []
        a.create(vhal.MachineSpec(name="web"))


def test_the_fixture_is_the_default_world(mock_world: World) -> None:
    with vhal.connect("mock:///b") as b:
        b.create(vhal.MachineSpec(name="web"))
    assert list(mock_world.host("b").by_name) == ["web"]
