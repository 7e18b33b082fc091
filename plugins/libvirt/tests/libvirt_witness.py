"""What libvirt's own tools say of a machine, and ``/proc``: past the plugin and everything in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import libvirt

from tests.testbed import Lab
from vhal.spec import MachineState
from vhal.testing import Sighting

_STATES = {
    "running": MachineState.RUNNING,
    "idle": MachineState.RUNNING,
    "paused": MachineState.PAUSED,
    "shut off": MachineState.STOPPED,
    "crashed": MachineState.CRASHED,
}


def seen_by_virsh(lab: Lab, name: str) -> list[Sighting]:
    """Return what ``virsh dominfo`` says on each host of the lab, and how many QEMUs on this computer run the machine.

    A machine that moved has no QEMU left behind, so that there is one on all hosts together.
    """
    found = []
    for host in lab.hosts:
        asked = ["virsh", "--connect", host.native_uri, "dominfo", "--", name]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        if said.returncode == 0:
            facts = dict(re.findall(r"^(.+?): +(.+)$", said.stdout, re.MULTILINE))
            saved = facts["Managed save"] == "yes"
            found.append(
                Sighting(
                    host.name,
                    MachineState.SAVED if saved else _STATES[facts["State"]],
                    int(facts["CPU(s)"]),
                    int(facts["Max memory"].removesuffix(" KiB")) << 10,
                    _qemus(facts["UUID"]),
                )
            )
    return found


def seen_by_the_test_driver(name: str) -> list[Sighting]:
    """Return what another connection to ``test:///default`` says."""
    conn = libvirt.open("test:///default")
    try:
        named = [domain for domain in conn.listAllDomains() if domain.name() == name]
        return [_sighting(domain) for domain in named]
    finally:
        conn.close()


def _sighting(domain: libvirt.virDomain) -> Sighting:
    state, memory, _, cpus, _ = domain.info()
    known = {
        libvirt.VIR_DOMAIN_RUNNING: MachineState.RUNNING,
        libvirt.VIR_DOMAIN_PAUSED: MachineState.PAUSED,
        libvirt.VIR_DOMAIN_SHUTOFF: MachineState.SAVED if domain.hasManagedSaveImage() else MachineState.STOPPED,
    }
    return Sighting("test", known[state], cpus, memory << 10)


def _qemus(uuid: str) -> int:
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        count += b"-uuid" in words and uuid.encode() in words
    return count
