"""The same backend on a real docker: what is the same there, and what it says that it can't."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
from vhal_containers.api import ApiError, Connection, Docker
from vhal_containers.api.docker_creation import creation
from vhal_containers.driver import ContainersDriver

from tests.parity.limits import tells
from tests.testbed import Engine
from vhal.driver import (
    CREATE,
    EXEC,
    FILES,
    METRICS,
    MIGRATION,
    PAUSE,
    RESIZE,
    SAVE,
    SNAPSHOTS,
    Answer,
    Capability,
    Context,
    Event,
    EventKind,
    HostUrl,
    MigrationPolicy,
    Offer,
    StopMode,
)
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    ImageRejected,
    InvalidSpec,
    InvalidState,
    NotFound,
    OperationTimeout,
    Unsupported,
    VhalError,
)
from vhal.host import connect
from vhal.spec import (
    BootArchive,
    BootImage,
    BootRootfs,
    Bytes,
    Cpus,
    Gpu,
    Health,
    MachineKind,
    MachineSpec,
    MachineState,
    Mount,
    Nic,
    Process,
    Ulimit,
)
from vhal.testing import BackendSuite, Harness

from . import containers_place, docker_place
from .containers_place import DEAF, FOREVER, Place, settle
from .docker_place import IMAGE

place, docker_node = docker_place.place, docker_place.docker_node
counted, ctx = containers_place.counted, containers_place.ctx

MIB = 1 << 20


def group(place: Place, name: str, file: str) -> int:
    """Return a number of a machine's control group, read on the host."""
    container = place.driver.inventory.find(name).podman_id
    return int(place.run("cat", f"/sys/fs/cgroup/{file.partition('.')[0]}/docker/{container}/{file}"))


def said(place: Place, name: str) -> list[str]:
    return place.run("docker", "logs", name).splitlines()


def empty(place: Place) -> bool:
    volumes = place.run("docker", "volume", "ls", "-q").split()
    return place.run("docker", "ps", "-aq") == "" and set(volumes) <= {"vhal-host"}


# who it is


def test_it_is_docker_and_known_again(place: Place, docker_node: Engine) -> None:
    assert isinstance(place.driver.engine.api, Docker)
    info = place.host.info()
    assert (info.name, info.cpus.arch) == (docker_node.name, "x86_64")
    assert {"docker", "runc", "containerd", "kernel"} <= info.versions.keys()
    assert info.versions["docker"].startswith("20.10")
    assert info.memory > 0
    assert place.driver.engine.version == (20, 10)
    assert not place.driver.engine.facts().info.rootless
    again = ContainersDriver.open(HostUrl.parse(docker_node.url))
    assert again.host_id == place.driver.host_id
    again.close()


def test_two_that_connect_first_at_once_agree(place: Place) -> None:
    place.driver.engine.api.volumes.remove("vhal-host")
    ids: list[str] = []

    def look() -> None:
        driver = ContainersDriver.open(HostUrl.parse(place.node.url))
        ids.append(driver.host_id)
        driver.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 4
    assert len(set(ids)) == 1


def test_what_it_can(place: Place) -> None:
    for capability in (CREATE, PAUSE, EXEC, FILES, METRICS, RESIZE, SNAPSHOTS):
        assert place.host.can(capability), capability.id


# life


def test_a_whole_life(place: Place) -> None:
    machine = place.host.create(place.spec("mm"))
    assert machine.state() is MachineState.STOPPED
    machine.start()
    assert machine.state() is MachineState.RUNNING
    machine.pause()
    assert machine.state() is MachineState.PAUSED
    machine.resume()
    machine.reboot()
    assert machine.state() is MachineState.RUNNING
    machine.stop(timeout_s=30)
    assert machine.state() is MachineState.STOPPED
    machine.delete()
    assert empty(place)


