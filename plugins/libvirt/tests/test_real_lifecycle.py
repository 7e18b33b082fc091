"""The life of a machine with a guest in it, on a real libvirtd and QEMU."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from vhal_libvirt import LibvirtDriver
from vhal_libvirt.host_files import LOOK_PREFIX, HostFiles

from tests.testbed import wait_until
from vhal.driver import CONSOLE, CREATE, READINESS, Context, StopMode
from vhal.errors import ImageRejected, NotFound, OperationAborted, OperationTimeout, VhalError
from vhal.spec import Disk, Firmware, MachineSpec, MachineState, Nic, Serial

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    World = Any

BOOT_S = 120.0


def test_life_of_a_guest(world: World, events_of: Callable[[LibvirtDriver], list[tuple[str, str]]]) -> None:
    seen = events_of(world.a)
    spec = world.spec(disks=(Disk(size="16MiB"),))
    machine = world.a.create(spec, Context())
    volume = world.lab.hosts[0].folder / "lib" / "images" / f"{spec.name}-0.qcow2"
    assert volume.exists()
    world.a.start(machine.id, Context())
    console = world.console(world.a, machine.id)
    console.listen_for(2)
    wait_until(lambda: world.a.ready(machine.id), deadline=BOOT_S, what="the guest's readiness")

    world.a.pause(machine.id, Context())
    assert world.a.inspect(machine.id).state is MachineState.PAUSED
    world.a.resume(machine.id, Context())
    before = console.listen_for(1)
    console.close()

    world.a.save(machine.id, Context(60))
    assert world.a.inspect(machine.id).state is MachineState.SAVED
    assert world.a.machines()[0].state is MachineState.SAVED
    world.a.restore(machine.id, Context(60))
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
    console = world.console(world.a, machine.id)
    assert before < console.listen_for(1) < before + 100
    console.close()

    world.a.stop(machine.id, StopMode.GRACEFUL, Context(60))
    assert world.a.inspect(machine.id).state is MachineState.STOPPED
    world.a.delete(machine.id, Context())
    assert world.a.machines() == []
    assert not volume.exists()
    wait_until(lambda: ("deleted", spec.name) in seen, deadline=20, what="the last event")
    kinds = [kind for kind, name in seen if name == spec.name]
    assert kinds == [
        "created", "started", "paused", "resumed", "saved", "restored", "stopped", "deleted",
    ]  # fmt: skip


def test_reboot(world: World, events_of: Callable[[LibvirtDriver], list[tuple[str, str]]]) -> None:
    machine = world.running()
    seen = events_of(world.a)
    console = world.console(world.a, machine.id)
    console.listen_for(10)
    world.a.reboot(machine.id, Context())
    wait_until(lambda: console.listen_for(1) < 5, deadline=BOOT_S, what="the count from the beginning")
    console.close()
    assert [kind for kind, _ in seen] == ["rebooted"]


def test_a_guest_that_doesnt_react_goes_on(world: World) -> None:
    # Without a guest nobody hears the button.
    machine = world.a.create(MachineSpec(name="deaf", memory="32MiB"), Context())
    world.a.start(machine.id, Context())
    with pytest.raises(OperationTimeout):
        world.a.stop(machine.id, StopMode.GRACEFUL, Context(0.5))
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
    world.a.stop(machine.id, StopMode.FORCED, Context())
    assert world.a.inspect(machine.id).state is MachineState.STOPPED


def test_a_saved_machine_with_the_power_taken_away(world: World) -> None:
    machine = world.running()
    world.a.save(machine.id, Context(60))
    world.a.stop(machine.id, StopMode.FORCED, Context())
    assert world.a.inspect(machine.id).state is MachineState.STOPPED


def test_a_save_that_is_aborted_leaves_it_running(world: World) -> None:
    machine = world.running()
    ctx = Context(60)
    ctx.abort()
    with pytest.raises(OperationAborted):
        world.a.save(machine.id, ctx)
    assert world.a.inspect(machine.id).state is MachineState.RUNNING


def test_a_guest_whose_engine_dies_is_crashed(world: World) -> None:
    machine = world.running()
    world.lab.hosts[0].signal_qemu(machine.name, signal.SIGKILL)
    wait_until(
        lambda: world.a.inspect(machine.id).state is MachineState.CRASHED, deadline=20, what="the crash to be noticed"
    )
    world.a.start(machine.id, Context())
    assert world.a.inspect(machine.id).state is MachineState.RUNNING


def test_the_console_is_one_at_a_time_and_closes_from_another_thread(world: World) -> None:
    machine = world.running()
    console = world.a.console(machine.id)
    with pytest.raises(Exception, match="Active console") as caught:
        world.a.console(machine.id)
    assert isinstance(world.a.translate(caught.value), VhalError)
    assert console.read(20)
    console.write(b"hello\n")
    assert console.read(0) is not None
    world.a.pause(machine.id, Context())
    threading.Timer(0.2, console.close).start()
    while console.read():
        pass
    console.close()
    world.a.console(machine.id).close()


def test_serial_line_to_a_socket(world: World) -> None:
    path = world.lab.shared / "line.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        machine = world.a.create(world.spec().replace(serials=[Serial(socket=str(path))]), Context())
        assert not world.a.can(CONSOLE, machine)
        assert world.a.can(READINESS, machine)
        world.a.start(machine.id, Context())
        line, _ = server.accept()
        line.settimeout(BOOT_S)
        heard = b""
        while b"ready" not in heard:
            heard += line.recv(4096)
        line.close()


def test_serial_line_with_a_log(world: World) -> None:
    # The host's own /var/log/libvirt.
    log = world.lab.hosts[0].folder / "log" / "serial.log"
    machine = world.running(world.spec().replace(serials=[Serial(log="/var/log/libvirt/serial.log")]))
    assert world.a.can(CONSOLE, machine)
    wait_until(lambda: b"count 2" in log.read_bytes(), deadline=20, what="the count in the log")


def test_existing_disks_are_looked_at_first(world: World) -> None:
    shared = world.lab.shared
    good = world.disk("good.qcow2")
    raw = world.disk("good.img", "raw")
    backed = shared / "backed.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", good.path, "-F", "qcow2", str(backed)], check=True)
    data_file = shared / "outside.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={shared / 'd.raw'}", str(data_file), "1M"],
        check=True,
    )
    cases = {
        "fine": ((good, raw), None),
        "backed": ((Disk(path=str(backed)),), ImageRejected),
        "outside": ((Disk(path=str(data_file)),), ImageRejected),
        "not-raw": ((Disk(path=good.path, format="raw"),), ImageRejected),
        "not-qcow2": ((Disk(path=raw.path, format="qcow2"),), ImageRejected),
        "absent": ((Disk(path=str(shared / "absent.img")),), NotFound),
        "absent-folder": ((Disk(path="/nonexistent/absent.img"),), NotFound),
    }
    pools = {pool.name() for pool in world.a._connection.get().listAllStoragePools()}
    for name, (disks, error) in cases.items():
        spec = MachineSpec(name=name, disks=disks)
        answer = world.a.can(CREATE, spec)
        if error is None:
            assert answer, answer
        else:
            assert [blocker.raises for blocker in answer.blockers] == [error]
            with pytest.raises(error):
                world.a.create(spec, Context())
    assert {pool.name() for pool in world.a._connection.get().listAllStoragePools()} == pools


def test_delete_leaves_disks_that_were_there(world: World) -> None:
    disk = world.disk("keep.qcow2")
    machine = world.a.create(MachineSpec(name="keeper", disks=[disk]), Context())
    world.a.delete(machine.id, Context())
    assert (world.lab.shared / "keep.qcow2").exists()


@pytest.mark.parametrize("lost", ["refreshed away", "pool stopped", "pool gone", "file gone"])
def test_delete_finds_a_disk_that_its_pool_has_lost(world: World, lost: str) -> None:
    folder = world.lab.hosts[0].folder / "lib" / "images"
    machine = world.a.create(MachineSpec(name="loser", disks=[Disk(size="1MiB")]), Context())
    volume = folder / "loser-0.qcow2"
    pool = world.a._connection.get().storagePoolLookupByName("default")
    if lost == "refreshed away":
        volume.rename(folder / "aside")
        pool.refresh(0)
        (folder / "aside").rename(volume)
    elif lost == "file gone":
        volume.unlink()
    else:
        pool.destroy()
        if lost == "pool gone":
            pool.undefine()
    world.a.delete(machine.id, Context())
    assert not volume.exists()


def test_a_look_that_was_killed_half_way_blocks_nobody_for_ever(world: World) -> None:
    disk = world.disk("stale.qcow2")
    conn = world.a._connection.get()
    root = f"<pool type='dir'><name>{LOOK_PREFIX}stale</name><target><path>{world.lab.shared}</path></target></pool>"
    conn.storagePoolCreateXML(root)
    assert world.a.can(CREATE, MachineSpec(name="late", disks=[disk]))
    assert not [pool for pool in conn.listAllStoragePools() if pool.name().startswith(LOOK_PREFIX)]


def test_a_disk_whose_first_bytes_cant_be_read_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MachineSpec(name="blind", disks=[world.disk("blind.qcow2")])
    monkeypatch.setattr(HostFiles, "_header", lambda *_: None)
    answer = world.a.can(CREATE, spec)
    assert [blocker.raises for blocker in answer.blockers] == [ImageRejected]
    assert answer.blockers[0].remedy


def test_a_missing_kernel_is_refused(world: World) -> None:
    spec = world.spec()
    broken = spec.replace(boot=spec.boot.replace(kernel="/nonexistent/vmlinuz"))
    with pytest.raises(NotFound):
        world.a.create(broken, Context())


BLOCKED: dict[str, dict[str, Any]] = {
    "kvm-missing": {"options": {"libvirt": {"accelerator": "kvm"}}},
    "machine-type-unknown": {"options": {"libvirt": {"machine": "pc-q35-99.9"}}},
    "cpu-unknown": {"cpus": {"count": 1, "model": "Z80"}},
    "cpu-unusable": {"cpus": {"count": 1, "model": "Icelake-Server"}},
    "cpu-mode": {"cpus": {"count": 1, "model": "host-passthrough"}},
    "too-many-cpus": {"cpus": 1000},
    "pinning": {"cpus": {"count": 1, "pinning": {0: "4000"}}},
    "hugepages": {"memory": {"size": "32MiB", "hugepages": "16MiB"}},
    "disk-bus": {"disks": [Disk(size="1MiB", bus="ide")], "options": {"libvirt": {"machine": "q35"}}},
    "no-uefi": {"firmware": Firmware(type="uefi")},
    "no-tpm": {"firmware": Firmware(tpm=True)},
    "bridge-missing": {"nics": [{"bridge": "nowhere"}]},
    "network-missing": {"nics": [{}]},
}


@pytest.mark.parametrize("code", BLOCKED)
def test_what_the_host_hasnt_got_is_refused(world: World, code: str) -> None:
    spec = MachineSpec(**{"name": "two", **BLOCKED[code]})
    answer = world.a.can(CREATE, spec)
    assert [blocker.code for blocker in answer.blockers] == [code], answer
    with pytest.raises(answer.blockers[0].raises):
        world.a.create(spec, Context())


@pytest.mark.parametrize("bus", ["virtio", "scsi", "sata", "ide", "usb"])
def test_every_bus_starts(world: World, bus: str) -> None:
    spec = MachineSpec(name=f"bus-{bus}", memory="32MiB", disks=[Disk(size="1MiB", bus=bus)])
    machine = world.a.create(spec, Context())
    world.a.start(machine.id, Context())
    assert world.a.inspect(machine.id).state is MachineState.RUNNING


def test_cards_start(world: World) -> None:
    nics = [Nic(user=True), Nic(bridge="br0", mac="52:54:00:00:00:01", model="e1000")]
    machine = world.a.create(MachineSpec(name="cards", memory="32MiB", nics=nics), Context())
    world.a.start(machine.id, Context())
    assert world.a.inspect(machine.id).state is MachineState.RUNNING


def test_description(world: World) -> None:
    info = world.a.describe()
    assert (info.name, info.uuid) == (world.lab.hosts[0].name, world.lab.hosts[0].uuid)
    assert info.free == info.capacity
    assert {"libvirt", "qemu", "client"} == set(info.versions)
    machine = world.a.create(MachineSpec(name="heavy", memory="32MiB"), Context())
    world.a.start(machine.id, Context())
    assert world.a.describe().allocated.memory == 32 << 20
