"""Whether KVM runs a guest on this machine, asked of QEMU itself: for a doctor that finds no libvirtd.

What libvirt's hosts can do is found out through libvirt, in :mod:`vhal_libvirt.accelerator`; the proof is the same.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from vhal_libvirt.accelerator import PROBE_CPU_S, PROBE_S

_KILL_S = 90.0
"""A QEMU that stands still inside the kernel takes the better part of a minute to go."""


_PROBE = ["-nodefaults", "-display", "none", "-m", "32", "-no-reboot", "-boot", "reboot-timeout=0"]


def runs(accelerator: str = "kvm") -> bool | None:
    """Return whether a firmware without devices gets to its end; None if there is no QEMU to try it with.

    Takes as long as the probe may take, or until a QEMU that hangs has gone. Leaves no process.

    Args:
        accelerator: What QEMU shall run it on.
    """
    emulator = shutil.which(f"qemu-system-{platform.machine()}")
    if emulator is None:
        return None
    probe = subprocess.Popen(
        # The firmware finds nothing to boot, restarts at once as told, and that ends it.
        [emulator, *_PROBE, "-accel", accelerator],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = os.times()
    try:
        ended = probe.wait(PROBE_S) == 0
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.wait(_KILL_S)
        return False
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return ended and spent <= PROBE_CPU_S
