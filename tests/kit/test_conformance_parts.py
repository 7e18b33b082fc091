"""What the layers of the conformance suite are made of, seen to fail where they must."""

from __future__ import annotations

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.spec import MachineState
from vhal.testing import BackendSuite, Harness, Sighting
from vhal.testing.conformance.another import Shared, another
from vhal.testing.conformance.change import CHANGES, Change, Portrait, portrait
from vhal.testing.conformance.faults import Saboteur
from vhal.testing.conformance.owners import Owners
from vhal.testing.conformance.witnessed import witnessed

SUITE = [name for name in dir(BackendSuite) if name.startswith("test_")]


@pytest.fixture
def world() -> World:
    return World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})


@pytest.fixture
def vm(world: World) -> vhal.Machine:
    vm = vhal.connect(MockDriver(world.host("a"))).create(vhal.MachineSpec(name="web"))
    vm.start()
    return vm


def harness(*seen: Sighting) -> Harness:
    return Harness(
        open=lambda: pytest.fail("nobody opens it"),
        spec=lambda name: vhal.MachineSpec(name=name),
        witness=lambda name: list(seen),
    )


class TestWitness:
    def test_agrees(self, vm: vhal.Machine) -> None:
        witnessed(harness(Sighting("a", MachineState.RUNNING, 1, 512 << 20, 1)), vm.name, vm.info())
        witnessed(harness(Sighting("a")), vm.name, vm.info())
        witnessed(harness(), vm.name, None)

    @pytest.mark.parametrize(
        "seen",
        [
            (),
            (Sighting("a"), Sighting("b")),
            (Sighting("a", MachineState.PAUSED),),
            (Sighting("a", cpus=2),),
            (Sighting("a", memory=1),),
            (Sighting("a", processes=0),),
            (Sighting("a", processes=2),),
        ],
    )
    def test_objects(self, vm: vhal.Machine, seen: tuple[Sighting, ...]) -> None:
        with pytest.raises(AssertionError):
            witnessed(harness(*seen), vm.name, vm.info())

    def test_objects_to_what_should_be_gone(self) -> None:
        with pytest.raises(AssertionError, match="is gone"):
            witnessed(harness(Sighting("a")), "web", None)


class TestOwners:
    def test_two_that_run(self, world: World, vm: vhal.Machine) -> None:
        b = vhal.connect(MockDriver(world.host("b")))
        owners = Owners(vm.host, b, vm.id)
        owners.look()
        here, there = world.host("a"), world.host("b")
        there.machines[vm.id] = here.machines[vm.id]
        with pytest.raises(AssertionError, match="on both hosts"):
            owners.look()
        del there.machines[vm.id], here.machines[vm.id]
        with pytest.raises(AssertionError, match="on neither host"):
            owners.look()
        assert owners.looked


def test_a_saboteur_hurts_each_call_once_and_one_in_a_run() -> None:
    saboteur = Saboteur(most=2)
    calls = ["look", "make", "look", "look"]
    struck = []
    for _ in range(5):
        saboteur.begin()
        struck.append([place for place, call in enumerate(calls) if saboteur.fails(call)])
    assert struck == [[0], [1], [2], [], []]
    assert saboteur.struck is None


def test_another_connection(world: World, vm: vhal.Machine) -> None:
    def open_a() -> MockDriver:
        return MockDriver(world.host("a"))

    assert isinstance(another(open_a, vm.host), MockDriver)
    shared = another(lambda: MockDriver(World.from_spec({"hosts": [{"name": "a"}]}).host("a")), vm.host)
    assert isinstance(shared, Shared)
    shared.close()
    assert shared.inspect("web") == vm.info()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_has_the_effect_that_it_says(world: World, change: Change) -> None:
    host = vhal.connect(MockDriver(world.host("a")))
    vm = host.create(vhal.MachineSpec(name="db"))
    change.prepare(vm)
    before = portrait(host, "db")
    assert before != Portrait(None)
    if change.name != "revert":
        assert change.effect(before) != before
    change.act(vm)
    assert portrait(host, "db") == change.effect(before)


def test_ids_of_the_suite_are_given_once() -> None:
    ids = ["_".join(name.split("_")[1:3]) for name in SUITE]
    assert len(ids) == len(set(ids))
    assert all(number.isdecimal() for _, number in (given.split("_") for given in ids))
