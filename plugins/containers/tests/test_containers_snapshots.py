"""Snapshots of machines on a real engine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vhal_containers import criu
from vhal_containers.api import ApiError, Unreachable
from vhal_containers.snapshots import ASIDE, repository

from tests.testbed import wait_until
from vhal.driver import SNAPSHOTS, Event, EventKind
from vhal.errors import AlreadyExists, HostUnreachable, InvalidState, NotFound, Unsupported, VhalError
from vhal.machine import Machine
from vhal.spec import BootImage, BootRootfs, MachineSpec, MachineState, Mount, Nic

from . import containers_place
from .containers_place import Place

place = containers_place.place

IMAGE = "localhost/counter:1"
SAID_S = 30.0
MIB = 1 << 20
COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/new; mv /new /count; sleep 0.02; done")


@pytest.fixture(autouse=True)
def _without_images(place: Place) -> Iterator[None]:
    """Have each test begin and end without images of snapshots."""
    yield
    api = place.driver.engine.api
    for container in api.containers.list():
        api.containers.delete(container.id, force=True, volumes=True)
    for image in api.images.list():
        if IMAGE not in image.names:
            api.images.remove(image.id, force=True)


def images(place: Place) -> set[str]:
    return {name for image in place.driver.engine.api.images.list() for name in image.names or (image.id,)}


def containers(place: Place) -> list[str]:
    return sorted(container.name for container in place.driver.engine.api.containers.list())


def count(machine: Machine) -> int:
    return int(machine.read_file("/count"))


def counting(place: Place, name: str = "m", **fields: Any) -> Machine:
    machine = place.host.create(place.spec(name, **{"command": COUNT, **fields}))
    machine.start()
    wait_until(lambda: machine.exec(["test", "-s", "/count"]).exit_code == 0, deadline=SAID_S, what="it counts")
    wait_until(lambda: count(machine) > 10, deadline=SAID_S, what="ten counts")
    return machine


def goes_on(machine: Machine, after: int) -> None:
    """Check that it goes on from ``after``, and neither from 1 nor from where it was stopped later."""
    wait_until(lambda: count(machine) > after, deadline=SAID_S, what="it goes on")


def make_full(place: Place) -> Machine:
    process = {"env": {"TOKEN": "secret"}, "cwd": "/srv", "user": "0:7", "stop_signal": "SIGUSR1"}
    place.run("mkdir", "-p", "/srv/host")
    machine = place.host.create(
        place.spec(
            "m",
            command=("/bin/sh", "-c", "while :; do sleep 0.05; done"),
            process=process,
            labels={"team": "blue"},
            nics=[Nic(ip="10.88.0.77", mac="52:54:00:00:00:77")],
            mounts=[
                Mount(target="/data", volume="data"),
                Mount(target="/host", path="/srv/host", read_only=True),
                Mount(target="/scratch", tmpfs="1MiB"),
            ],
        )
    )
    machine.start()
    return machine


def described(place: Place, name: str) -> dict[str, Any]:
    """Return what must be the same of a machine's container, whichever it is."""
    made = place.driver.inventory.find(name).container
    return {
        "name": made.name,
        "labels": {key: value for key, value in made.labels.items() if ".snapshot." not in key},
        "path": (made.path, made.arguments, made.entrypoint, made.command),
        "env": sorted(made.env),
        "process": (made.user, made.cwd, made.terminal, made.stdin, made.stop_signal, made.stop_timeout, made.hostname),
        "limits": made.limits,
        "mounts": sorted((mount.type, mount.name, mount.target, mount.writable) for mount in made.mounts),
        "networks": sorted((place.network, place.address, place.mac) for place in made.networks),
        "health": made.has_healthcheck,
    }


def test_its_files_are_as_they_were_and_it_is_the_same_machine(place: Place) -> None:
    machine = make_full(place)
    machine.resize(memory="48MiB")
    before, info = described(place, "m"), machine.info()
    machine.write_file("/etc/then", b"then")
    machine.write_file("/data/kept", b"1")
    taken = machine.snapshot("first")
    assert machine.state() is MachineState.RUNNING
    assert taken.created > 1e9
    machine.write_file("/etc/then", b"later")
    machine.write_file("/etc/new", b"x")
    machine.write_file("/data/kept", b"2")
    machine.stop(force=True)
    machine.revert("first")
    assert machine.state() is MachineState.STOPPED
    assert machine.read_file("/etc/then") == b"then"
    with pytest.raises(NotFound):
        machine.read_file("/etc/new")
    assert containers(place) == ["m"]
    machine.start()
    assert described(place, "m") == before
    after = machine.info()
    assert after.model_copy(update={"state": info.state}) == info
    assert place.host.machine("m").id == info.id == place.host.machines()[0].id
    assert place.group("m", "memory.limit_in_bytes") == 48 * MIB
    # Volumes are no part of it.
    assert machine.read_file("/data/kept") == b"2"
    assert machine.exec(["sh", "-c", "echo $TOKEN; pwd; id -g"]).output == b"secret\n/srv\n7\n"


