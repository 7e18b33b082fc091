"""Making machines on a real engine: images, volumes, networks, folders, GPUs, and all that can be wrong with them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vhal_containers.api import Unreachable

from tests.testbed import ContainerImage
from vhal.driver import CREATE, Answer, Context
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    HostUnreachable,
    ImageRejected,
    InsufficientResources,
    InvalidSpec,
    NotFound,
    OperationAborted,
    Unsupported,
)
from vhal.spec import (
    BootArchive,
    BootDisk,
    BootImage,
    BootRootfs,
    Cpus,
    Disk,
    Firmware,
    Gpu,
    Init,
    MachineKind,
    MachineSpec,
    Memory,
    Mount,
    Nic,
    Serial,
)

from . import containers_place
from .containers_place import Place, settle

place, ctx = containers_place.place, containers_place.ctx


def empty(place: Place) -> bool:
    """Return whether nothing of a machine is left on the engine."""
    volumes = place.run("podman", "volume", "ls", "-q").split()
    return place.run("podman", "ps", "-aq") == "" and set(volumes) <= {"vhal-host"}


def refused(place: Place, spec: MachineSpec, kind: type[Exception], code: str) -> None:
    """Check that the spec is refused, with a remedy, by the dry run and by the call alike, before any effect."""
    answer: Answer = place.host.can(CREATE, spec)
    assert [blocker.code for blocker in answer.blockers] == [code]
    assert all(blocker.remedy for blocker in answer.blockers)
    with pytest.raises(kind):
        place.host.create(spec)
    assert empty(place)


# images


def test_an_archive_is_sent_and_booted(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with place.driver.engine.api.images.save("localhost/counter:1") as saved, archive.open("wb") as file:
        for piece in saved:
            file.write(piece)
    machine = place.host.create(place.spec("m", boot=BootArchive(archive=str(archive))))
    machine.start()
    assert (
        place.driver.inventory.find("m").container.image
        == place.driver.engine.api.images.inspect("localhost/counter:1").id
    )


def test_an_archive_of_an_image_without_a_name(place: Place, tmp_path: Path) -> None:
    images = place.driver.engine.api.images
    archive, image = tmp_path / "image.tar", images.inspect("localhost/counter:1").id
    with images.save(image) as saved, archive.open("wb") as file:
        for piece in saved:
            file.write(piece)
    place.host.create(place.spec("m", boot=BootArchive(archive=str(archive))))
    assert place.driver.inventory.find("m").container.image == image


@pytest.mark.parametrize(
    ("content", "code", "kind"),
    [
        (b"this is no archive" * 100, "archive-rejected", ImageRejected),
        (b"", "archive-rejected", ImageRejected),
        (None, "archive-missing", NotFound),
    ],
)
def test_what_is_no_archive_is_refused(
    place: Place, tmp_path: Path, content: bytes | None, code: str, kind: type[Exception]
) -> None:
    archive = tmp_path / "image.tar"
    if content is not None:
        archive.write_bytes(content)
    refused(place, place.spec("m", boot=BootArchive(archive=str(archive))), kind, code)


def test_a_pipe_is_no_archive_and_hangs_nobody(place: Place, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(place, place.spec("m", boot=BootArchive(archive=str(tmp_path / "pipe"))), ImageRejected, "archive-rejected")


def test_an_archive_of_something_else_is_rejected_by_the_engine(place: Place, counter_rootfs: ContainerImage) -> None:
    spec = place.spec("m", boot=BootArchive(archive=str(counter_rootfs.rootfs_tar)))
    with pytest.raises(ImageRejected):
        place.host.create(spec)
    assert empty(place)


def test_a_full_disk(place: Place, counter_rootfs: ContainerImage, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with place.driver.engine.api.images.save("localhost/counter:1") as saved, archive.open("wb") as file:
        for piece in saved:
            file.write(piece)
    # Where the engine keeps an archive before it reads it.
    place.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/tmp")
    try:
        with pytest.raises(InsufficientResources):
            place.host.create(place.spec("m", boot=BootArchive(archive=str(archive))))
    finally:
        place.run("umount", "/var/tmp")
    assert empty(place)


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("localhost/nope:1", "image-missing", NotFound),
        ("0123456789abcdef", "image-missing", NotFound),
        ("docker-archive:/etc/passwd", "image-name", ImageRejected),
        ("dir:/etc", "image-name", ImageRejected),
        ("../../etc/passwd", "image-name", ImageRejected),
        ("oci:/srv/x", "image-name", ImageRejected),
    ],
)
def test_an_image_that_is_not_there(place: Place, name: str, code: str, kind: type[Exception]) -> None:
    refused(place, place.spec("m", boot=BootImage(image=name)), kind, code)


def test_an_image_that_may_not_be_fetched(place: Place) -> None:
    spec = place.spec("m", boot=BootImage(image="registry.invalid/x:1"), options={"containers": {"pull": "never"}})
    refused(place, spec, NotFound, "image-missing")


def test_an_image_that_cannot_be_fetched(place: Place) -> None:
    with pytest.raises(NotFound):
        place.host.create(place.spec("m", boot=BootImage(image="127.0.0.1:1/x:1")), timeout_s=60)
    assert empty(place)


def test_an_image_by_its_id_and_by_its_short_name(place: Place) -> None:
    image = place.driver.engine.api.images.inspect("localhost/counter:1").id
    place.host.create(place.spec("a", boot=BootImage(image=image)))
    place.host.create(place.spec("b", boot=BootImage(image="counter:1")))


def test_labels_of_an_image_are_not_the_machines(place: Place, counter_rootfs: ContainerImage) -> None:
    with counter_rootfs.rootfs_tar.open("rb") as file:
        place.driver.engine.api.images.import_(file, "localhost/labelled:1", changes=["LABEL maintainer=x"])
    machine = place.host.create(place.spec("m", boot=BootImage(image="localhost/labelled:1"), labels={"a": "b"}))
    assert machine.info().labels == {"a": "b"}


# a root file system


@pytest.fixture
def rootfs(place: Place, counter_rootfs: ContainerImage) -> Iterator[str]:
    where = "/srv/machine"
    place.run("mkdir", "-p", where)
    place.run("busybox", "tar", "-xf", str(counter_rootfs.rootfs_tar), "-C", where)
    yield where
    place.run("rm", "-rf", where)


def test_a_root_file_system_is_used_as_it_is(place: Place, rootfs: str) -> None:
    spec = place.spec("m", boot=BootRootfs(rootfs=rootfs), command=("/bin/sh", "-c", "echo x > /srv/y; sleep 60"))
    machine = place.host.create(spec)
    machine.start()
    settle(lambda: place.run("ls", f"{rootfs}/srv") == "y", "it writes elsewhere")
    machine.delete(force=True)
    assert place.run("ls", f"{rootfs}/srv") == "y"


def test_a_root_file_system_that_is_not_there(place: Place) -> None:
    refused(place, place.spec("m", boot=BootRootfs(rootfs="/srv/nope")), NotFound, "path-missing")


# volumes and folders


def test_volumes_come_and_go_with_the_machine(place: Place) -> None:
    place.run("podman", "volume", "create", "there")
    mounts = (Mount(target="/a", volume="new"), Mount(target="/b", volume="there", read_only=True))
    spec = place.spec("m", mounts=mounts, command=("/bin/sh", "-c", "echo 1 > /a/x; echo 2 > /b/x; sleep 60"))
    machine = place.host.create(spec)
    machine.start()
    settle(lambda: place.run("podman", "exec", "m", "ls", "/a") == "x", "it can't write")
    assert place.run("podman", "exec", "m", "ls", "/b") == ""
    machine.delete(force=True)
    assert set(place.run("podman", "volume", "ls", "-q").split()) == {"there", "vhal-host"}


def test_volumes_are_kept_if_so_wished(place: Place) -> None:
    machine = place.host.create(place.spec("m", mounts=(Mount(target="/a", volume="new"),)))
    machine.delete(keep_disks=True)
    assert "new" in place.run("podman", "volume", "ls", "-q").split()
    again = place.host.create(place.spec("m", mounts=(Mount(target="/a", volume="new"),)))
    again.delete()
    assert "new" in place.run("podman", "volume", "ls", "-q").split()


def test_a_volume_that_another_machine_uses_stays(place: Place) -> None:
    mount = (Mount(target="/a", volume="new"),)
    first = place.host.create(place.spec("a", mounts=mount))
    second = place.host.create(place.spec("b", mounts=mount))
    first.delete()
    second.start()


def test_vhals_own_volumes_are_not_given(place: Place) -> None:
    spec = place.spec("m", mounts=(Mount(target="/a", volume="vhal-host"),))
    refused(place, spec, Unsupported, "volume-reserved")


def test_memory_as_a_folder(place: Place) -> None:
    script = "dd if=/dev/zero of=/t/x bs=1M count=3 2>/dev/null; wc -c < /t/x; sleep 60"
    spec = place.spec("m", mounts=(Mount(target="/t", tmpfs="2MiB"),), command=("/bin/sh", "-c", script))
    place.host.create(spec).start()
    settle(lambda: place.run("podman", "logs", "m") == str(2 << 20), "it has another size")


def test_a_folder_of_the_host(place: Place) -> None:
    place.run("mkdir", "-p", "/srv/data")
    mounts = (Mount(target="/d", path="/srv/data"), Mount(target="/r", path="/srv/data", read_only=True))
    script = "echo 1 > /d/x; echo 2 > /r/y; sleep 60"
    place.host.create(place.spec("m", mounts=mounts, command=("/bin/sh", "-c", script))).start()
    settle(lambda: place.run("ls", "/srv/data") == "x", "it isn't there")


@pytest.mark.parametrize(
    "path",
    ["/", "/etc", "/etc/./ssl", "/var/lib/containers", "/run/podman", "/root", "/home/x", "/tmp",
     "/root/.ssh", "/srv/.hidden/x", "/dev", "/proc/1/root", "//etc"],
)  # fmt: skip
def test_folders_that_are_not_given(place: Place, path: str) -> None:
    refused(place, place.spec("m", mounts=(Mount(target="/m", path=path),)), AccessDenied, "path-refused")


def test_a_link_is_not_followed(place: Place) -> None:
    place.run("mkdir", "-p", "/srv/mine")
    place.run("ln", "-sfn", "/etc", "/srv/mine/innocent")
    spec = place.spec("m", mounts=(Mount(target="/m", path="/srv/mine/innocent/ssl"),))
    refused(place, spec, AccessDenied, "path-refused")


def test_a_folder_that_is_not_there(place: Place) -> None:
    refused(place, place.spec("m", mounts=(Mount(target="/m", path="/srv/nope"),)), NotFound, "path-missing")


def test_a_folder_that_nobody_could_look_for_is_missed_by_the_engine(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vhal_containers.requirements.EngineProcess.behind", lambda where: None)
    mounts = (Mount(target="/v", volume="new"), Mount(target="/m", path="/srv/nope"))
    with pytest.raises(NotFound):
        place.host.create(place.spec("m", mounts=mounts))
    assert empty(place)


@pytest.mark.parametrize("target", ["/", "/proc", "/proc/x", "/sys/fs", "/dev", "//"])
def test_nothing_is_mounted_over_the_kernels_files(place: Place, target: str) -> None:
    refused(place, place.spec("m", mounts=(Mount(target=target, tmpfs="1MiB"),)), InvalidSpec, "mount-target")


# networks


@pytest.fixture
def lan(place: Place) -> str:
    document = {"name": "lan", "driver": "macvlan", "network_interface": "eth0"}
    subnet = {"subnet": "10.99.0.0/16", "gateway": "10.99.0.254"}
    place.driver.engine.api.networks.create({**document, "subnets": [subnet]})
    return "lan"


def test_a_machine_without_cards_has_no_network(place: Place) -> None:
    place.host.create(place.spec("m")).start()
    assert place.run("podman", "exec", "m", "ls", "/sys/class/net") == "lo"


def test_addresses(place: Place, lan: str) -> None:
    nic = Nic(network=lan, ip="10.99.7.7/16", mac="02:00:00:00:07:07")
    spec = place.spec("m", nics=(nic, Nic()))
    place.host.create(spec).start()
    said = place.run("podman", "exec", "m", "ip", "addr", "show", "eth0")
    assert "inet 10.99.7.7/16" in said
    assert "02:00:00:00:07:07" in said
    assert "inet 10.88." in place.run("podman", "exec", "m", "ip", "addr", "show", "eth1")


def test_a_bridge_is_found_by_its_name(place: Place) -> None:
    place.run("podman", "network", "create", "--subnet", "10.55.0.0/24", "inner")
    bridge = place.driver.engine.api.networks.inspect("inner").interface
    place.host.create(place.spec("m", nics=(Nic(bridge=bridge, ip="10.55.0.9"),))).start()
    assert "inet 10.55.0.9/24" in place.run("podman", "exec", "m", "ip", "addr", "show", "eth0")


def test_its_hosts_network(place: Place) -> None:
    place.host.create(place.spec("m", options={"containers": {"network_mode": "host"}})).start()
    assert "eth0" in place.run("podman", "exec", "m", "ls", "/sys/class/net").split()


@pytest.mark.parametrize(
    ("nic", "kind", "code"),
    [
        (Nic(network="nope"), NotFound, "network-missing"),
        (Nic(bridge="br9"), NotFound, "network-missing"),
        (Nic(user=True), Unsupported, "user-network"),
        (Nic(model="e1000"), Unsupported, "nic-model"),
        (Nic(network="lan", ip="10.1.2.3"), InvalidSpec, "address-outside"),
        (Nic(network="lan", ip="10.99.1.1/24"), InvalidSpec, "address-prefix"),
        (Nic(network="lan", ip="10.99.0.0"), InvalidSpec, "address-reserved"),
        (Nic(network="lan", ip="10.99.0.254"), AlreadyExists, "address-taken"),
    ],
)
def test_wires_that_lead_nowhere(place: Place, lan: str, nic: Nic, kind: type[Exception], code: str) -> None:
    refused(place, place.spec("m", nics=(nic,)), kind, code)


def test_two_machines_do_not_have_one_address(place: Place, lan: str) -> None:
    nic = Nic(network=lan, ip="10.99.7.7")
    place.host.create(place.spec("a", nics=(nic,)))
    with pytest.raises(AlreadyExists, match=r"10\.99\.7\.7"):
        place.host.create(place.spec("b", nics=(nic,)))


def test_an_address_that_a_container_of_others_has(place: Place, lan: str) -> None:
    place.run("podman", "run", "-d", "--network", lan, "--ip", "10.99.7.7", "counter:1", "/bin/counter")
    machine = place.host.create(place.spec("m", nics=(Nic(network=lan, ip="10.99.7.7"),)))
    with pytest.raises(AlreadyExists):
        machine.start()


def test_no_network_twice(place: Place, lan: str) -> None:
    refused(place, place.spec("m", nics=(Nic(network=lan), Nic(network=lan))), Unsupported, "network-twice")


# GPUs


@pytest.fixture
def cdi(place: Place) -> Iterator[Place]:
    device = {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/vhalgpu0", "hostPath": "/dev/null"}]}}
    document = {"cdiVersion": "0.5.0", "kind": "vhal.test/gpu", "devices": [device], "containerEdits": {}}
    place.run("mkdir", "-p", "/etc/cdi")
    place.node.run(["sh", "-c", "cat > /etc/cdi/vhal.json"], input=json.dumps(document))
    yield place
    place.run("rm", "-rf", "/etc/cdi")


def test_a_gpu_by_its_name(cdi: Place) -> None:
    machine = cdi.host.create(cdi.spec("m", gpus=(Gpu(cdi="vhal.test/gpu=0"),)))
    machine.start()
    said = cdi.run("podman", "exec", "m", "ls", "-l", "/dev/vhalgpu0").split()
    assert said[4:6] == ["1,", "3"]
    assert [gpu.id for gpu in cdi.host.info().gpus] == ["vhal.test/gpu=0"]


def test_a_gpu_that_is_not_there(cdi: Place) -> None:
    refused(cdi, cdi.spec("m", gpus=(Gpu(cdi="vhal.test/gpu=1"),)), NotFound, "gpu-missing")


@pytest.mark.parametrize(("mode", "path"), [("0666", "/etc/cdi/vhal.json"), ("0777", "/etc/cdi")])
def test_a_specification_that_anybody_may_write_is_not_used(cdi: Place, mode: str, path: str) -> None:
    cdi.run("chmod", mode, path)
    refused(cdi, cdi.spec("m", gpus=(Gpu(cdi="vhal.test/gpu=0"),)), AccessDenied, "cdi-untrusted")


def test_a_specification_of_somebody_else_is_not_used(cdi: Place) -> None:
    cdi.run("chown", "1000", "/etc/cdi/vhal.json")
    refused(cdi, cdi.spec("m", gpus=(Gpu(cdi="vhal.test/gpu=0"),)), AccessDenied, "cdi-untrusted")


def test_a_gpu_by_its_model(place: Place) -> None:
    refused(place, place.spec("m", gpus=(Gpu(vendor="nvidia"),)), Unsupported, "gpu-unnamed")


def test_a_gpu_of_an_engine_that_nobody_could_look_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal_containers.requirements.EngineProcess.behind", lambda where: None)
    machine = place.host.create(place.spec("m", gpus=(Gpu(cdi="vhal.test/gpu=7"),)))
    with pytest.raises(NotFound):
        machine.start()


# everything else that a container can't be


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"boot": BootDisk()}, Unsupported, "boot-source"),
        ({"firmware": Firmware(type="uefi")}, Unsupported, "no-firmware"),
        ({"cpus": Cpus(count=1, topology={"sockets": 1})}, Unsupported, "no-topology"),
        ({"cpus": Cpus(count=1, model="host-model")}, Unsupported, "no-processor-model"),
        ({"cpus": Cpus(count=2, pinning={0: "0"})}, Unsupported, "pinning-partial"),
        ({"cpus": Cpus(count=1, pinning={0: "4095"})}, Unsupported, "pinning"),
        ({"cpus": 4096}, InsufficientResources, "cpus"),
        ({"memory": "1PiB"}, InsufficientResources, "memory"),
        ({"memory": "1MiB"}, InvalidSpec, "memory-least"),
        ({"memory": Memory(size="64MiB", hugepages="2MiB")}, Unsupported, "no-huge-pages"),
        ({"disks": (Disk(size="1GiB"),)}, Unsupported, "no-disks"),
        ({"serials": (Serial(), Serial())}, Unsupported, "no-serials"),
        ({"serials": (Serial(log="/srv/log"),)}, Unsupported, "no-serials"),
        ({"init": Init(ssh_keys=())}, Unsupported, "no-init"),
        ({"labels": {"io.vhal.id": "x"}}, InvalidSpec, "label-reserved"),
        ({"process": {"capabilities_add": {"CAP_SYS_ADMIN"}}}, AccessDenied, "capability-refused"),
        ({"process": {"capabilities_add": {"CAP_NO_SUCH"}}}, InvalidSpec, "capability-unknown"),
        ({"process": {"ulimits": {"nofile": 1 << 30}}}, Unsupported, "ulimit"),
        ({"process": {"ulimits": {"nosuch": 1}}}, InvalidSpec, "ulimit-unknown"),
        ({"process": {"stop_signal": "SIGNONE"}}, InvalidSpec, "signal-unknown"),
        ({"options": {"containers": {"network_mode": "host"}}, "nics": (Nic(),)}, InvalidSpec, "network-host"),
    ],
)
def test_nothing_is_dropped_in_silence(place: Place, fields: dict[str, Any], kind: type[Exception], code: str) -> None:
    refused(place, place.spec("m", **fields), kind, code)


def test_a_virtual_machine(place: Place) -> None:
    refused(place, MachineSpec(name="m", kind=MachineKind.VM), Unsupported, "kind-unsupported")


@pytest.mark.parametrize(
    "options", [{"privileged": True}, {"runtime": "/bin/sh"}, {"runtime": "../x"}, {"network_mode": "container:x"}]
)
def test_options_that_there_are_not(place: Place, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=r"options\.containers"):
        place.host.create(place.spec("m", options={"containers": options}))


def test_a_runtime_that_the_engine_does_not_use(place: Place) -> None:
    refused(place, place.spec("m", options={"containers": {"runtime": "crun"}}), Unsupported, "runtime")
    place.host.create(place.spec("m", options={"containers": {"runtime": "runc"}}))


@pytest.mark.parametrize("name", ["../../x", "a/b", "-x", "", "x" * 200, "a..b"])
def test_names_that_lead_elsewhere(place: Place, name: str) -> None:
    with pytest.raises(InvalidSpec):
        place.spec(name)
    spec = place.spec("m")
    object.__setattr__(spec, "name", name)  # as if the spec's own check had a hole
    with pytest.raises((InvalidSpec, NotFound)):
        place.host.create(spec)
    assert empty(place)


def test_a_program_that_there_is_not(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=("/bin/nosuch",)))
    with pytest.raises(NotFound, match="nosuch"):
        machine.start()
    machine.delete()


def test_a_user_that_there_is_not(place: Place) -> None:
    machine = place.host.create(place.spec("m", process={"user": "nosuch"}))
    with pytest.raises(NotFound):
        machine.start()


def test_an_answer_that_was_lost_leaves_nothing(place: Place, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    containers = place.driver.engine.api.containers
    original = containers.create

    def lost(document: Any) -> str:
        original(document)
        raise Unreachable("the engine broke off", sent=True)

    monkeypatch.setattr(type(containers), "create", lambda self, document: lost(document))
    with pytest.raises(HostUnreachable):
        place.host.create(place.spec("m", mounts=(Mount(target="/a", volume="new"),)))
    assert empty(place)


def test_an_abort_leaves_nothing(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with place.driver.engine.api.images.save("localhost/counter:1") as saved, archive.open("wb") as file:
        for piece in saved:
            file.write(piece)
    aborting = Context(60, lambda progress: aborting.abort())
    spec = place.spec("m", boot=BootArchive(archive=str(archive)), mounts=(Mount(target="/a", volume="new"),))
    with pytest.raises(OperationAborted):
        place.driver.create(spec, aborting)
    assert empty(place)


def test_many_that_want_one_name_get_one(place: Place) -> None:
    outcomes: list[str] = []

    def make() -> None:
        # Past the core's lock, as several processes are.
        try:
            place.driver.create(place.spec("m"), Context(60))
            outcomes.append("made")
        except Exception as error:  # noqa: BLE001
            outcomes.append(type(place.driver.translate(error) or error).__name__)

    threads = [threading.Thread(target=make) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["AlreadyExists"] * 4 + ["made"]
    assert len(place.host.machines()) == 1
