"""Other sizes, and what is used, on a real libvirtd and QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.testbed import wait_until
from vhal.driver import Context, StopMode
from vhal.errors import InsufficientResources, OperationTimeout, Unsupported
from vhal.spec import Bytes, Disk, MachineSpec, MachineState

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    World = Any

MIB = 1 << 20


def test_a_stopped_machine_starts_with_its_new_size(world: World) -> None:
    machine = world.a.create(world.spec(), Context())
    world.a.resize(machine.id, 2, Bytes("160MiB"), Context())
    assert (world.a.inspect(machine.id).cpus, world.a.inspect(machine.id).memory) == (2, 160 * MIB)
    world.a.start(machine.id, Context())
    console = world.console(world.a, machine.id)
    console.listen_for(2)
    console.close()
    running = world.a.inspect(machine.id)
    assert (running.cpus, running.memory, running.spec) == (2, 160 * MIB, machine.spec)
    dom = world.a._connection.get().lookupByUUIDString(machine.id)
    # What QEMU itself says: an emulated machine has its memory from arguments that libvirt doesn't know.
    assert 160 << 10 <= dom.memoryStats()["actual"] <= (160 << 10) + 8


def test_a_resized_emulated_machine_keeps_its_writes_when_it_moves(world: World) -> None:
    machine = world.a.create(world.spec(), Context())
    world.a.resize(machine.id, None, Bytes("96MiB"), Context())
    world.a.start(machine.id, Context())
    console = world.console(world.a, machine.id)
    before = console.listen_for(2)
    console.close()
    world.move(world.a, world.b, machine.id)
    console = world.console(world.b, machine.id)
    assert console.listen_for(2) > before
    console.close()
    assert world.b.inspect(machine.id).memory == 96 * MIB


def test_what_needs_a_restart_is_refused_before_any_effect(world: World) -> None:
    machine = world.running()
    for cpus, memory in ((None, Bytes("256MiB")), (2, None), (2, Bytes("64MiB"))):
        with pytest.raises(Unsupported) as caught:
            world.a.resize(machine.id, cpus, memory, Context())
        assert all("stop()" in blocker.remedy for blocker in caught.value.blockers)
        assert world.a.inspect(machine.id) == machine
    world.a.pause(machine.id, Context())
    with pytest.raises(Unsupported, match="paused"):
        world.a.resize(machine.id, None, Bytes("64MiB"), Context())


def test_more_than_the_host_has(world: World) -> None:
    machine = world.a.create(world.spec(), Context())
    with pytest.raises(InsufficientResources):
        world.a.resize(machine.id, None, Bytes("1PiB"), Context())
    with pytest.raises(InsufficientResources):
        world.a.resize(machine.id, 4096, None, Context())
    assert world.a.inspect(machine.id) == machine


def test_memory_goes_down_and_up_by_the_balloon(world: World) -> None:
    machine = world.running()
    world.a.resize(machine.id, None, Bytes("100MiB"), Context(60))
    assert abs(world.a.inspect(machine.id).memory - 100 * MIB) <= MIB // 16
    world.a.resize(machine.id, None, Bytes("128MiB"), Context(60))
    assert abs(world.a.inspect(machine.id).memory - 128 * MIB) <= MIB // 16


def test_a_guest_that_keeps_its_memory_is_left_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal_libvirt.resizing.BALLOON_S", 0.5)
    # Without a guest nobody moves the balloon.
    machine = world.a.create(MachineSpec(name="deaf", memory="32MiB"), Context())
    world.a.start(machine.id, Context())
    with pytest.raises(Unsupported, match="driver for its balloon"):
        world.a.resize(machine.id, None, Bytes("16MiB"), Context())
    assert world.a.inspect(machine.id).memory == 32 * MIB
    with pytest.raises(OperationTimeout):
        world.a.resize(machine.id, None, Bytes("16MiB"), Context(0.1))
    world.a.stop(machine.id, StopMode.FORCED, Context())
    assert world.a.inspect(machine.id).memory == 32 * MIB


def test_usage_is_told_of_all_that_run(world: World) -> None:
    idle = world.a.create(world.spec(), Context())
    machine = world.running(world.spec(disks=(Disk(size="16MiB"),)))
    first = world.a.usage()
    assert idle.id not in first
    used = first[machine.id]
    assert used.cpu_s > 0
    assert used.memory > 10 * MIB
    assert used.read is not None
    wait_until(lambda: world.a.usage()[machine.id].cpu_s > used.cpu_s, deadline=60, what="processor time")
    assert world.a.usage()[machine.id].time_s > used.time_s
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
