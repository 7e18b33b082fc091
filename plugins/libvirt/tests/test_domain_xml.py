"""The documents that libvirt gets: as they were reviewed, valid by libvirt's schema, and read back right."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from vhal_libvirt import metadata
from vhal_libvirt.device_xml import DiskSource, _letters
from vhal_libvirt.document import parse
from vhal_libvirt.domain_xml import Blueprint, domain_xml

from vhal.spec import BootKernel, Cpus, Disk, Firmware, MachineSpec, Memory, Nic, Serial, Topology

ID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

CASES = {
    "smallest": MachineSpec(name="smallest"),
    "kernel": MachineSpec(
        name="kernel",
        memory=(64 << 20) + 1,
        boot=BootKernel(kernel="/boot/vmlinuz", initrd="/boot/initrd <&> '\"", cmdline="console=ttyS0 a=<b>&'c'\""),
        labels={"example.org/team": "blue <&> 'red'", "empty": ""},
    ),
    "disks": MachineSpec(
        name="disks",
        disks=[
            Disk(path="/d/a.qcow2"),
            Disk(path="/d/b.img", format="raw", shared=True),
            Disk(path="/d/c.img", format="raw", shared=True, read_only=True),
            Disk(path="/d/d.qcow2", bus="scsi", cache="writeback"),
            Disk(path="/d/e.qcow2", bus="sata", cache="directsync", shared=True),
            Disk(path="/d/f.qcow2", bus="usb", cache="unsafe"),
            Disk(size="1GiB", pool="fast"),
        ],
    ),
    "ide": MachineSpec(name="ide", disks=[Disk(path="/d/a.img", format="raw", bus="ide")]),
    "nics": MachineSpec(
        name="nics",
        nics=[
            Nic(),
            Nic(network="lan", mac="52:54:00:00:00:01"),
            Nic(bridge="br0", model="e1000"),
            Nic(user=True, model="rtl8139"),
        ],
    ),
    "serials": MachineSpec(
        name="serials",
        serials=[Serial(log="/var/log/a.log"), Serial(socket="/run/b.sock"), Serial()],
    ),
    "processors": MachineSpec(
        name="processors",
        cpus=Cpus(
            count=8,
            topology=Topology(sockets=2, cores=2, threads=2),
            pinning={0: "0-1,4", 7: "3"},
            model="host-passthrough",
        ),
        memory=Memory(size="2GiB", hugepages="2MiB"),
    ),
    "named-processor": MachineSpec(name="named-processor", cpus=Cpus(count=2, model="Nehalem")),
    "secure": MachineSpec(name="secure", firmware=Firmware(type="uefi", secure_boot=True, tpm=True)),
    "emulated": MachineSpec(name="emulated", memory="128MiB"),
    "uefi": MachineSpec(name="uefi", firmware=Firmware(type="uefi")),
}


def render(spec: MachineSpec) -> str:
    sources = tuple(DiskSource(disk.path or f"/dev/fast/{n}", disk.path is None) for n, disk in enumerate(spec.disks))
    blueprint = Blueprint(
        id=ID,
        domain_type="qemu",
        arch="x86_64",
        machine="pc" if spec.name == "ide" else "q35",
        disks=sources,
        loses_writes=spec.name in ("emulated", "processors"),
        record=metadata.record_of(spec, ("/dev/fast/6",) if spec.name == "disks" else (), ID),
    )
    return domain_xml(spec, blueprint)


@pytest.mark.parametrize("name", CASES)
def test_document(name: str, snapshot: SnapshotAssertion) -> None:
    assert render(CASES[name]) == snapshot


@pytest.mark.parametrize("name", CASES)
def test_libvirts_schema_accepts_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "domain.xml"
    path.write_text(render(CASES[name]))
    done = subprocess.run(["virt-xml-validate", str(path), "domain"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_the_spec_comes_back(name: str) -> None:
    record = metadata.read(metadata.find(parse(render(CASES[name]))))
    assert metadata.spec_of(record) == CASES[name]
    assert record.labels == CASES[name].labels
    assert record.epoch == 1


def test_other_architectures_get_no_features_of_a_pc() -> None:
    spec = MachineSpec(name="arm")
    text = domain_xml(spec, Blueprint(ID, "qemu", "aarch64", None, (), True, metadata.record_of(spec, (), ID)))
    assert "commandline" not in text
    assert parse(text).find("features") is None
    assert parse(text).find("os/type[@machine]") is None


def test_no_format_is_left_to_be_guessed() -> None:
    root = parse(render(CASES["disks"]))
    disks = root.findall("devices/disk")
    assert len(disks) == 7
    assert all(driver is not None and driver.get("type") for driver in (disk.find("driver") for disk in disks))


@pytest.mark.parametrize(("place", "letters"), [(0, "a"), (25, "z"), (26, "aa"), (701, "zz"), (702, "aaa")])
def test_letters(place: int, letters: str) -> None:
    assert _letters(place) == letters