def test_the_image_says_what_it_is(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.snapshot("first")
    image = place.driver.engine.api.images.inspect(f"{repository(machine.id)}:first")
    told = {key: value for key, value in image.labels.items() if ".snapshot." in key}
    assert told == {
        "io.vhal.snapshot.machine": machine.id,
        "io.vhal.snapshot.name": "first",
        "io.vhal.snapshot.memory": "false",
    }
    # No machine appears because of it.
    place.run("podman", "create", "--name", "copy", f"{repository(machine.id)}:first")
    assert {one.name: one.seen.managed for one in place.host.machines()} == {"m": True, "copy": False}


def test_what_the_image_would_run_is_run_by_the_snapshot(place: Place) -> None:
    api = place.driver.engine.api
    made = place.host.create(place.spec("base"))
    changes = ['ENTRYPOINT ["/bin/busybox", "sh", "-c"]', 'CMD ["echo hello; sleep 1000"]', "VOLUME /anon"]
    api.containers.commit("base", "localhost/entry", "1", changes=changes)
    made.delete()
    spec = place.spec("m", boot=BootImage(image="localhost/entry:1"))
    machine = place.host.create(MachineSpec(**{**dict(spec), "process": None}))
    machine.start()
    machine.write_file("/anon/x", b"kept")
    before = described(place, "m")
    machine.snapshot("first")
    machine.stop(force=True)
    machine.revert("first")
    machine.start()
    assert described(place, "m") == before
    assert machine.read_file("/anon/x") == b"kept"
    wait_until(lambda: "hello" in place.run("podman", "logs", "m"), deadline=SAID_S, what="it says hello")
    machine.delete(force=True)


def test_with_its_memory_it_goes_on_from_there(place: Place) -> None:
    machine = counting(
        place, nics=[Nic(ip="10.88.0.78", mac="52:54:00:00:00:78")], mounts=[Mount(target="/data", volume="data")]
    )
    machine.resize(memory="64MiB")
    machine.write_file("/data/kept", b"1")
    before, info = described(place, "m"), machine.info()
    begun = count(machine)
    taken = machine.snapshot("live", memory=True)
    assert taken.memory
    then = count(machine)
    goes_on(machine, then)
    machine.write_file("/data/kept", b"2")
    wait_until(lambda: count(machine) > 3 * then, deadline=SAID_S, what="it is much further")
    far = count(machine)
    machine.stop(force=True)
    machine.revert("live")
    assert machine.state() is MachineState.RUNNING
    assert begun <= count(machine) < far
    goes_on(machine, then)
    assert containers(place) == ["m"]
    assert described(place, "m") == before
    assert machine.info() == info
    assert place.group("m", "memory.limit_in_bytes") == 64 * MIB
    assert machine.read_file("/data/kept") == b"2"
    # And again, from what it is made of now.
    machine.stop(force=True)
    machine.revert("live")
    goes_on(machine, then)
    machine.stop(force=True)
    machine.start()
    assert machine.exec(["true"]).exit_code == 0


def test_of_a_paused_one(place: Place) -> None:
    machine = counting(place)
    machine.pause()
    machine.snapshot("files")
    machine.snapshot("live", memory=True)
    assert machine.state() is MachineState.PAUSED
    machine.stop(force=True)
    machine.revert("live")
    assert machine.state() is MachineState.RUNNING


def test_back_and_forth(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.write_file("/etc/v", b"1")
    machine.snapshot("one")
    machine.write_file("/etc/v", b"2")
    machine.snapshot("two", memory=True)
    machine.stop(force=True)
    for _ in range(2):
        machine.revert("one")
        assert machine.read_file("/etc/v") == b"1"
        machine.revert("two")
        assert machine.read_file("/etc/v") == b"2"
        machine.stop(force=True)
    machine.revert("one")
    machine.start()
    # A snapshot with memory of what was made from a snapshot, which is then forgotten.
    machine.write_file("/etc/w", b"3")
    machine.snapshot("three", memory=True)
    machine.stop(force=True)
    machine.revert("two")
    machine.delete_snapshot("one")
    machine.stop(force=True)
    machine.revert("three")
    assert (machine.read_file("/etc/v"), machine.read_file("/etc/w")) == (b"1", b"3")
    machine.stop(force=True)
    machine.delete_snapshot("two")
    assert [kept.name for kept in machine.snapshots()] == ["three"]
    machine.delete()
    assert images(place) == {IMAGE}


def test_what_the_machine_is_made_of_goes_with_it(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.snapshot("one")
    machine.revert("one")
    machine.delete_snapshot("one")
    assert machine.snapshots() == []
    # The machine itself needs the image still.
    assert f"{repository(machine.id)}:one" in images(place)
    machine.snapshot("one")
    machine.revert("one")
    machine.start()
    machine.delete(force=True)
    assert images(place) == {IMAGE}


def test_names(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.snapshot("a.B-c_1")
    with pytest.raises(AlreadyExists, match=r"a\.B-c_1"):
        machine.snapshot("a.B-c_1")
    for call in (machine.revert, machine.delete_snapshot):
        with pytest.raises(NotFound, match="no snapshot") as caught:
            call("other")
        assert "a.B-c_1" in (caught.value.hint or "")
    machine.revert("a.B-c_1")


def test_an_image_that_somebody_removed(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.snapshot("one")
    place.run("podman", "image", "rm", f"{repository(machine.id)}:one")
    with pytest.raises(NotFound, match="was removed") as caught:
        machine.revert("one")
    assert "delete_snapshot()" in (caught.value.hint or "")
    assert machine.state() is MachineState.STOPPED
    machine.delete_snapshot("one")
    assert machine.snapshots() == []


def test_what_it_hangs_on_is_gone(place: Place) -> None:
    place.run("podman", "network", "create", "lan")
    place.run("mkdir", "-p", "/srv/folder")
    machine = counting(place, nics=[Nic(network="lan")], mounts=[Mount(target="/x", path="/srv/folder")])
    machine.snapshot("files")
    machine.snapshot("live", memory=True)
    machine.stop(force=True)
    before = place.driver.inventory.find("m").podman_id
    place.run("rmdir", "/srv/folder")
    for name in ("files", "live"):
        with pytest.raises(VhalError) as caught:
            machine.revert(name)
        assert caught.value.hint
        assert machine.state() is MachineState.STOPPED
        assert place.driver.inventory.find("m").podman_id == before
        assert containers(place) == ["m"]
    place.run("mkdir", "/srv/folder")
    machine.revert("live")
    assert machine.state() is MachineState.RUNNING


def test_machines_that_have_none(place: Place) -> None:
    place.run("podman", "create", "--name", "theirs", IMAGE)
    theirs = place.host.machine("theirs")
    with pytest.raises(Unsupported, match="didn't make") as caught:
        theirs.snapshot("one")
    assert caught.value.hint
    place.run("mkdir", "-p", "/srv/root")
    rootfs = place.host.create(place.spec("m", boot=BootRootfs(rootfs="/srv/root")))
    assert [blocker.code for blocker in place.host.can(SNAPSHOTS, rootfs.info()).blockers] == ["boot-rootfs"]
    with pytest.raises(Unsupported, match="folder of its host"):
        rootfs.snapshot("one")


def test_without_criu_only_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    blocker = criu._blocker("no-criu", "there is none", "install it")
    monkeypatch.setattr(criu, "blockers", lambda *_: [blocker])
    with pytest.raises(Unsupported, match="there is none"):
        machine.snapshot("live", memory=True)
    machine.snapshot("files")
    assert [kept.name for kept in machine.snapshots()] == ["files"]


def test_files_that_podman_would_forget(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.write_file("/etc/ours", b"1")
    machine.snapshot("base")
    machine.revert("base")
    machine.start()
    machine.exec(["sh", "-c", "echo 2 >/etc/new; rm -f /etc/group; mkdir /srv/folder"], check=True)
    machine.snapshot("live", memory=True)
    machine.write_file("/etc/ours", b"2")
    with pytest.raises(Unsupported, match="/etc/ours") as caught:
        machine.snapshot("later", memory=True)
    assert "without its memory" in (caught.value.hint or "")
    assert [kept.name for kept in machine.snapshots()] == ["base", "live"]
    machine.stop(force=True)
    machine.revert("live")
    assert (machine.read_file("/etc/ours"), machine.read_file("/etc/new")) == (b"1", b"2\n")
    with pytest.raises(NotFound):
        machine.read_file("/etc/group")


def test_no_memory_of_a_stopped_one(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    with pytest.raises(InvalidState):
        machine.snapshot("live", memory=True)
    assert images(place) == {IMAGE}


@pytest.mark.parametrize("memory", [False, True])
def test_a_snapshot_that_fails_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch, memory: bool) -> None:
    machine = counting(place)
    before = images(place)

    def lost(*_: object, **__: object) -> None:
        raise Unreachable("the engine went away", sent=True)

    with monkeypatch.context() as patched:
        patched.setattr(place.driver.records, "change", lost)
        with pytest.raises(HostUnreachable):
            machine.snapshot("one", memory=memory)
    assert images(place) == before
    assert machine.snapshots() == []
    goes_on(machine, count(machine))


@pytest.mark.parametrize("memory", [False, True])
def test_a_revert_that_fails_leaves_it_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch, memory: bool) -> None:
    machine = counting(place)
    machine.resize(memory="64MiB")
    machine.snapshot("one", memory=memory)
    machine.write_file("/etc/later", b"1")
    machine.stop(force=True)
    before = place.driver.inventory.find("m").podman_id
    api = place.driver.engine.api.containers

    def refused(*_: object, **__: object) -> None:
        raise ApiError(500, "it can't be done", "", "POST", "/x")

    with monkeypatch.context() as patched:
        patched.setattr(api, "update" if memory else "create", refused)
        with pytest.raises(VhalError):
            machine.revert("one")
    assert place.driver.inventory.find("m").podman_id == before
    assert containers(place) == ["m"]
    assert machine.state() is MachineState.STOPPED
    assert machine.read_file("/etc/later") == b"1"
    machine.revert("one")
    with pytest.raises(NotFound):
        machine.read_file("/etc/later")


def _rename_aside(place: Place, _: Machine) -> None:
    place.run("podman", "rename", "m", f"m{ASIDE}")


def _half_made(place: Place, machine: Machine) -> None:
    _rename_aside(place, machine)
    label = f"io.vhal.id={machine.id}"
    place.run("podman", "create", "--name", "m", "--label", label, IMAGE)


def _stands(place: Place, machine: Machine) -> None:
    api = place.driver.engine.api
    labels = api.containers.inspect("m").labels
    _rename_aside(place, machine)
    image = place.driver.records.of(machine.id).snapshots[0].image
    api.containers.create({"name": "m", "image": image, "labels": dict(labels), "netns": {"nsmode": "none"}})


@pytest.mark.parametrize(("left", "reverted"), [(_rename_aside, False), (_half_made, False), (_stands, True)])
@pytest.mark.parametrize("then", ["snapshot", "revert", "delete"])
def test_a_revert_that_somebody_died_over(
    place: Place, left: Callable[[Place, Machine], None], reverted: bool, then: str
) -> None:
    machine = place.host.create(place.spec("m"))
    machine.snapshot("one")
    machine.write_file("/etc/later", b"1")
    left(place, machine)
    if then == "delete":
        machine.delete()
        assert containers(place) == []
        assert images(place) == {IMAGE}
        return
    if then == "snapshot":
        machine.snapshot("two")
    else:
        machine.revert("one")
    assert containers(place) == ["m"]
    assert place.host.machine("m").id == machine.id
    if then == "snapshot" and not reverted:
        assert machine.read_file("/etc/later") == b"1"
    else:
        with pytest.raises(NotFound):
            machine.read_file("/etc/later")


def test_the_engine_dies_over_it(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=("/bin/counter", "64"), memory="128MiB"))
    machine.start()
    wait_until(lambda: (machine.usage().memory or 0) > 64 * MIB, deadline=60, what="its memory")
    failed: list[Exception] = []

    def snapshot() -> None:
        try:
            machine.snapshot("one", memory=True)
        except VhalError as error:
            failed.append(error)

    taking = threading.Thread(target=snapshot)
    taking.start()
    wait_until(lambda: "criu" in place.run("ps", "-eo", "args"), deadline=SAID_S, what="criu works")
    place.node.signal_service(signal.SIGKILL)
    taking.join(SAID_S)
    place.node.start_service()
    assert not taking.is_alive()
    assert [type(error) for error in failed] == [HostUnreachable]
    wait_until(lambda: "criu" not in place.run("ps", "-eo", "args"), deadline=60, what="criu has ended")
    assert machine.snapshots() == []
    if machine.state() is not MachineState.RUNNING:
        machine.start()
    machine.snapshot("one", memory=True)
    machine.delete(force=True)
    assert images(place) == {IMAGE}


@pytest.mark.parametrize("memory", [False, True])
def test_a_revert_changes_the_machine_and_neither_makes_nor_deletes_it(place: Place, memory: bool) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.snapshot("one", memory=memory)
    machine.stop(force=True)
    with place.host.events() as events:
        machine.revert("one")
        machine.reboot() if memory else machine.start()
        told: list[Event] = []
        while not told or told[-1].kind not in (EventKind.STARTED, EventKind.REBOOTED):
            event = events.next(SAID_S)
            assert event is not None, told
            told.append(event)
    last = [EventKind.RESTORED, EventKind.REBOOTED] if memory else [EventKind.STARTED]
    assert [event.kind for event in told] == [EventKind.CHANGED, *last]
    assert {(event.machine_id, event.machine) for event in told} == {(machine.id, "m")}
