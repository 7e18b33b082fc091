"""Whether a host's KVM truly runs a guest.

A device that opens and a capability that is announced prove nothing: in nested and sandboxed places KVM is there, and
the guest stands still at its first instruction. So a machine without any disk is started for a moment: its firmware
finds nothing to boot, restarts it at once as told, and the restart ends it. A machine that ends by itself has run.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import Literal

import libvirt
from lxml import etree

from vhal.driver import Blocker, Level
from vhal_libvirt.document import child, dump
from vhal_libvirt.host_facts import HostFacts

PROBE_PREFIX = "vhal-kvm-probe-"
"""Machines of this name are probes; they are shown to nobody."""

PROBE_S = 8.0
"""A firmware without devices is through in a third of a second, even emulated; this is for very busy hosts."""

PROBE_CPU_S = 2.0
"""Processor time that it may take: a tenth of this where KVM works. Where KVM is emulated itself the firmware crawls
through in several times as much, and a guest's kernel never gets anywhere; how busy the host is doesn't count."""

_PROBED = frozenset({"x86_64", "i686"})
"""Architectures whose firmware can be told to restart a machine without disks; elsewhere the announcement counts."""

_POLL_S = 0.02
_lock = threading.Lock()
_verdicts: dict[str, bool] = {}


def domain_type(
    conn: libvirt.virConnect, facts: HostFacts, wanted: Literal["auto", "kvm", "tcg"]
) -> tuple[str, Blocker | None]:
    """Return the type of domain for an accelerator, and what stands against it."""
    if facts.simulated:
        return "test", None
    if wanted == "tcg":
        return "qemu", None
    if "kvm" in facts.domain_types and kvm_runs(conn, facts):
        return "kvm", None
    return ("qemu", None) if wanted == "auto" else ("kvm", _blocker(facts))


def kvm_runs(conn: libvirt.virConnect, facts: HostFacts) -> bool:
    """Return whether KVM runs a guest on the host, or on other architectures than x86 whether it is announced.

    Found out once for each host, until :func:`forget`. If the engine fails to try it, it is False this time.
    """
    if not probed(facts):
        return "kvm" in facts.domain_types
    with _lock:
        verdict = _verdicts.get(facts.uuid)
        if verdict is None:
            verdict = _probe(conn, facts)
            if verdict is not None:
                _verdicts[facts.uuid] = verdict
        return verdict is True


def probed(facts: HostFacts) -> bool:
    """Return whether KVM is tried on such a host."""
    return facts.arch in _PROBED


def forget(host_id: str) -> None:
    """Try it again next time: the host may have been restarted, or its engine be another one."""
    # Without the lock, which is held while a probe runs: whoever calls this is told of things and can't wait.
    _verdicts.pop(host_id, None)


def _blocker(facts: HostFacts) -> Blocker:
    if "kvm" not in facts.domain_types:
        return Blocker(
            "kvm-missing",
            "the host has no KVM",
            "load the kernel's module kvm_intel or kvm_amd, or use accelerator 'auto' or 'tcg'",
            Level.HOST,
        )
    return Blocker(
        "kvm-broken",
        "KVM announces itself on this host but doesn't run a guest",
        "use accelerator 'auto' or 'tcg'; in a virtual machine, enable nested virtualization on its host",
        Level.HOST,
    )


def _probe(conn: libvirt.virConnect, facts: HostFacts) -> bool | None:
    """Return the verdict, or None if there is none since the engine failed."""
    # In a thread of its own, since where KVM hangs, libvirt's calls about the probe do too: a QEMU that stands still
    # inside the kernel takes the better part of a minute to start, and another one to kill.
    verdict: list[bool | None] = []
    over = threading.Event()

    def work() -> None:
        try:
            verdict.append(_boot(conn, facts, over))
        except libvirt.libvirtError:
            verdict.append(None)
        finally:
            known.set()

    known = threading.Event()
    threading.Thread(target=work, name="vhal-libvirt-probe", daemon=True).start()
    known.wait(PROBE_S)
    over.set()
    return verdict[0] if verdict else False


def _boot(conn: libvirt.virConnect, facts: HostFacts, over: threading.Event) -> bool:
    """Return whether a machine ends by itself before ``over`` is set; remove it if it doesn't."""
    dom = conn.createXML(_probe_xml(facts), libvirt.VIR_DOMAIN_START_AUTODESTROY)
    try:
        while not over.wait(_POLL_S):
            if not dom.isActive():
                return True
            if dom.info()[4] > PROBE_CPU_S * 1e9:
                return False
        return False
    except libvirt.libvirtError as error:
        # A transient machine that has ended isn't there any more.
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return True
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            dom.destroy()


def _probe_xml(facts: HostFacts) -> str:
    root = etree.Element("domain", type="kvm")
    child(root, "name", PROBE_PREFIX + uuid.uuid4().hex[:8])
    child(root, "memory", "32", unit="MiB")
    child(root, "vcpu", "1")
    system = child(root, "os")
    child(system, "type", "hvm", arch=facts.arch)
    child(system, "bios", rebootTimeout="0")
    child(system, "boot", dev="hd")
    child(root, "on_poweroff", "destroy")
    child(root, "on_reboot", "destroy")
    child(root, "on_crash", "destroy")
    devices = child(root, "devices")
    child(devices, "controller", type="usb", model="none")
    child(devices, "memballoon", model="none")
    return dump(root)
