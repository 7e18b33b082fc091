"""What engines can't do as the contract says, and why: the one place where a difference to the mock may be stated.

Who states one is held to it: where the engine does as the mock after all, the comparison fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from vhal.driver.event import EventKind


@dataclass(frozen=True)
class Limit:
    """What an engine tells of a call, instead of what the contract says."""

    tells: tuple[EventKind, ...]
    reason: str


LIMITS: dict[str, dict[str, Limit]] = {
    "containers": {
        "resize": Limit(
            (), "sizes are in a record of vhal's and in the control group; podman has an event for neither"
        ),
    },
    "docker": {
        "resize": Limit((), "sizes of a stopped machine are in a record of vhal's, of which docker tells nothing"),
        "reboot": Limit(
            (EventKind.STOPPED, EventKind.STARTED, EventKind.REBOOTED), "docker tells of a restart when it is over"
        ),
    },
    "libvirt": {},
    "libvirt+test": {
        "restore": Limit((EventKind.STARTED,), "libvirt's test driver says of what it restores that it was booted"),
    },
}
"""Engine → call → its limit."""


def tells(engine: str) -> dict[str, tuple[str, ...]]:
    """Return an engine's limits as a harness wants them."""
    return {call: tuple(limit.tells) for call, limit in LIMITS[engine].items()}
