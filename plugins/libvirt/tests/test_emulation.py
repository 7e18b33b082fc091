"""Machines whose memory QEMU before 9.0 doesn't keep track of."""

from __future__ import annotations

import re

import pytest
from vhal_libvirt import emulation
from vhal_libvirt.document import dump, parse

from vhal.spec import Bytes


@pytest.mark.parametrize(
    ("domain_type", "hypervisor", "loses"),
    [("qemu", 7_002_022, True), ("qemu", 8_999_999, True), ("qemu", 9_000_000, False), ("kvm", 7_002_022, False)],
)
def test_which_lose_writes(domain_type: str, hypervisor: int, loses: bool) -> None:
    assert emulation.loses_writes(domain_type, hypervisor) is loses


@pytest.mark.parametrize(
    ("arch", "hugepages", "can"),
    [("x86_64", None, True), ("i686", None, True), ("aarch64", None, False), ("x86_64", 2 << 20, False)],
)
def test_which_can_be_made_for_it(arch: str, hugepages: int | None, can: bool) -> None:
    assert emulation.can_be_made_for_it(arch, hugepages) is can


@pytest.mark.parametrize("memory", [1, 1 << 20, (128 << 20) - 4096, 128 << 20, (128 << 20) + 1, 3 << 30])
def test_the_memory_is_never_less_and_no_multiple_of_64_pages(memory: int) -> None:
    domain = parse("<domain type='qemu'/>")
    assert not emulation.made_for_it(domain)
    emulation.make_for_it(domain, Bytes(memory))
    text = dump(domain)
    (size,) = (int(number) for number in re.findall(r"size=(\d+)\"", text))
    assert memory < size < memory + (1 << 20) + 8193
    assert size % (64 * 4096) == size % (1 << 20) == 8192
    assert f"size={size >> 10}k" in text
    assert emulation.made_for_it(parse(text))


def test_the_arguments_of_somebody_else_are_none_of_ours() -> None:
    other = "xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'"
    domain = parse(f"<domain {other}><q:commandline><q:arg value='-S'/><q:arg/></q:commandline></domain>")
    assert not emulation.made_for_it(domain)
