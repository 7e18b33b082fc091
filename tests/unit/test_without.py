"""A driver that can do less."""

from __future__ import annotations

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver import Driver
from vhal.driver.capability import PAUSE, REBOOT, SAVE, SNAPSHOTS
from vhal.errors import Unsupported
from vhal.layers.without import Without


def lesser(driver: Driver) -> Driver:
    return Without(driver, SNAPSHOTS, PAUSE, REBOOT)


@pytest.fixture
def driver() -> MockDriver:
    return MockDriver(World.from_spec({"hosts": [{"name": "a"}]}).host("a"))


def test_what_is_taken_away_is_refused_and_the_rest_works(driver: MockDriver) -> None:
    with vhal.connect(driver, layers=[lesser]) as host:
        vm = host.create(vhal.MachineSpec(name="web"))
        vm.start()
        with pytest.raises(Unsupported) as caught:
            vm.pause()
        assert caught.value.blockers[0].code == "not-provided"
        assert not host.can(SNAPSHOTS, vm.info())
        assert host.can(SAVE)
        vm.save()
        assert vm.state() == "saved"


def test_what_can_be_emulated_is(driver: MockDriver) -> None:
    with vhal.connect(driver, layers=[lesser]) as host:
        assert host.can(REBOOT).note == "emulated: stop, then start"


def test_without_the_core_it_says_no_too(driver: MockDriver) -> None:
    able = lesser(driver)
    assert able.provides(PAUSE) is None
    assert able.can(PAUSE).blockers[0].remedy == "use it without this layer"
    assert able.can(SAVE)
