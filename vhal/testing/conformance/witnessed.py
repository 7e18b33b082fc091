"""What the suite asks the harness's witness: whether what the backend tells is so."""

from __future__ import annotations

from vhal.spec.machine import MachineInfo
from vhal.testing.harness import Harness


def witnessed(harness: Harness, name: str, told: MachineInfo | None) -> None:
    """Assert that the machine is seen on one host, as it was ``told``; with None, on no host.

    Without a witness nothing is looked at.
    """
    if harness.witness is None:
        return
    seen = harness.witness(name)
    if told is None:
        assert seen == [], f"machine {name!r} is gone, but the witness sees it: {seen}"
        return
    assert len(seen) == 1, f"machine {name!r} is on one host, but the witness sees it on {len(seen)}: {seen}"
    there = seen[0]
    for what, wanted in (("state", told.state), ("cpus", told.cpus), ("memory", told.memory)):
        found = getattr(there, what)
        assert found in (None, wanted), f"machine {name!r}: {what} is told as {wanted}, the witness sees {found}"
    wanted_processes = int(told.state.active)
    assert there.processes in (None, wanted_processes), (
        f"machine {name!r} is {told.state}, in {there.processes} processes"
    )