def test_one_that_does_not_listen_goes_on_until_it_is_forced(place: Place) -> None:
    machine = place.host.create(place.spec("mm", command=DEAF))
    machine.start()
    with pytest.raises(OperationTimeout):
        machine.stop(timeout_s=0.5)
    machine.pause()
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED


def test_all_are_listed_in_two_requests(place: Place, counted: Callable[[], int]) -> None:
    for number in range(4):
        place.host.create(place.spec(f"m{number}"))
    place.host.machine("m0").start()
    counted()
    states = {machine.name: machine.seen.state for machine in place.host.machines()}
    assert counted() == 2
    assert states == {"m0": MachineState.RUNNING, **dict.fromkeys(("m1", "m2", "m3"), MachineState.STOPPED)}


def test_starting_one_that_somebody_else_started_is_refused(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("mm"))
    place.run("docker", "start", "mm")
    with pytest.raises(InvalidState):
        place.driver.start(machine.id, ctx)
    with pytest.raises(ApiError) as caught:
        place.driver.delete(machine.id, ctx)
    assert isinstance(place.driver.translate(caught.value), InvalidState)
    assert machine.state() is MachineState.RUNNING
    place.driver.stop(machine.id, StopMode.FORCED, ctx)


def test_it_is_gone_when_docker_removed_it(place: Place) -> None:
    machine = place.host.create(place.spec("mm"))
    place.run("docker", "rm", "-f", "mm")
    with pytest.raises(NotFound):
        machine.start()


@pytest.mark.parametrize("ref", ["none", "..", ".", "a/b", "a?b", "json", "ä", " "])
def test_what_is_no_machine_is_not_found(place: Place, ref: str) -> None:
    place.host.create(place.spec("mm"))
    with pytest.raises(NotFound):
        place.driver.inspect(ref)


def test_a_beginning_of_several_ids_is_nobodys(place: Place) -> None:
    for number in range(17):  # two of them begin with the same digit
        place.run("docker", "create", "--name", f"m{number}", IMAGE)
    firsts = [container.id[0] for container in place.driver.engine.api.containers.list()]
    first = next(digit for digit in firsts if firsts.count(digit) > 1)
    with pytest.raises(NotFound):
        place.driver.inspect(first)


# what it is made with


def test_the_limits_are_in_force_and_stay_so(place: Place) -> None:
    machine = place.host.create(place.spec("mm", memory="48MiB", cpus=Cpus(count=1, pinning={0: "1"})))
    machine.start()
    assert group(place, "mm", "memory.limit_in_bytes") == 48 * MIB
    assert group(place, "mm", "memory.memsw.limit_in_bytes") == 48 * MIB
    assert group(place, "mm", "cpu.cfs_quota_us") == group(place, "mm", "cpu.cfs_period_us")
    assert group(place, "mm", "cpuset.cpus") == 1
    machine.resize(memory="64MiB")
    assert group(place, "mm", "memory.limit_in_bytes") == 64 * MIB
    machine.reboot()
    machine.stop(timeout_s=30)
    machine.resize(memory="96MiB")
    assert machine.info().memory == 96 * MIB
    machine.start()
    assert group(place, "mm", "memory.limit_in_bytes") == 96 * MIB
    assert place.driver.inventory.find("mm").container.limits.memory == 96 * MIB


def test_one_that_takes_more_memory_than_it_has_is_ended(place: Place) -> None:
    machine = place.host.create(place.spec("mm", memory="16MiB", command=("/bin/counter", "64")))
    machine.start()
    settle(lambda: not machine.info().state.active, "the over-eater lives")
    assert place.driver.inventory.find("mm").container.state.exit_code == 137


