"""Memory to disk and back, where libvirt keeps it for a machine."""

from __future__ import annotations

import libvirt

from vhal.driver import Context
from vhal_libvirt.job import Job


def save(dom: libvirt.virDomain, ctx: Context) -> None:
    """Write the machine's memory to disk and stop it. A failure or an abort leaves it as it was."""
    # Whether it ran or was paused, restoring shall let it run.
    Job(dom, lambda: dom.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING), "save").run(ctx)


def restore(dom: libvirt.virDomain) -> None:
    """Have the machine go on where its saved memory was taken."""
    dom.createWithFlags(0)
