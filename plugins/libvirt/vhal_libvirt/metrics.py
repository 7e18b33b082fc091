"""What machines use, as libvirt tells it of all of them in one call.

A machine whose QEMU is busy with something else is told of as far as that goes without asking it, so that one that
hangs doesn't hang the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import libvirt

from vhal.spec import Bytes, Usage
from vhal_libvirt.accelerator import PROBE_PREFIX

_WHAT = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)


def usage(conn: libvirt.virConnect) -> Mapping[str, Usage]:
    """Return the usage of every active machine by its id."""
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    told = conn.getAllDomainStats(_WHAT, flags)
    now_s = time.monotonic()
    return {dom.UUIDString(): usage_of(facts, now_s) for dom, facts in told if not dom.name().startswith(PROBE_PREFIX)}


def usage_of(facts: Mapping[str, Any], now_s: float) -> Usage:
    """Return what libvirt's numbers of one machine mean."""
    cpu_ns = facts.get("cpu.time")
    # What its process holds is what the host has less; without it, what the guest was given.
    held = facts.get("balloon.rss", facts.get("balloon.current"))
    return Usage(
        time_s=now_s,
        cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
        memory=None if held is None else Bytes(held << 10),
        read=_sum(facts, "block", "rd.bytes"),
        written=_sum(facts, "block", "wr.bytes"),
        received=_sum(facts, "net", "rx.bytes"),
        sent=_sum(facts, "net", "tx.bytes"),
    )


def _sum(facts: Mapping[str, Any], kind: str, what: str) -> Bytes | None:
    count = facts.get(f"{kind}.count")
    if count is None:
        return None
    numbers = [facts.get(f"{kind}.{place}.{what}") for place in range(count)]
    told = [number for number in numbers if number is not None]
    return Bytes(sum(told)) if told or not count else None
