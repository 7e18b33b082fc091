"""Other sizes of one machine: a new document for a stopped one, what QEMU can change for one that runs.

A machine that runs gets memory by its balloon, up to what it was started with; more needs a restart. Processors are
plugged in and out where the machine has places for it, which those that vhal makes don't have. All that stands against
it is found before anything is done, except a guest that doesn't move its balloon: that is undone, and said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import libvirt
from lxml import etree

from vhal.driver import Answer, Blocker, Context
from vhal.errors import InsufficientResources, OperationTimeout
from vhal.spec import Bytes
from vhal_libvirt import emulation
from vhal_libvirt.document import child, dump, parse

BALLOON_S = 30.0
"""How long a guest may take to give memory back or to take it, where nobody says otherwise."""

_SLACK_KIB = 64
"""How far from what was asked for a balloon may stay: guests move it in pages, and QEMU rounds."""


def resize(
    conn: libvirt.virConnect, dom: libvirt.virDomain, cpus: int | None, memory: Bytes | None, ctx: Context
) -> None:
    """Give the machine that much.

    Raises:
        vhal.errors.Unsupported: It can't be changed so, or not while it runs.
        vhal.errors.InsufficientResources: The host has less in all.
    """
    _room(conn, cpus, memory)
    if dom.isActive():
        _running(dom, cpus, memory, ctx)
    else:
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        root = parse(dom.XMLDesc(flags))
        redefine(root, cpus, memory)
        conn.defineXML(dump(root))


def _room(conn: libvirt.virConnect, cpus: int | None, memory: Bytes | None) -> None:
    _, total_mib, *_ = conn.getInfo()
    if memory is not None and memory > total_mib << 20:
        raise InsufficientResources(
            f"the host has {Bytes(total_mib << 20)} of memory in all", hint="choose a larger host, or less memory"
        )
    most = conn.getMaxVcpus(None)
    if cpus is not None and cpus > most > 0:
        raise InsufficientResources(f"a machine has at most {most} processors there", hint="use fewer processors")


def redefine(domain: etree._Element, cpus: int | None, memory: Bytes | None) -> None:
    """Give the document of a stopped machine other sizes.

    Raises:
        vhal.errors.Unsupported: It says more about its processors or its memory than how much.
    """
    cpus = cpus if cpus is not None and str(cpus) != _vcpus(domain) else None
    found = []
    if cpus is not None and (domain.find("cpu/topology") is not None or domain.find("cpu/numa") is not None):
        found.append(
            Blocker(
                "fixed-topology",
                "the machine says how its processors are arranged",
                "edit its document (virsh edit), or make it anew with another topology",
            )
        )
    if memory is not None and (domain.find("cpu/numa") is not None or domain.find("devices/memory") is not None):
        found.append(
            Blocker("arranged-memory", "the machine says how its memory is arranged", "edit its document (virsh edit)")
        )
    _refuse(found)
    if cpus is not None:
        _set_cpus(domain, cpus)
    if memory is not None:
        kib = (memory + 1023) >> 10
        for tag in ("memory", "currentMemory"):
            element = domain.find(tag)
            if element is None:
                element = child(domain, tag)
            element.text = str(kib)
            element.set("unit", "KiB")
        emulation.follow(domain, memory)


def _vcpus(domain: etree._Element) -> str:
    element = domain.find("vcpu")
    return "1" if element is None else element.get("current") or (element.text or "1").strip()


def _set_cpus(domain: etree._Element, cpus: int) -> None:
    element = domain.find("vcpu")
    if element is None:
        element = child(domain, "vcpu")
    element.text = str(cpus)
    if "current" in element.attrib:
        del element.attrib["current"]
    if (places := domain.find("vcpus")) is not None:
        domain.remove(places)
    for pin in domain.findall("cputune/vcpupin"):
        if int(pin.get("vcpu", "0")) >= cpus:
            parent = pin.getparent()
            if parent is not None:
                parent.remove(pin)


def _running(dom: libvirt.virDomain, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
    _, most_kib, held_kib, now_cpus, _ = dom.info()
    held_kib = min(held_kib, most_kib)
    kib = None if memory is None else (memory + 1023) >> 10
    kib = None if kib == held_kib else kib
    cpus = None if cpus == now_cpus else cpus
    domain = parse(dom.XMLDesc(0))
    simulated = domain.get("type") == "test"
    found: list[Blocker] = []
    if (kib is not None or cpus is not None) and dom.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        found.append(Blocker("paused", "the guest is paused and can't help", "resume() it first, or stop() it"))
    if kib is not None:
        found += _against_memory(domain, kib, most_kib, simulated)
    if cpus is not None:
        found += _against_cpus(domain, cpus, now_cpus, simulated)
    _refuse(found)
    if kib is not None:
        _balloon(dom, kib, held_kib, ctx)
    try:
        if cpus is not None:
            _each(dom, dom.setVcpusFlags, cpus)
    except libvirt.libvirtError:
        if kib is not None:
            with contextlib.suppress(libvirt.libvirtError):
                _each(dom, dom.setMemoryFlags, held_kib)
        raise


def _against_memory(domain: etree._Element, kib: int, most_kib: int, simulated: bool) -> list[Blocker]:
    if kib > most_kib:
        return [
            Blocker(
                "above-boot-memory",
                f"the machine was started with {Bytes(most_kib << 10)}, and can't have more while it runs",
                "stop() it, resize it, and start() it",
            )
        ]
    balloon = domain.find("devices/memballoon")
    if not simulated and (balloon is None or balloon.get("model") == "none"):
        return [Blocker("no-balloon", "the machine has no balloon to give memory back", "stop() it, and resize it")]
    return []


def _against_cpus(domain: etree._Element, cpus: int, now: int, simulated: bool) -> list[Blocker]:
    places = domain.findall("vcpus/vcpu")
    pluggable = [place for place in places if place.get("hotpluggable") == "yes"]
    room = sum(place.get("enabled") == ("no" if cpus > now else "yes") for place in pluggable)
    if simulated:
        most = int((domain.findtext("vcpu") or "1").strip())
        room = most - now if cpus > now else now - 1
    if abs(cpus - now) <= room:
        return []
    what = "no places for more processors" if cpus > now else "no processors that can be taken out"
    return [
        Blocker("no-processor-places", f"the machine has {what} while it runs", "stop() it, resize it, and start() it")
    ]


def _balloon(dom: libvirt.virDomain, kib: int, before_kib: int, ctx: Context) -> None:
    _each(dom, dom.setMemoryFlags, kib)
    wait = Context(BALLOON_S)
    try:
        while abs(dom.info()[2] - kib) > _SLACK_KIB:
            wait.check()
            ctx.wait(0.1)
    except BaseException as error:
        _each(dom, dom.setMemoryFlags, before_kib)
        if isinstance(error, OperationTimeout) and ctx.remaining_s != 0:
            raise Answer.of(
                [
                    Blocker(
                        "guest-keeps-memory",
                        "the guest doesn't give or take the memory; it may have no driver for its balloon",
                        "stop() it, resize it, and start() it",
                    )
                ]
            ).error(backend="libvirt", machine=dom.name()) from None
        raise


def _each(dom: libvirt.virDomain, change: Callable[[int, int], object], value: int) -> None:
    """Change it as it runs, and, if it stays when it stops, as it will be started."""
    change(value, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    if dom.isPersistent():
        change(value, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _refuse(found: list[Blocker]) -> None:
    if found:
        raise Answer.of(found).error(backend="libvirt")
