"""The whole life of a machine on libvirt's own test driver: everything but what only a real guest can do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

import libvirt
import pytest
from vhal_libvirt import LibvirtDriver, eventloop
from vhal_libvirt.document import dump, parse
from vhal_libvirt.driver import _looked_up

from tests.testbed import wait_until
from vhal.driver import (
    CAPABILITIES,
    CONSOLE,
    CREATE,
    METRICS,
    MIGRATION,
    PAUSE,
    READINESS,
    Capability,
    Context,
    HostUrl,
    StopMode,
)
from vhal.errors import (
    AlreadyExists,
    EngineError,
    HostUnreachable,
    InsufficientResources,
    InvalidUrl,
    NotFound,
    VhalError,
)
from vhal.spec import (
    BootImage,
    BootKernel,
    Cpus,
    Disk,
    Gpu,
    Init,
    MachineInfo,
    MachineSpec,
    MachineState,
    Nic,
    Serial,
)

SPEC = MachineSpec(name="one", memory="64MiB", cpus=2, labels={"team": "blue"}, disks=[Disk(size="1MiB")])


def state(driver: LibvirtDriver, machine: MachineInfo) -> MachineState:
    listed = {info.id: info.state for info in driver.machines()}
    assert listed[machine.id] is driver.inspect(machine.id).state
    return listed[machine.id]


def test_the_whole_life(simulated: LibvirtDriver) -> None:
    ctx = Context(60)
    machine = simulated.create(SPEC, ctx)
    assert (machine.name, machine.cpus, machine.memory) == ("one", 2, 64 << 20)
    assert (machine.managed, machine.epoch, machine.labels) == (True, 1, {"team": "blue"})
    assert machine.spec == SPEC
    assert state(simulated, machine) is MachineState.STOPPED
    simulated.start(machine.id, ctx)
    assert state(simulated, machine) is MachineState.RUNNING
    simulated.pause(machine.id, ctx)
    assert state(simulated, machine) is MachineState.PAUSED
    simulated.resume(machine.id, ctx)
    simulated.save(machine.id, ctx)
    assert state(simulated, machine) is MachineState.SAVED
    simulated.restore(machine.id, ctx)
    assert state(simulated, machine) is MachineState.RUNNING
    simulated.reboot(machine.id, ctx)
    simulated.stop(machine.id, StopMode.GRACEFUL, ctx)
    assert state(simulated, machine) is MachineState.STOPPED
    simulated.start(machine.id, ctx)
    simulated.stop(machine.id, StopMode.FORCED, ctx)
    simulated.stop(machine.id, StopMode.FORCED, ctx)
    assert state(simulated, machine) is MachineState.STOPPED
    simulated.delete(machine.id, ctx)
    assert machine.id not in {info.id for info in simulated.machines()}
    with pytest.raises(NotFound):
        simulated.inspect(machine.id)


def test_forced_stop_of_a_saved_machine_discards_its_memory(simulated: LibvirtDriver) -> None:
    machine = simulated.create(SPEC, Context())
    simulated.start(machine.id, Context())
    simulated.save(machine.id, Context())
    simulated.stop(machine.id, StopMode.FORCED, Context())
    assert state(simulated, machine) is MachineState.STOPPED


def test_delete_removes_what_create_made_and_nothing_else(simulated: LibvirtDriver) -> None:
    pools = simulated._connection.get().listAllStoragePools()
    assert [pool.name() for pool in pools] == ["default-pool"]
    pools[0].createXML("<volume><name>mine</name><capacity>512</capacity></volume>", 0)
    spec = SPEC.replace(
        disks=[Disk(size="1MiB", pool="default-pool", format="raw"), Disk(path="/default-pool/mine", format="raw")]
    )
    machine = simulated.create(spec, Context())
    assert sorted(pools[0].listVolumes()) == ["mine", "one-0.raw"]
    simulated.delete(machine.id, Context())
    assert pools[0].listVolumes() == ["mine"]


def test_deleting_a_clone_leaves_the_disks_of_the_original(simulated: LibvirtDriver) -> None:
    conn = simulated._connection.get()
    pool = conn.storagePoolLookupByName("default-pool")
    machine = simulated.create(SPEC.replace(disks=[Disk(size="1MiB", pool="default-pool")]), Context())
    text = conn.lookupByUUIDString(machine.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    clone = text.replace("<name>one<", "<name>two<").replace(f"<uuid>{machine.id}<", f"<uuid>{uuid.uuid4()}<")
    conn.defineXML(clone)
    copied = simulated.inspect("two")
    assert (copied.managed, copied.spec, copied.labels) == (False, None, {"team": "blue"})
    # Even an original leaves what another machine uses by now.
    simulated.delete(machine.id, Context())
    assert pool.listVolumes() == ["one-0.qcow2"]
    simulated.delete(copied.id, Context())
    assert pool.listVolumes() == ["one-0.qcow2"]


def test_delete_leaves_a_volume_that_was_taken_from_the_machine(simulated: LibvirtDriver) -> None:
    conn = simulated._connection.get()
    pool = conn.storagePoolLookupByName("default-pool")
    machine = simulated.create(SPEC.replace(disks=[Disk(size="1MiB", pool="default-pool")]), Context())
    root = parse(conn.lookupByUUIDString(machine.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    devices, disk = root.find("devices"), root.find("devices/disk")
    assert devices is not None
    assert disk is not None
    devices.remove(disk)
    conn.defineXML(dump(root))
    simulated.delete(machine.id, Context())
    assert pool.listVolumes() == ["one-0.qcow2"]


def test_delete_says_which_volume_is_left(simulated: LibvirtDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise libvirt.libvirtError("no")

    machine = simulated.create(SPEC.replace(disks=[Disk(size="1MiB", pool="default-pool")]), Context())
    with monkeypatch.context() as patch:
        patch.setattr(libvirt.virStorageVol, "delete", refuse)
        with pytest.raises(EngineError, match=r"one-0\.qcow2 couldn't be removed"):
            simulated.delete(machine.id, Context())
    assert "one" not in {info.name for info in simulated.machines()}


def test_make_leaves_no_volume_that_it_cant_look_at(simulated: LibvirtDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise libvirt.libvirtError("no")

    pool = simulated._connection.get().storagePoolLookupByName("default-pool")
    monkeypatch.setattr(libvirt.virStorageVol, "info", refuse)
    with pytest.raises(libvirt.libvirtError):
        simulated.create(SPEC.replace(disks=[Disk(size="1MiB", pool="default-pool")]), Context())
    assert pool.listVolumes() == []


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"disks": [Disk(path="/etc/shadow", format="raw")]}, 1),
        ({"disks": [Disk(path="//var/./spool/cron/root", format="raw")]}, 1),
        ({"disks": [Disk(path="/dev/sda", format="raw")]}, 1),
        ({"disks": [Disk(path="/root/.ssh/id_ed25519", format="raw")]}, 1),
        ({"disks": [Disk(path="/boot/vmlinuz", format="raw")]}, 1),
        ({"disks": [Disk(path="/var/lib/libvirt/images/a.img", format="raw")]}, 0),
        ({"disks": [Disk(path="/var/pool/a.img", format="raw")]}, 0),
        ({"disks": [Disk(path="/etcetera/a.img", format="raw")]}, 0),
        ({"boot": BootKernel(kernel="/boot/vmlinuz", initrd="/etc/shadow")}, 1),
        ({"boot": BootKernel(kernel="/proc/kcore", initrd="/run/secret")}, 2),
        ({"boot": BootKernel(kernel="/boot/vmlinuz", initrd="/usr/lib/initrd")}, 0),
        ({"boot": BootKernel(kernel="/root/.cache/vmlinuz")}, 0),
        ({"serials": [Serial(log="/etc/cron.d/x")]}, 1),
        ({"serials": [Serial(log="/srv/x.log")]}, 1),
        ({"serials": [Serial(log="/var/log/libvirt/x.log")]}, 0),
        ({"serials": [Serial(socket="/run/docker.sock")]}, 1),
        ({"serials": [Serial(socket="/var/run/docker.sock")]}, 1),
        ({"serials": [Serial(socket="/srv/x.sock")]}, 0),
    ],
)
def test_files_of_the_system_arent_given_to_a_guest(
    simulated: LibvirtDriver, fields: dict[str, Any], refused: int
) -> None:
    conn = simulated._connection.get()
    conn.storagePoolDefineXML("<pool type='dir'><name>p</name><target><path>/var/pool</path></target></pool>")
    answer = simulated.can(CREATE, MachineSpec(name="two", **fields))
    assert [blocker.code for blocker in answer.blockers] == ["path-refused"] * refused
    assert all(blocker.remedy for blocker in answer.blockers)


def test_no_blank_disk_where_somebody_elses_bytes_are(simulated: LibvirtDriver) -> None:
    conn = simulated._connection.get()
    vg = "<name>vg</name><source><name>vg</name></source><target><path>/dev/vg</path></target>"
    conn.storagePoolDefineXML(f"<pool type='logical'>{vg}</pool>")
    answer = simulated.can(CREATE, SPEC.replace(disks=[Disk(size="1MiB", pool="vg", format="raw")]))
    assert [blocker.code for blocker in answer.blockers] == ["pool-not-blank"]
    assert answer.blockers[0].remedy


def test_sizes_that_others_change_are_in_the_description(simulated: LibvirtDriver) -> None:
    machine = simulated.create(SPEC, Context())
    simulated.start(machine.id, Context())
    before = simulated.describe()
    simulated._connection.get().lookupByUUIDString(machine.id).setVcpusFlags(1, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert simulated.inspect(machine.id).cpus == 1
    assert simulated.describe().allocated.cpus == before.allocated.cpus - 1


def test_create_leaves_nothing_behind_when_it_fails(simulated: LibvirtDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt.virConnect, "defineXMLFlags", refuse)
    pool = simulated._connection.get().storagePoolLookupByName("default-pool")
    with pytest.raises(libvirt.libvirtError):
        simulated.create(SPEC.replace(disks=[Disk(size="1MiB", pool="default-pool")]), Context())
    assert pool.listVolumes() == []
    assert [machine.name for machine in simulated.machines()] == ["test"]


def test_a_machine_of_somebody_else_is_seen_and_used(simulated: LibvirtDriver) -> None:
    other = simulated.inspect("test")
    assert not other.managed
    assert other.spec is None
    simulated.pause(other.id, Context())
    assert simulated.inspect(other.id).state is MachineState.PAUSED


def test_found_by_id_and_by_name(simulated: LibvirtDriver) -> None:
    machine = simulated.create(SPEC, Context())
    assert simulated.inspect(machine.id) == simulated.inspect("one") == machine
    with pytest.raises(NotFound):
        simulated.inspect("two")


BLOCKED: dict[str, dict[str, Any]] = {
    "kind-unsupported": {"kind": "container"},
    "boot-image": {"boot": BootImage(image="debian")},
    "disk-image": {"disks": [Disk(image="debian")]},
    "init-unsupported": {"init": Init(user_data="x")},
    "gpu-unsupported": {"gpus": [Gpu()]},
    "static-address": {"nics": [Nic(ip="10.0.0.2/24")]},
    "name-taken": {"name": "test"},
    "memory": {"memory": "1TiB"},
    "too-many-cpus": {"cpus": 1000},
    "pool-missing": {"disks": [Disk(size="1MiB", pool="nowhere")]},
    "network-missing": {"nics": [Nic(network="nowhere")]},
    "bridge-missing": {"nics": [Nic(bridge="nowhere")]},
}


def test_an_error_whose_words_were_lost_is_asked_for_once_more(simulated: LibvirtDriver) -> None:
    conn = libvirt.open("test:///default")
    forgotten = libvirt.libvirtError("forgotten")
    forgotten.err = None

    def look_up(ref: str) -> libvirt.virDomain:
        looks.append(ref)
        if len(looks) == 1:
            raise forgotten
        return conn.lookupByName(ref)

    looks: list[str] = []
    found = _looked_up(look_up, "test")
    assert found is not None
    assert found.name() == "test"
    looks.clear()
    assert _looked_up(look_up, "none") is None
    assert looks == ["none"] * 2
    conn.close()


@pytest.mark.parametrize("code", BLOCKED)
def test_what_cant_be_made_is_refused_with_a_remedy(simulated: LibvirtDriver, code: str) -> None:
    before = simulated.machines()
    spec = MachineSpec(**{"name": "two", **BLOCKED[code]})
    answer = simulated.can(CREATE, spec)
    assert [blocker.code for blocker in answer.blockers] == [code]
    assert answer.blockers[0].remedy
    with pytest.raises(answer.blockers[0].raises):
        simulated.create(spec, Context())
    assert simulated.machines() == before


def test_errors_of_the_right_kind(simulated: LibvirtDriver) -> None:
    simulated.create(SPEC, Context())
    for spec, kind in (
        (SPEC, AlreadyExists),
        (SPEC.replace(name="two", disks=[Disk(name="one-0.qcow2", size="1MiB")]), AlreadyExists),
        (MachineSpec(name="big", memory="7GiB"), InsufficientResources),
        (MachineSpec(name="far", nics=[Nic(network="x")]), NotFound),
    ):
        with pytest.raises(kind):
            simulated.create(spec, Context())


def test_what_it_has_not_it_says(simulated: LibvirtDriver) -> None:
    wanting: tuple[Capability[Any], ...] = (CONSOLE, READINESS, MIGRATION, METRICS)
    for capability in wanting:
        assert simulated.provides(capability) is None
        assert not simulated.can(capability)
        assert simulated.can(capability).blockers[0].remedy
    for key in set(CAPABILITIES) - {"console", "readiness", "migration", "metrics", "exec", "files", "snapshots"}:
        assert simulated.can(CAPABILITIES[key])
    assert simulated.can(PAUSE, simulated.inspect("test"))


def test_events(simulated: LibvirtDriver, events_of: Callable[[LibvirtDriver], list[tuple[str, str]]]) -> None:
    seen = events_of(simulated)
    machine = simulated.create(SPEC, Context())
    simulated.start(machine.id, Context())
    simulated.pause(machine.id, Context())
    simulated.resume(machine.id, Context())
    simulated.save(machine.id, Context())
    simulated.restore(machine.id, Context())
    simulated.stop(machine.id, StopMode.FORCED, Context())
    simulated.delete(machine.id, Context())
    wait_until(lambda: ("deleted", "one") in seen, deadline=20, what="the last event")
    kinds = [kind for kind, name in seen if name == "one"]
    assert kinds == ["created", "started", "paused", "resumed", "saved", "started", "stopped", "deleted"]


def test_no_event_after_the_end_of_a_subscription(simulated: LibvirtDriver) -> None:
    seen: list[object] = []
    simulated.subscribe(seen.append)()
    later: list[object] = []
    cancel = simulated.subscribe(later.append)
    machine = simulated.create(SPEC, Context())
    wait_until(lambda: later, deadline=20, what="an event")
    cancel()
    assert seen == []
    simulated.delete(machine.id, Context())


def test_the_list_follows_what_others_change(simulated: LibvirtDriver) -> None:
    machine = simulated.create(SPEC, Context())
    assert simulated.machines()
    conn = simulated._connection.get()
    dom = conn.lookupByUUIDString(machine.id)
    text = '<machine epoch="7"><label key="team">red</label></machine>'
    dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "vhal", "urn:vhal:machine:1", 0)

    def follows() -> bool:
        info = next(info for info in simulated.machines() if info.id == machine.id)
        return info.labels == {"team": "red"} and info.epoch == 7 and not info.managed

    wait_until(follows, deadline=20, what="the change in the list")
    dom.undefine()
    assert machine.id not in {info.id for info in simulated.machines()}


def test_a_machine_of_the_same_name_is_another_machine(simulated: LibvirtDriver) -> None:
    first = simulated.create(SPEC, Context())
    simulated.machines()
    simulated.delete(first.id, Context())
    second = simulated.create(SPEC.replace(memory="32MiB"), Context())
    listed = {info.id: info.memory for info in simulated.machines()}
    assert first.id not in listed
    assert listed[second.id] == 32 << 20


def test_description(simulated: LibvirtDriver) -> None:
    info = simulated.describe()
    assert info.uuid == simulated.host_id
    assert (info.cpus.count, info.capacity.memory, len(info.numa)) == (16, 6 << 30, 2)
    assert info.allocated.memory == simulated.inspect("test").memory
    assert info.free.memory == max(0, info.capacity.memory - info.allocated.memory)
    assert set(info.versions) == {"libvirt", "test", "client"}


def test_machines_asks_for_no_machine_twice(simulated: LibvirtDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        simulated.create(MachineSpec(name=f"m{number}", cpus=Cpus(count=1)), Context())

    def all_known() -> bool:
        calls: list[object] = []
        with monkeypatch.context() as patch:
            original = libvirt.virDomain.info

            def info(dom: libvirt.virDomain) -> object:
                calls.append(dom)
                return original(dom)

            patch.setattr(libvirt.virDomain, "info", info)
            simulated.machines()
        return not calls

    # The events of the creation, which come later, make it ask once more.
    wait_until(all_known, deadline=20, what="a listing without a call for one machine")


def test_the_events_go_on_after_a_turn_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ending, turns, original = threading.Event(), list[int](), libvirt.virEventRunDefaultImpl
    here = threading.current_thread()

    def turn() -> None:
        if threading.current_thread() is not here:
            original()
            return
        turns.append(1)
        if len(turns) == 2:
            ending.set()
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt, "virEventRunDefaultImpl", turn)
    eventloop._run(ending)
    assert len(turns) == 2


def test_a_closed_driver_says_so(simulated: LibvirtDriver) -> None:
    simulated.close()
    simulated.close()
    with pytest.raises(HostUnreachable):
        simulated.machines()


def test_open_refuses_what_doesnt_fit() -> None:
    with pytest.raises(InvalidUrl):
        LibvirtDriver.open(HostUrl.parse("libvirt+test:///system"))


def test_open_without_a_daemon() -> None:
    url = HostUrl.parse("libvirt+unix:///system?socket=/nonexistent/socket")
    with pytest.raises(libvirt.libvirtError) as caught:
        LibvirtDriver.open(url)
    from vhal_libvirt import vhal_backend

    translate = vhal_backend().translate
    assert translate is not None
    error = translate(caught.value)
    assert isinstance(error, HostUnreachable)
    assert isinstance(error, VhalError)
    assert error.hint


def test_the_process_ends_cleanly_with_a_connection_open() -> None:
    program = (
        "import vhal_libvirt; from vhal.driver import HostUrl\n"
        "driver = vhal_libvirt.LibvirtDriver.open(HostUrl.parse('libvirt+test:///default'))\n"
        "cancel = driver.subscribe(print)\n"
        "import threading; print([t.name for t in threading.enumerate() if t.name.startswith('vhal')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['vhal-libvirt-events']\n"
