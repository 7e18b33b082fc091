"""What moving a machine takes besides its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """Constants of an engine and its host. docs/explanation/physics.md says how they were measured."""

    setup_s: float = 0.05
    """Until the first byte: connections, dirty log, the receiving side."""
    switch_s: float = 0.02
    """Downtime besides the memory that is left: stopping the guest, its devices' state, a last round trip."""
    scan_rate: float = float(2 << 30)
    """Bytes of zero pages a second that the source finds to be zero."""
    stream_rate: float = float(1600 << 20)
    """Bytes a second that one connection carries, since one thread fills it. 1617 MiB/s over a 100 Gbit/s link, and
    about as much for each further one up to the link's rate, was measured in Cloud Hypervisor:
    https://github.com/cloud-hypervisor/cloud-hypervisor/pull/7669."""
