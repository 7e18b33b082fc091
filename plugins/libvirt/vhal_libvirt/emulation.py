"""Emulated guests, of whose writes QEMU before 9.0 loses some while their memory is copied.

QEMU marks a page as dirty at the first write after its mark was cleared; the emulated processor remembers that in its
TLB, and takes a shorter way at the next ones. Before 9.0, clearing marks in bulk forgot to tell the processor. A page
that is written again is then not sent again, and the guest goes on at the destination with old content: it panics, or
worse, it doesn't. Marks are only cleared in bulk in memory that is a multiple of 64 pages. So a machine that is made
for such a QEMU gets two pages more than that, which is as little as QEMU can add.

Source: QEMU's "physmem: Fix migration dirty bitmap coherency with TCG memory access", March 2024, in QEMU 9.0.
"""

from __future__ import annotations

from lxml import etree

from vhal.spec import Bytes

FIXED = 9_000_000
"""The first QEMU that keeps track of emulated guests, as libvirt counts versions."""

_MORE = 8192
"""QEMU rounds a machine's memory up to a multiple of this."""

_WHOLE = 1 << 20
"""libvirt rounds a machine's memory up to a multiple of this, which is one of 64 pages too."""

_ARCHS = frozenset({"x86_64", "i686"})
_BACKEND = "vhal.ram"
_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def loses_writes(domain_type: str, hypervisor: int) -> bool:
    """Return whether a running machine may lose writes when it moves, unless it is :func:`made_for_it`.

    Args:
        domain_type: libvirt's type of the machine.
        hypervisor: Version of the QEMU in which it runs, as libvirt counts it.
    """
    return domain_type == "qemu" and hypervisor < FIXED


def can_be_made_for_it(arch: str, hugepages: int | None) -> bool:
    """Return whether a machine can have memory that isn't a multiple of 64 pages; huge pages are larger than that."""
    return arch in _ARCHS and hugepages is None


def made_for_it(domain: etree._Element) -> bool:
    """Return whether QEMU keeps track of the machine with this document."""
    return any(
        (argument.get("value") or "").startswith(f"memory-backend-ram,id={_BACKEND},")
        for argument in domain.iterfind(f"{{{_QEMU}}}commandline/{{{_QEMU}}}arg")
    )


def make_for_it(domain: etree._Element, memory: Bytes) -> None:
    """Have QEMU keep track of the machine: give it ``memory``, as libvirt would round it, and two pages more."""
    size = _size(memory)
    # libvirt knows no such sizes. The backend that it makes itself stays unused, and takes no memory.
    commandline = etree.SubElement(domain, f"{{{_QEMU}}}commandline", nsmap={"qemu": _QEMU})
    for option, value in (
        ("-object", f"memory-backend-ram,id={_BACKEND},size={size}"),
        ("-machine", f"memory-backend={_BACKEND}"),
        ("-m", f"size={size >> 10}k"),
    ):
        for text in (option, value):
            etree.SubElement(commandline, f"{{{_QEMU}}}arg", value=text)


def follow(domain: etree._Element, memory: Bytes) -> None:
    """Have a machine that was :func:`made_for_it` be so with another amount of memory; others are left alone."""
    if not made_for_it(domain):
        return
    arguments = domain.findall(f"{{{_QEMU}}}commandline/{{{_QEMU}}}arg")
    for before, argument in zip([None, *arguments], arguments, strict=False):
        if (argument.get("value") or "").startswith(f"memory-backend-ram,id={_BACKEND},"):
            argument.set("value", f"memory-backend-ram,id={_BACKEND},size={_size(memory)}")
        elif before is not None and before.get("value") == "-m":
            argument.set("value", f"size={_size(memory) >> 10}k")


def _size(memory: int) -> int:
    return -(-memory // _WHOLE) * _WHOLE + _MORE