def test_the_process_is_what_was_asked_for(place: Place) -> None:
    script = "id -u; id -g; pwd; echo $A; hostname; ulimit -n; touch /x; grep CapBnd /proc/1/status; sleep 60"
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
    place.host.create(place.spec("mm", command=("-c", script), process=process)).start()
    settle(lambda: "CapBnd" in place.run("docker", "logs", "mm"), "it doesn't say so")
    lines = said(place, "mm")
    assert lines[:6] == ["12", "34", "/srv", "b=c d", "mm", "100"]
    bounding = int(lines[-1].split()[-1], 16)
    assert bounding >> 12 & 1
    assert not bounding & 1
    found = place.driver.inventory.find("mm").container
    assert (found.stop_signal, found.stop_timeout) == (10, 10)
    assert "Read-only" in place.node.run(["docker", "logs", "mm"]).stderr


def test_mounts(place: Place) -> None:
    place.run("mkdir", "-p", "/srv/in")
    place.run("sh", "-c", "echo hello >/srv/in/file")
    mounts = [
        Mount(target="/in", path="/srv/in", read_only=True),
        Mount(target="/data", volume="data"),
        Mount(target="/scratch", tmpfs=Bytes("1MiB")),
    ]
    script = "cat /in/file; touch /in/x || echo no; touch /data/x && grep scratch /proc/mounts; sleep 60"
    machine = place.host.create(place.spec("mm", command=("/bin/sh", "-c", script), mounts=mounts))
    machine.start()
    settle(lambda: "scratch" in place.run("docker", "logs", "mm"), "it doesn't say so")
    lines = said(place, "mm")
    assert lines[:2] == ["hello", "no"]
    assert all(option in lines[2] for option in ("size=1024k", "nosuid", "nodev"))
    assert "noexec" not in lines[2]
    machine.delete(force=True)
    assert empty(place)


def test_networks(place: Place) -> None:
    place.run("docker", "network", "create", "--subnet", "10.7.0.0/24", "lan")
    machine = place.host.create(place.spec("mm", nics=[Nic(network="lan", ip="10.7.0.9", mac="52:54:00:00:00:07")]))
    machine.start()
    (attachment,) = place.driver.inventory.find("mm").container.networks
    assert (attachment.network, attachment.address, attachment.mac) == ("lan", "10.7.0.9", "52:54:00:00:00:07")
    with pytest.raises(AlreadyExists):
        place.host.create(place.spec("nn", nics=[Nic(network="lan", ip="10.7.0.9")]))
    place.host.create(place.spec("dd", nics=[Nic()])).start()
    (attachment,) = place.driver.inventory.find("dd").container.networks
    assert attachment.network == "bridge"
    place.host.create(place.spec("none")).start()
    assert place.driver.inventory.find("none").container.network_mode == "none"


