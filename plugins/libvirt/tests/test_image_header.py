"""The parser of image headers, with headers made by hand."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_libvirt.image_header import HEADER_SIZE, detect, inspect


def qcow2(version: int = 3, *, backing: int = 0, encryption: int = 0, incompatible: int = 0) -> bytes:
    head = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing, 8 if backing else 0, 16, 1 << 30, encryption, 1, 3 << 16,
        1 << 16, 1, 0, 0,
    )  # fmt: skip
    tail = struct.pack(">QQQII", incompatible, 0, 0, 4, 104) if version >= 3 else b""
    return (head + tail).ljust(512, b"\0")


GOOD = [qcow2(), qcow2(2), qcow2(incompatible=0b1), qcow2(incompatible=0b11000)]

BAD = [
    (qcow2(backing=600), "backing file"),
    (qcow2(2, backing=600), "backing file"),
    (qcow2(encryption=1), "encrypted"),
    (qcow2(encryption=2), "encrypted"),
    (qcow2(incompatible=1 << 2), "another file"),
    (qcow2(incompatible=1 << 5), "aren't known"),
    (qcow2(incompatible=1 << 63), "aren't known"),
    (qcow2(incompatible=1 << 1), "corrupt"),
    (qcow2(4), "version 4"),
    (qcow2()[:40], "cut off"),
    (qcow2()[:90], "cut off"),
    (b"", "raw"),
    (b"\0" * 512, "raw"),
    (b"QFI\xfb\0\0\0\x01" + bytes(100), "qcow"),
]

OTHERS = {
    "vmdk": [b"KDMV" + bytes(508), b"COWD" + bytes(508), b"# Disk DescriptorFile\nversion=1\n"],
    "vdi": [b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe" + bytes(400)],
    "vhdx": [b"vhdxfile" + bytes(504)],
    "vhd": [b"conectix" + bytes(504)],
    "luks": [b"LUKS\xba\xbe\0\x01" + bytes(500)],
    "qed": [b"QED\0" + bytes(508)],
    "parallels": [b"WithoutFreeSpace" + bytes(500), b"WithouFreSpacExt" + bytes(500)],
    "qcow2": [qcow2()],
}


@pytest.mark.parametrize("header", GOOD)
def test_a_plain_qcow2_is_taken(header: bytes) -> None:
    assert inspect(header, "qcow2") is None


@pytest.mark.parametrize(("header", "reason"), BAD)
def test_what_reaches_outside_or_is_unknown_is_not(header: bytes, reason: str) -> None:
    problem = inspect(header, "qcow2")
    assert problem is not None
    assert reason in problem.reason
    assert problem.hint


@pytest.mark.parametrize(("format", "header"), [(name, header) for name, all_ in OTHERS.items() for header in all_])
def test_a_raw_disk_that_is_something_else_is_not_taken(format: str, header: bytes) -> None:
    assert detect(header) == format
    problem = inspect(header, "raw")
    assert problem is not None
    assert format in problem.reason


@pytest.mark.parametrize("header", [b"", b"\0" * HEADER_SIZE, b"\xeb\x63\x90" + bytes(509)])
def test_a_raw_disk_is_taken(header: bytes) -> None:
    assert inspect(header, "raw") is None


@given(st.binary(max_size=600))
def test_any_bytes_are_looked_at_without_a_fault(data: bytes) -> None:
    for declared in ("raw", "qcow2"):
        problem = inspect(data, declared)
        assert problem is None or problem.reason


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_no_qcow2_that_reaches_outside_is_taken(backing: int, incompatible: int, encryption: int) -> None:
    taken = inspect(qcow2(backing=backing, incompatible=incompatible, encryption=encryption), "qcow2") is None
    assert taken == (backing == 0 and encryption == 0 and incompatible & ~0b11001 == 0)


@pytest.mark.parametrize("format", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "parallels", "qcow", "luks"])
def test_images_of_qemus_own_making(tmp_path: Path, format: str) -> None:
    path = tmp_path / "image"
    command = ["qemu-img", "create", "-q", "-f", format]
    if format == "luks":
        command += ["--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10"]
    subprocess.run([*command, str(path), "1M"], check=True, capture_output=True)
    header = path.read_bytes()[:HEADER_SIZE]
    assert detect(header) == {"vpc": "vhd"}.get(format, format)
    assert (inspect(header, "qcow2") is None) == (format == "qcow2")
    assert inspect(header, "raw") is not None


def test_a_qcow2_with_a_backing_file_of_qemus_own_making(tmp_path: Path) -> None:
    base, top = tmp_path / "base", tmp_path / "top"
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", str(base), "1M"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(top)], check=True)
    assert inspect(top.read_bytes()[:HEADER_SIZE], "qcow2") is not None
