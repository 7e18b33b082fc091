"""What the first bytes of a disk image say, read by ourselves.

An image is a request to open other files: a qcow2 can name a backing file or a data file, and an engine that trusts
it reads ``/etc/passwd`` for a guest. So an image is looked at before it is given to an engine. Not a converter, and
not a repair tool; where the bytes come from is :mod:`vhal_libvirt.storage`.

The layouts are those of QEMU's ``docs/interop/qcow2.txt`` and of each format's own specification.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_SIZE = 4096
"""Bytes from the beginning of an image that :func:`inspect` wants; fewer if the image is shorter."""

_QCOW = b"QFI\xfb"
_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
)

_V3_HEADER = 104
_EXTERNAL_DATA = 1 << 2
_CORRUPT = 1 << 1
_KNOWN_INCOMPATIBLE = 0b11111
"""Dirty, corrupt, external data file, compression type, extended L2 entries."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an image isn't taken."""

    reason: str
    hint: str


def detect(header: bytes) -> str:
    """Return the format that the first bytes announce; ``raw`` if they announce none."""
    if header[:4] == _QCOW:
        version = int.from_bytes(header[4:8], "big")
        return "qcow" if version == 1 else "qcow2"
    for offset, magic, name in _MAGICS:
        if header[offset : offset + len(magic)] == magic:
            return name
    return "raw"


def inspect(header: bytes, declared: str) -> Problem | None:
    """Return why an image with these first bytes isn't a harmless one of the ``declared`` format, or None if it is."""
    found = detect(header)
    if found != declared:
        return Problem(
            f"it is declared {declared}, but its first bytes are those of {found}",
            f"declare its true format, or convert it: qemu-img convert -f {found} -O {declared}",
        )
    return _qcow2(header) if found == "qcow2" else None


def _qcow2(header: bytes) -> Problem | None:
    if len(header) < 72:
        return Problem("its qcow2 header is cut off", "it isn't complete; copy it again")
    version, backing = struct.unpack_from(">IQ", header, 4)
    (encryption,) = struct.unpack_from(">I", header, 32)
    if version not in (2, 3):
        return Problem(f"it is qcow2 version {version}, which isn't known", "convert it to version 3: compat=1.1")
    if backing:
        return Problem(
            "it has a backing file, so reading it reads another file of the host",
            "flatten it: qemu-img convert -f qcow2 -O qcow2",
        )
    if encryption:
        return Problem("it is encrypted", "decrypt it with qemu-img convert; encryption isn't supported yet")
    return _features(header) if version == 3 else None


def _features(header: bytes) -> Problem | None:
    if len(header) < _V3_HEADER:
        return Problem("its qcow2 header is cut off", "it isn't complete; copy it again")
    (incompatible,) = struct.unpack_from(">Q", header, 72)
    if incompatible & _EXTERNAL_DATA:
        return Problem(
            "it keeps its data in another file of the host",
            "bring them together: qemu-img convert -f qcow2 -O qcow2",
        )
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        return Problem(
            f"it uses features that aren't known (bits {incompatible & ~_KNOWN_INCOMPATIBLE:#x})",
            "rewrite it with an older tool: qemu-img convert -f qcow2 -O qcow2",
        )
    if incompatible & _CORRUPT:
        return Problem("it is marked as corrupt", "repair a copy of it: qemu-img check -r all")
    return None
