"""Whether a guest is up: its agent has opened the channel that every machine of ours has."""

from __future__ import annotations

import libvirt
from lxml import etree

from vhal_libvirt.device_xml import AGENT
from vhal_libvirt.document import parse


def channel(domain: etree._Element) -> etree._Element | None:
    """Return the agent's end in a machine's document, or None if it has no channel."""
    return domain.find(f"devices/channel/target[@name='{AGENT}']")


def ready(dom: libvirt.virDomain) -> bool:
    """Return whether the guest has opened the channel. libvirt knows; nobody is asked."""
    target = channel(parse(dom.XMLDesc(0)))
    return target is not None and target.get("state") == "connected"
