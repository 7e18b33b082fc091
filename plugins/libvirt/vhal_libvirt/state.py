"""libvirt's states as ours.

A state in libvirt is a pair, state and reason, and whether saved memory exists is a third thing; all three are needed
to tell what may be done with a machine.
"""

from __future__ import annotations

import libvirt

from vhal.spec import MachineState

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: MachineState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: MachineState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: MachineState.STOPPING,
    libvirt.VIR_DOMAIN_SHUTOFF: MachineState.STOPPED,
    libvirt.VIR_DOMAIN_CRASHED: MachineState.CRASHED,
}

_ARRIVING = frozenset({libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP})


def machine_state(state: int, reason: int, saved: bool = False) -> MachineState:
    """Return the state of a machine whose domain is in ``state`` for ``reason``."""
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in _ARRIVING:
        return MachineState.MIGRATING
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        if saved:
            return MachineState.SAVED
        if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
            return MachineState.CRASHED
    return _STATES.get(state, MachineState.UNKNOWN)