def test_a_macvlan_with_an_address_of_its_own(place: Place) -> None:
    place.run("docker", "network", "create", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.99.0.0/24", "cable")
    nic = Nic(network="cable", ip="10.99.0.150", mac="52:54:00:00:00:08")
    place.host.create(place.spec("mm", nics=[nic])).start()
    (attachment,) = place.driver.inventory.find("mm").container.networks
    assert (attachment.address, attachment.mac) == ("10.99.0.150", "52:54:00:00:00:08")


def test_an_archive_is_sent_and_booted(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with place.driver.engine.api.images.save(IMAGE) as saved, archive.open("wb") as file:
        for piece in saved:
            file.write(piece)
    place.host.create(place.spec("mm", boot=BootArchive(archive=str(archive)))).start()
    assert place.driver.inventory.find("mm").container.image == place.driver.engine.api.images.inspect(IMAGE).id


def test_an_archive_of_something_else_is_rejected(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "other.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("x"), io.BytesIO(b""))
    with pytest.raises(ImageRejected):
        place.host.create(place.spec("mm", boot=BootArchive(archive=str(archive))))
    assert empty(place)


def test_what_can_not_be_fetched_is_not_there(place: Place) -> None:
    with pytest.raises(NotFound):
        place.host.create(place.spec("mm", boot=BootImage(image="127.0.0.1:9/nothing:1")))
    assert empty(place)


def test_readiness_is_the_health_check(place: Place) -> None:
    check = ("/bin/sh", "-c", "test -e /tmp/up")
    machine = place.host.create(place.spec("mm", process={"health": Health(command=check, timeout_s=5)}))
    machine.start()
    with pytest.raises(OperationTimeout):
        machine.wait("ready", timeout_s=0.5)
    place.run("docker", "exec", "mm", "sh", "-c", "mkdir -p /tmp; touch /tmp/up")
    machine.wait("ready", timeout_s=30)


# programs, files, what it says, what it uses


def test_programs(place: Place) -> None:
    machine = place.host.create(place.spec("mm"))
    machine.start()
    done = machine.exec(["/bin/sh", "-c", "cat; echo error >&2; exit 7"], input=b"in")
    assert (done.output, done.errors, done.exit_code) == (b"in", b"error\n", 7)
    done = machine.exec(["/bin/sh", "-c", "echo OCI runtime exec failed: not really; exit 127"])
    assert (done.output, done.exit_code) == (b"OCI runtime exec failed: not really\n", 127)
    assert machine.exec(["/bin/sh", "-c", "kill -9 $$"]).exit_code == 128 + 9
    for terminal in (False, True):
        for command in ("no-such-program", "/no/such/program"):
            with pytest.raises(NotFound):
                machine.spawn([command], terminal=terminal)
        with pytest.raises(AccessDenied):
            machine.spawn(["/etc"], terminal=terminal)
    with pytest.raises(NotFound):
        machine.exec(["/bin/true"], user="nobody-here")
    with pytest.raises(NotFound):
        machine.exec(["/bin/true"], cwd="/no/such/folder")


def test_files(place: Place, tmp_path: Path) -> None:
    machine = place.host.create(place.spec("mm"))
    machine.write_file("/srv/file", b"one")
    machine.start()
    assert machine.read_file("/srv/file") == b"one"
    with pytest.raises(NotFound):
        machine.read_file("/srv/nothing")
    with pytest.raises(VhalError):
        machine.write_file("/srv/no/such/folder/file", b"one")
    machine.exec(["/bin/ln", "-s", "/srv", "/link"], check=True)
    machine.write_file("/link/other", b"two")
    assert machine.read_file("/srv/other") == b"two"


def test_the_console(place: Place) -> None:
    machine = place.host.create(place.spec("mm", command=("/bin/sh",), process={"terminal": True}))
    machine.start()
    with machine.console() as console:
        console.write(b"echo 4$((1+1))\n")
        heard = b""
        while b"42" not in heard:
            piece = console.read(timeout_s=30)
            assert piece, heard
            heard += piece


def test_what_machines_use(place: Place) -> None:
    machine = place.host.create(place.spec("mm", nics=[Nic()]))
    place.host.create(place.spec("off"))
    machine.start()
    used = place.host.usage()
    assert used.keys() == {machine.id}
    assert used[machine.id].memory
    assert used[machine.id].processes
    assert used[machine.id].cpu_s


def test_events(place: Place) -> None:
    told: list[Event] = []
    cancel = place.driver.subscribe(told.append)
    machine = place.host.create(place.spec("mm"))
    machine.start()
    machine.pause()
    machine.resume()
    machine.reboot()
    machine.resize(memory="64MiB")
    machine.stop(timeout_s=30)
    machine.delete()
    settle(lambda: any(event.kind is EventKind.DELETED for event in told), "nobody told of its end")
    cancel()
    mine = [event for event in told if event.machine_id == machine.id]
    assert [event.kind for event in mine] == [
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.PAUSED,
        EventKind.RESUMED,
        # Of a restart docker tells what it consists of, and that it was one when it is over.
        EventKind.STOPPED,
        EventKind.STARTED,
        EventKind.REBOOTED,
        EventKind.CHANGED,
        EventKind.STOPPED,
        EventKind.DELETED,
    ]
    assert mine[-2].detail == "exit code 0"
    assert {event.machine for event in mine} == {"mm"}


# snapshots


def test_snapshots_of_files(place: Place) -> None:
    machine = place.host.create(place.spec("mm"))
    before = {image.id for image in place.driver.engine.api.images.list()}
    machine.start()
    machine.write_file("/srv/file", b"one")
    machine.snapshot("first")
    machine.write_file("/srv/file", b"two")
    machine.stop(force=True)
    assert [snapshot.name for snapshot in machine.snapshots()] == ["first"]
    told: list[Event] = []
    cancel = place.driver.subscribe(told.append)
    machine.revert("first")
    place.run("docker", "create", "--name", "last", IMAGE)
    settle(lambda: any(event.machine == "last" for event in told), "nobody told of the last one")
    cancel()
    # It was there all the time, whatever containers came and went.
    assert {event.kind for event in told if event.machine != "last"} == {EventKind.CHANGED}
    place.run("docker", "rm", "last")
    assert machine.read_file("/srv/file") == b"one"
    machine.start()
    machine.stop(force=True)
    machine.delete()
    assert empty(place)
    assert {image.id for image in place.driver.engine.api.images.list()} == before


def test_two_that_change_a_record_at_once_both_do(place: Place) -> None:
    records, id_ = place.driver.records, "0d6bb1d2-0000-4000-8000-000000000002"

    def add() -> None:
        for _ in range(5):
            records.change(id_, lambda record: type(record)(memory=(record.memory or 0) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records.of(id_).memory == 20
    records.remove(id_)


# containers of others


def test_containers_of_others_are_seen_and_driven(place: Place) -> None:
    place.run("docker", "run", "-d", "--name", "theirs", "--memory", "64m", "--cpus", "1", "-l", "a=b", IMAGE, *FOREVER)
    machine = place.host.machine("theirs")
    info = machine.info()
    assert (info.managed, info.state, info.memory, info.cpus) == (False, MachineState.RUNNING, 64 * MIB, 1)
    assert info.labels == {"a": "b"}
    assert place.host.machine(machine.id[:12]).name == "theirs"
    assert machine.exec(["/bin/echo", "hi"]).output == b"hi\n"
    machine.resize(cpus=2, memory="128MiB")
    assert group(place, "theirs", "memory.limit_in_bytes") == 128 * MIB
    machine.pause()
    machine.resume()
    machine.stop(timeout_s=30)
    machine.start()
    assert group(place, "theirs", "memory.limit_in_bytes") == 128 * MIB
    machine.delete(force=True)
    assert empty(place)


def test_one_that_docker_starts_again_is_stopped(place: Place) -> None:
    place.run("docker", "run", "-d", "--name", "theirs", "--restart", "always", IMAGE, *FOREVER)
    machine = place.host.machine("theirs")
    machine.stop(timeout_s=30)
    assert machine.state() is MachineState.STOPPED


# what docker can't


def test_remedies_are_in_its_words(place: Place) -> None:
    answer = place.host.can(CREATE, place.spec("mm", nics=[Nic(network="nowhere")]))
    assert "docker network create" in answer.blockers[0].remedy
    answer = place.host.can(CREATE, place.spec("mm", boot=BootImage(image="localhost/none:1")))
    assert "docker images" in answer.blockers[0].remedy
    with pytest.raises(VhalError) as caught:
        place.host.create(place.spec("mm", process={"command": ("/no/such/program",)})).start()
    assert "podman" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "m"}, "docker-name"),
        ({"boot": BootRootfs(rootfs="/srv/root")}, "docker-rootfs"),
        ({"gpus": [Gpu(cdi="vendor.com/gpu=0")]}, "docker-cdi"),
        ({"nics": [Nic(), Nic(network="lan")]}, "docker-nics"),
        ({"nics": [Nic(ip="172.17.0.9")]}, "docker-address"),
        ({"nics": [Nic(network="cable", mac="52:54:00:00:00:08")]}, "docker-mac"),
        ({"process": {"ulimits": {"as": Ulimit(soft=1 << 30, hard=1 << 30)}}}, "docker-ulimit"),
    ],
)
def test_what_it_can_not_make(place: Place, fields: dict[str, Any], code: str) -> None:
    place.run("docker", "network", "create", "lan")
    place.run("docker", "network", "create", "-d", "ipvlan", "-o", "parent=eth0", "--subnet", "10.98.0.0/24", "cable")
    place.run("mkdir", "-p", "/srv/root")
    spec = place.spec(**{"name": "mm", **fields})
    answer: Answer = place.host.can(CREATE, spec)
    assert code in [blocker.code for blocker in answer.blockers]
    assert all(blocker.message and blocker.remedy for blocker in answer.blockers)
    with pytest.raises(VhalError):
        place.host.create(spec)
    assert empty(place)


@pytest.mark.parametrize(("capability", "code"), [(SAVE, "docker-no-memory"), (MIGRATION, "docker-migration")])
def test_what_it_can_not_do(place: Place, capability: Capability[Any], code: str) -> None:
    machine = place.host.create(place.spec("mm"))
    machine.start()
    for subject in (None, machine.info()):
        answer = place.driver.can(capability, subject)
        assert [blocker.code for blocker in answer.blockers] == [code]
        assert all(blocker.remedy for blocker in answer.blockers)
    assert not place.host.can(capability)


def test_it_saves_nothing_and_says_why(place: Place, ctx: Context) -> None:
    machine = place.host.create(place.spec("mm"))
    machine.start()
    with pytest.raises(Unsupported, match="docker") as caught:
        machine.save()
    assert caught.value.hint
    with pytest.raises(Unsupported, match="docker"):
        machine.snapshot("s", memory=True)
    assert machine.snapshots() == []
    assert machine.state() is MachineState.RUNNING


@pytest.mark.parametrize("live", [True, False])
def test_it_moves_nothing_and_says_why(place: Place, live: bool) -> None:
    machine = place.host.create(place.spec("mm"))
    if live:
        machine.start()
    state, policy = machine.state(), MigrationPolicy(live=live)
    other = ContainersDriver.open(HostUrl.parse(place.node.url))
    # The same engine, which takes itself for another host.
    other.host_id = "0d6bb1d2-0000-4000-8000-000000000009"
    with connect(other) as elsewhere, pytest.raises(VhalError, match="docker"):
        machine.migrate(elsewhere, policy)
    assert machine.state() is state
    # A podman that offers a machine hears the same.
    migration = place.driver.provides(MIGRATION)
    assert migration is not None
    offer = Offer(backend="containers", host_uuid=other.host_id, machine=machine.info(), state=state)
    assert [blocker.code for blocker in migration.examine(offer, policy).blockers] == ["docker-migration"]


def test_a_name_that_is_taken_and_a_volume_in_use(place: Place) -> None:
    place.host.create(place.spec("mm", mounts=[Mount(target="/data", volume="data")]))
    with pytest.raises(AlreadyExists):
        place.host.create(place.spec("mm"))
    with pytest.raises(ApiError) as caught:
        place.driver.engine.api.volumes.remove("data")
    assert isinstance(place.driver.translate(caught.value), Busy)
    with pytest.raises(ApiError) as caught:
        place.driver.engine.api.volumes.create("data")
    assert isinstance(place.driver.translate(caught.value), AlreadyExists)


def test_what_has_no_word_in_docker_is_refused_and_not_left_out() -> None:
    with pytest.raises(ApiError, match="rootfs"):
        creation({"name": "mm", "rootfs": "/srv/root"})
    with pytest.raises(ApiError, match="secrets"):
        creation({"name": "mm", "image": "x", "secrets": ["s"]})
    made = creation({"image": "x", "devices": [{"path": "vendor.com/gpu=0"}]})
    assert made["HostConfig"]["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0"]}]


