"""What moving a machine takes besides its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """Constants of an engine and its hosts. docs/explanation/physics.md says where each is from."""

    setup_s: float = 0.5
    """Until the first byte: the destination's engine, connections, the dirty log."""
    switch_s: float = 0.03
    """Downtime besides the memory that is left: stopping the guest, its devices' state, a last round trip."""
    scan_rate: float = float(1200 << 20)
    """Bytes of zero pages a second that the source finds to be zero."""
    stream_rate: float = float(1600 << 20)
    """Bytes a second that one connection carries, since one thread fills it. 1617 MiB/s over a 100 Gbit/s link, and
    about as much for each further one up to the link's rate, was measured in Cloud Hypervisor:
    https://github.com/cloud-hypervisor/cloud-hypervisor/pull/7669."""
    fill_rate: float = float(1600 << 20)
    """Bytes a second of each connection that the destination takes in for the first time: its kernel has to find and
    clear a page for each. No less than ``stream_rate`` where pages are large or found beforehand."""
    cpus: int = 64
    """That the busier of the two hosts has left for it: more connections than that don't carry more."""
