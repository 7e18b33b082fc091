"""What can be done with one machine as it is made, whoever made it.

Not about its state: the core checks that for every backend. Whether a machine can be made at all is
:mod:`vhal_libvirt.requirements`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt
from lxml import etree

from vhal.driver import CONSOLE, MIGRATION, READINESS, Answer, Blocker, Capability
from vhal_libvirt.document import parse
from vhal_libvirt.readiness import channel


def machine_answer(capability: Capability[Any], dom: libvirt.virDomain) -> Answer:
    """Return whether the machine has what the capability needs."""
    if capability.id not in _CHECKS:
        return Answer()
    return Answer.of(_CHECKS[capability.id](dom, parse(dom.XMLDesc(0))))


def _console(dom: libvirt.virDomain, domain: etree._Element) -> Iterator[Blocker]:
    first = domain.find("devices/console")
    if first is None:
        first = domain.find("devices/serial")
    if first is None:
        yield Blocker("no-console", "the machine has no serial line", "make it with one")
    elif first.get("type") != "pty":
        yield Blocker(
            "console-elsewhere",
            "the machine's serial line is connected to a socket",
            "listen on that socket, or make the machine with a serial line without one",
        )


def _readiness(dom: libvirt.virDomain, domain: etree._Element) -> Iterator[Blocker]:
    if channel(domain) is None:
        yield Blocker("no-agent-channel", "the machine has no channel for an agent", "make it with vhal, or add one")


def migration_blockers(dom: libvirt.virDomain, domain: etree._Element) -> Iterator[Blocker]:
    """Yield what of the machine can't be moved to any host, whether it runs meanwhile or not.

    What only stands against one of the two is found with the policy, in :mod:`vhal_libvirt.migration.preflight`.
    """
    if dom.snapshotNum(0):
        yield Blocker("snapshots", "the machine has snapshots, which stay behind", "delete its snapshots")


_CHECKS = {CONSOLE.id: _console, READINESS.id: _readiness, MIGRATION.id: migration_blockers}