# the engine itself


def docker_of(version: str, newest: str, oldest: str, **fields: Any) -> dict[str, Any]:
    return {"Version": version, "ApiVersion": newest, "MinAPIVersion": oldest, "Components": [], **fields}


@pytest.fixture
def pretend() -> Iterator[Callable[[dict[str, Any]], Path]]:
    """Return a function that has a socket answer ``/version`` and nothing else."""
    with tempfile.TemporaryDirectory(prefix="vc-") as folder, contextlib.ExitStack() as stack:

        def serve(version: dict[str, Any]) -> Path:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    known = self.path.endswith("/version")
                    body = json.dumps(version if known else {"message": "page not found"}).encode()
                    self.send_response(200 if known else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def address_string(self) -> str:
                    return "local"

                def log_message(self, format: str, *args: Any) -> None:
                    pass

            server = stack.enter_context(ThreadingUnixStreamServer(f"{folder}/docker.sock", Handler))
            server.daemon_threads = True
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return Path(f"{folder}/docker.sock")

        yield serve


@pytest.mark.parametrize("version", ["1.40", "1.12"])
def test_one_that_is_too_old(pretend: Callable[[dict[str, Any]], Path], version: str) -> None:
    socket = pretend(docker_of("19.3.15", version, "1.12"))
    with pytest.raises(Unsupported, match=r"docker 19.3.15 is too old") as caught:
        ContainersDriver.open(HostUrl.parse(f"containers+unix://{socket}"))
    assert "20.10" in str(caught.value.hint)


@pytest.mark.parametrize(
    "version",
    [{}, {"ApiVersion": "1.41"}, docker_of("3.4.4", "1.40", "1.24", Components=[{"Name": "Podman Engine"}])],
)
def test_one_that_is_neither(pretend: Callable[[dict[str, Any]], Path], version: dict[str, Any]) -> None:
    socket = pretend(version)
    with pytest.raises(Unsupported, match=r"no podman"):
        ContainersDriver.open(HostUrl.parse(f"containers+unix://{socket}"))


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"), [("1.41", "1.12", "/v1.41"), ("1.52", "1.44", "/v1.44"), ("1.47", "1.24", "/v1.41")]
)
def test_the_oldest_version_of_the_api_that_is_new_enough_is_spoken(
    pretend: Callable[[dict[str, Any]], Path], newest: str, oldest: str, spoken: str
) -> None:
    with Connection(pretend(docker_of("29.0.0", newest, oldest))) as link:
        engine = Docker.behind(link, timeout_s=10)
        assert link.root == spoken
        assert engine is not None
        assert (engine.version().version, engine.version().api) == ("29.0.0", newest)


