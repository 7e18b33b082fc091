"""Memory to disk and back, where libvirt keeps it for a machine."""

from __future__ import annotations

import libvirt

from vhal.driver import Context
from vhal_libvirt.job import Job


def save(dom: libvirt.virDomain, ctx: Context) -> None:
    """Write the machine's memory to disk and stop it. A failure or an abort leaves it as it was."""
    # Whether it ran or was paused, restoring shall let it run.
    operation = libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE
    Job(dom, lambda: dom.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING), "save", operation).run(ctx)


def restore(dom: libvirt.virDomain) -> None:
    """Have the machine go on where its saved memory was taken.

    It has no deadline and can't be aborted: to libvirt it is a start, and it aborts none (``abortJob`` is refused).
    Destroying the machine meanwhile would end it, but whether its saved memory is still there then isn't certain.
    """
    dom.createWithFlags(0)
