"""Machines on a real engine: what they are made with, what they may use, how they start and end."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from vhal_containers.record import Snapshot

from vhal.driver import Context, StopMode
from vhal.errors import InvalidState, NotFound, OperationTimeout, Unsupported
from vhal.spec import Bytes, Cpus, Health, MachineState, Ulimit

from . import containers_place
from .containers_place import DEAF, Place, settle

place, ctx = containers_place.place, containers_place.ctx

MIB = 1 << 20


def test_the_limits_are_in_force(place: Place) -> None:
    cpus = Cpus(count=1, pinning={0: "1"})
    place.host.create(place.spec("m", memory="48MiB", cpus=cpus)).start()
    assert place.group("m", "memory.limit_in_bytes") == 48 * MIB
    assert place.group("m", "cpu.cfs_quota_us") == place.group("m", "cpu.cfs_period_us")
    assert place.group("m", "cpuset.cpus") == 1


def test_one_that_takes_more_memory_than_it_has_is_ended(place: Place) -> None:
    machine = place.host.create(place.spec("m", memory="16MiB", command=("/bin/counter", "64")))
    machine.start()
    settle(lambda: not machine.info().state.active, "the over-eater lives")
    found = place.driver.inventory.find("m")
    assert found.container.state.exit_code == 137
    assert found.info.state in (MachineState.STOPPED, MachineState.CRASHED)
    machine.start()


def test_sizes_that_were_changed_are_in_force_from_the_start(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("m"))
    place.driver.records.update(machine.id, memory=96 * MIB, cpus=2)
    assert (machine.info().cpus, machine.info().memory) == (2, 96 * MIB)
    machine.start()
    assert place.group("m", "memory.limit_in_bytes") == 96 * MIB
    assert place.group("m", "cpu.cfs_quota_us") == 2 * place.group("m", "cpu.cfs_period_us")
    machine.reboot()
    assert place.group("m", "memory.limit_in_bytes") == 96 * MIB
    machine.stop(timeout_s=30)
    machine.start()
    assert place.group("m", "memory.limit_in_bytes") == 96 * MIB
    assert place.host.machines()[0].seen.memory == 96 * MIB
    assert place.host.info().allocated.memory == 96 * MIB


def test_one_that_was_left_ready_to_start_starts(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "init", "m")
    assert machine.info().state is MachineState.STOPPED
    place.driver.records.update(machine.id, memory=64 * MIB)
    machine.start()
    assert place.group("m", "memory.limit_in_bytes") == 64 * MIB


def test_one_that_was_left_ready_to_start_is_deleted(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "init", "m")
    machine.delete()
    assert place.run("podman", "ps", "-aq") == ""


def test_one_that_does_not_listen_goes_on_running(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=DEAF))
    machine.start()
    with pytest.raises(OperationTimeout):
        machine.stop(timeout_s=0.5)
    assert machine.state() is MachineState.RUNNING
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED


def test_a_paused_one_is_forced_to_stop(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=DEAF))
    machine.start()
    machine.pause()
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED
    machine.delete()


def test_forcing_a_stopped_one_does_nothing(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("m"))
    place.driver.stop(machine.id, StopMode.FORCED, ctx)
    assert machine.state() is MachineState.STOPPED


def test_starting_one_that_somebody_else_started_is_refused(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "start", "m")
    with pytest.raises(InvalidState):
        place.driver.start(machine.id, ctx)


def test_deleting_one_that_somebody_has_just_started_leaves_it(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "start", "m")
    with pytest.raises(Exception, match="running"):
        place.driver.delete(machine.id, ctx)
    assert machine.state() is MachineState.RUNNING


def test_the_process_is_what_was_asked_for(place: Place) -> None:
    script = (
        "id -u; id -g; pwd; echo $A; hostname; ulimit -n; ulimit -u; touch /x; grep CapBnd /proc/1/status; sleep 60"
    )
    process = {
        "entrypoint": ("/bin/sh",),
        "user": "12:34",
        "cwd": "/srv",
        "env": {"A": "b=c d"},
        "read_only": True,
        "capabilities_add": {"CAP_NET_ADMIN"},
        "capabilities_drop": {"CAP_CHOWN"},
        "ulimits": {"nofile": Ulimit(soft=100, hard=200)},
        "stop_signal": "SIGUSR1",
    }
    machine = place.host.create(place.spec("m", command=("-c", script), process=process))
    machine.start()
    settle(lambda: "CapBnd" in place.run("podman", "logs", "m"), "it doesn't say so")
    said = place.run("podman", "logs", "m").splitlines()
    assert said[:5] == ["12", "34", "/srv", "b=c d", "m"]
    assert said[5] == "100"
    assert int(said[6]) <= 16384
    bounding = int(said[-1].split()[-1], 16)
    assert bounding >> 12 & 1
    assert not bounding & 1
    assert place.driver.inventory.find("m").container.stop_signal == 10
    assert "Read-only" in place.node.run(["podman", "logs", "m"]).stderr


def test_an_entrypoint_of_nothing_is_nothing(place: Place) -> None:
    machine = place.host.create(place.spec("m", process={"entrypoint": (), "command": ("/bin/echo", "hello")}))
    machine.start()
    settle(lambda: place.run("podman", "logs", "m") == "hello", "it doesn't run the command")


def test_a_terminal(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=("/bin/sh", "-c", "tty; sleep 60"), process={"terminal": True}))
    machine.start()
    settle(lambda: "/dev/pts" in place.run("podman", "logs", "m"), "it has no terminal")


def test_readiness_is_the_health_check(place: Place) -> None:
    check = ("/bin/sh", "-c", "test -e /tmp/up")
    machine = place.host.create(place.spec("m", process={"health": Health(command=check, timeout_s=1)}))
    machine.start()
    with pytest.raises(OperationTimeout):
        machine.wait("ready", timeout_s=0.5)
    place.run("podman", "exec", "m", "touch", "/tmp/up")
    machine.wait("ready", timeout_s=30)


def test_a_health_check_that_hangs_is_not_waited_for(place: Place) -> None:
    health = Health(command=("/bin/sleep", "600"), timeout_s=0.2)
    machine = place.host.create(place.spec("m", process={"health": health}))
    machine.start()
    with pytest.raises(OperationTimeout):
        machine.wait("ready", timeout_s=1)
    machine.stop(force=True)


def test_without_a_health_check_nobody_knows(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    with pytest.raises(Unsupported, match="no health check"):
        machine.wait("ready", timeout_s=5)


def test_a_saved_mark_counts_until_it_is_started(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.stop(force=True)
    place.driver.records.update(machine.id, saved_at=time.time())
    assert machine.state() is MachineState.SAVED
    assert place.host.machines()[0].seen.state is MachineState.SAVED
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED
    assert place.host.machines()[0].seen.state is MachineState.STOPPED


def test_a_checkpointed_one_is_saved_and_its_memory_can_be_discarded(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    place.run("podman", "container", "checkpoint", "m")
    assert machine.state() is MachineState.SAVED
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED
    machine.start()
    assert machine.state() is MachineState.RUNNING


def test_a_saved_one_is_deleted(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    place.run("podman", "container", "checkpoint", "m")
    machine.delete()
    assert place.run("podman", "ps", "-aq") == ""


def test_what_is_remembered_goes_with_the_machine(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    image = place.driver.engine.api.containers.commit("m", "localhost/kept", "1")
    place.driver.records.update(machine.id, snapshots=(Snapshot("s", 1.0, image=image),))
    assert place.driver.records.of(machine.id).snapshot("s") is not None
    machine.delete()
    assert place.driver.records.all() == {}
    assert not place.driver.engine.api.images.exists(image)


def test_a_record_survives_whoever_dies_while_it_is_changed(place: Place) -> None:
    records, volumes = place.driver.records, place.driver.engine.api.volumes
    id_ = "0d6bb1d2-0000-4000-8000-000000000001"
    records.update(id_, memory=1)
    first = volumes.list(filters={"label": ["io.vhal.machine"]})[0]
    records.update(id_, memory=2)
    # As if the one that wrote the second had died before it deleted the first.
    volumes.create(first.name, labels=first.labels)
    assert records.of(id_).memory == 2
    assert records.all()[id_].memory == 2
    records.update(id_, memory=3)
    assert len(volumes.list(filters={"label": ["io.vhal.machine"]})) == 1


def test_two_that_change_a_record_at_once_both_do(place: Place) -> None:
    records = place.driver.records
    id_ = "0d6bb1d2-0000-4000-8000-000000000002"

    def add() -> None:
        for _ in range(5):
            records.change(id_, lambda record: replace(record, memory=(record.memory or 0) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records.of(id_).memory == 20


def test_a_host_is_what_it_is(place: Place) -> None:
    info = place.host.info()
    assert info.name == place.node.name
    assert info.cpus.arch == "x86_64"
    assert {"podman", "runc", "conmon", "kernel"} <= info.versions.keys()
    assert info.free == info.capacity
    place.host.create(place.spec("m")).start()
    assert place.host.info().allocated.memory == Bytes("32MiB")


def test_it_is_gone_when_podman_removed_it(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "rm", "-f", "m")
    with pytest.raises(NotFound):
        machine.start()