def test_an_engine_that_is_restarted_keeps_its_machines(place: Place) -> None:
    machine = place.host.create(place.spec("mm"))
    machine.start()
    container = place.driver.inventory.find("mm").container
    place.node.signal_service(signal.SIGKILL)
    place.node.start_service()
    settle(lambda: machine.state() is MachineState.RUNNING, "it isn't there any more")
    assert place.driver.inventory.find("mm").container.state.pid == container.state.pid


def test_an_address_outside_of_the_network(place: Place) -> None:
    place.run("docker", "network", "create", "--subnet", "10.7.0.0/24", "lan")
    with pytest.raises(InvalidSpec):
        place.host.create(place.spec("mm", nics=[Nic(network="lan", ip="10.8.0.9")]))


def _spec(name: str) -> MachineSpec:
    health = Health(command=("/bin/busybox", "true"))
    return MachineSpec(
        name=name,
        kind=MachineKind.CONTAINER,
        memory="32MiB",
        boot=BootImage(image=IMAGE),
        process=Process(command=("/bin/counter",), health=health),
    )


class TestDocker(BackendSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _harness(cls, docker_node: Engine) -> None:
        url = HostUrl.parse(docker_node.url)
        cls.harness = Harness(open=lambda: ContainersDriver.open(url), spec=_spec, slow=True, tells=tells("docker"))
