"""Listing and finding machines on a real engine: vhal's, podman's, and those that only look like one of vhal's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from vhal_containers.driver import ContainersDriver

from vhal.driver import HostUrl
from vhal.errors import NotFound, OperationTimeout, Unsupported
from vhal.host import connect
from vhal.spec import MachineState

from . import containers_place
from .containers_place import DEAF, FOREVER, Place

place, counted = containers_place.place, containers_place.counted

MIB = 1 << 20


def test_containers_of_others_are_seen_and_driven(place: Place) -> None:
    limits = ("--memory", "64m", "--cpus", "1.5", "--label", "team=blue")
    id_ = place.run("podman", "run", "-d", "--name", "theirs", *limits, "counter:1", *FOREVER)
    (machine,) = place.host.machines()
    assert (machine.id, machine.name, machine.seen.state) == (id_, "theirs", MachineState.RUNNING)
    assert (machine.seen.managed, machine.seen.labels) == (False, {"team": "blue"})
    assert machine.seen.cpus == machine.seen.memory == 0
    info = machine.info()
    assert (info.cpus, info.memory, info.spec) == (2, 64 * MIB, None)
    assert place.host.machine(id_[:12]).id == place.host.machine("theirs").id == id_
    machine.pause()
    machine.resume()
    machine.reboot()
    machine.stop(timeout_s=30)
    machine.start()
    machine.delete(force=True)
    assert place.run("podman", "ps", "-aq") == ""


@pytest.mark.parametrize("command", [FOREVER, DEAF])
def test_one_that_podman_would_start_again_stops_all_the_same(place: Place, command: tuple[str, ...]) -> None:
    place.run("podman", "run", "-d", "--name", "theirs", "--restart", "always", "counter:1", *command)
    machine = place.host.machine("theirs")
    if command is DEAF:
        with pytest.raises(OperationTimeout):
            machine.stop(timeout_s=1)
        machine.stop(force=True)
    else:
        machine.stop(timeout_s=30)
    assert machine.state() is MachineState.STOPPED
    assert machine.info().state is MachineState.STOPPED


def test_vhals_machines_are_usable_by_podman(place: Place) -> None:
    machine = place.host.create(place.spec("ours"))
    place.run("podman", "start", "ours")
    assert machine.state() is MachineState.RUNNING
    assert place.run("podman", "exec", "ours", "echo", "x") == "x"
    place.run("podman", "stop", "-t", "5", "ours")
    assert machine.state() is MachineState.STOPPED
    place.run("podman", "rename", "ours", "renamed")
    assert machine.info().name == "renamed"
    assert place.host.machine("renamed").id == machine.id
    with pytest.raises(NotFound):
        place.host.machine("ours")
    place.run("podman", "rm", "renamed")
    with pytest.raises(NotFound):
        machine.info()


def test_a_beginning_of_an_id_that_is_too_short_is_nobodys(place: Place) -> None:
    id_ = place.run("podman", "create", "counter:1", "/bin/counter")
    with pytest.raises(NotFound):
        place.host.machine(id_[:5])


@pytest.mark.parametrize(
    "ref", ["", "nope", "a/b", "../x", "%2e%2e", "x" * 300, "0d6bb1d2-0000-4000-8000-000000000001", "é"]
)
def test_what_is_not_there(place: Place, ref: str) -> None:
    with pytest.raises(NotFound):
        place.host.machine(ref)


def test_a_container_with_a_machines_labels_is_another_one(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    place.run("podman", "commit", "-q", "m", "localhost/copy:1")
    copy = place.run("podman", "create", "--name", "copy", "localhost/copy:1", "/bin/counter")
    listed = {found.name: found for found in place.host.machines()}
    assert (listed["m"].id, listed["copy"].id) == (machine.id, copy)
    assert (listed["m"].seen.managed, listed["copy"].seen.managed) == (True, False)
    assert place.host.machine(machine.id).name == "m"
    assert place.host.machine("copy").id == copy
    place.host.machine("copy").delete()
    assert machine.info().name == "m"


def test_labels_beyond_recognition_count_as_not_there(place: Place) -> None:
    for number, spec in enumerate(("", "{", "[]", '{"name": 1}', '{"name": "x", "cpus": {"count": "y"}}')):
        labels = (
            "--label",
            "io.vhal.id=0d6bb1d2-0000-4000-8000-00000000000" + str(number),
            "--label",
            f"io.vhal.spec={spec}",
        )
        place.run("podman", "create", "--label", "io.vhal.epoch=x", *labels, "counter:1", "/bin/counter")
    assert [machine.seen.managed for machine in place.host.machines()] == [False] * 5
    for machine in place.host.machines():
        machine.info()
        machine.delete()


def test_a_list_takes_two_requests_however_many_there_are(place: Place, counted: Callable[[], int]) -> None:
    script = 'for i in $(seq 30); do podman create --name "c$i" counter:1 /bin/counter; done'
    place.node.run(["sh", "-c", script], timeout=120)
    machine = place.host.create(place.spec("m"))
    place.driver.records.update(machine.id, memory=64 * MIB)
    counted()
    assert len(place.host.machines()) == 31
    assert counted() == 2
    machine.info()
    assert counted() == 2


def test_what_a_pod_is_held_together_by_is_not_a_machine(place: Place) -> None:
    place.run("podman", "pod", "create", "--infra-image", "counter:1", "--infra-command", "/bin/counter", "p")
    try:
        assert place.host.machines() == []
    finally:
        place.run("podman", "pod", "rm", "-f", "p")


def test_two_connections_are_one_host(place: Place) -> None:
    with connect(ContainersDriver.open(HostUrl.parse(place.node.url))) as other:
        assert other.info().uuid == place.host.info().uuid
    peer = place.driver.engine.host_id
    assert len(peer) == 36


def test_many_that_connect_for_the_first_time_agree_on_the_host(place: Place) -> None:
    import threading

    place.run("podman", "volume", "rm", "vhal-host")
    found: list[str] = []

    def open_() -> None:
        driver = ContainersDriver.open(HostUrl.parse(place.node.url))
        found.append(driver.host_id)
        driver.close()

    threads = [threading.Thread(target=open_) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_volume_of_somebody_else_in_the_hosts_place_is_left_alone(place: Place) -> None:
    place.run("podman", "volume", "rm", "vhal-host")
    place.run("podman", "volume", "create", "vhal-host")
    with pytest.raises(Unsupported, match="vhal-host"):
        ContainersDriver.open(HostUrl.parse(place.node.url))
    assert "vhal-host" in place.run("podman", "volume", "ls", "-q").split()


def test_the_two_engines_are_two_hosts(place: Place, engines: object) -> None:
    second = engines.lab.engines[1]  # type: ignore[attr-defined]
    other = ContainersDriver.open(HostUrl.parse(second.url))
    assert other.host_id != place.driver.host_id
    other.close()
