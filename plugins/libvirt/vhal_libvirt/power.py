"""Starting, stopping and restarting one machine."""

from __future__ import annotations

import contextlib
import threading
import time

import libvirt

from vhal.driver import Context
from vhal_libvirt.connection import Connection, Notice

RESEND_S = 10.0
"""A guest that is still booting ignores the button; so it is pressed again."""

_LOOK_S = 1.0
"""The event says when it has stopped; this is for the case that the event is lost with its connection."""


def start(dom: libvirt.virDomain) -> None:
    """Have its processors run."""
    dom.createWithFlags(0)


def power_off(dom: libvirt.virDomain) -> None:
    """Take the power away; from a saved machine, its memory. Does nothing to a stopped one."""
    if dom.isActive():
        try:
            dom.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_DEFAULT)
        except libvirt.libvirtError:
            if _active(dom):
                raise
    elif dom.hasManagedSaveImage():
        dom.managedSaveRemove(0)


def shut_down(connection: Connection, dom: libvirt.virDomain, ctx: Context, *, simulated: bool) -> None:
    """Press the power button and wait until the guest has turned itself off.

    Raises:
        vhal.errors.OperationTimeout: It hasn't before the deadline; it goes on running.
        vhal.errors.OperationAborted: Somebody asked for the end; it may still turn itself off later.
    """
    machine = dom.UUIDString()
    woken = threading.Event()

    def stopped(notice: Notice) -> None:
        if notice.topic == "lifecycle" and notice.id == machine and notice.event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            woken.set()

    cancel = connection.listen(stopped)
    try:
        with ctx.on_abort(woken.set):
            _press(dom, simulated=simulated)
            pressed = time.monotonic()
            while _active(dom):
                ctx.check()
                remaining = ctx.remaining_s
                woken.wait(_LOOK_S if remaining is None else min(_LOOK_S, remaining))
                woken.clear()
                if time.monotonic() - pressed >= RESEND_S:
                    with contextlib.suppress(libvirt.libvirtError):  # it may have stopped this very moment
                        _press(dom, simulated=simulated)
                    pressed = time.monotonic()
    finally:
        cancel()


def _press(dom: libvirt.virDomain, *, simulated: bool) -> None:
    # Nobody answers in a guest whose processors don't run.
    if dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        dom.resume()
    # The button and not the agent: it works without one, and doesn't wait for one that hangs.
    dom.shutdownFlags(0 if simulated else libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)


def _active(dom: libvirt.virDomain) -> bool:
    try:
        return bool(dom.isActive())
    except libvirt.libvirtError as error:
        # One that was never defined is gone with its run.
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise


def restart(dom: libvirt.virDomain, *, simulated: bool) -> None:
    """Ask the guest to restart: it is asked to turn itself off, and libvirt turns it on again."""
    dom.reboot(0 if simulated else libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
