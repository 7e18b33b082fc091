"""Every call of the contract in one table: the driver's own and those of its capabilities.

For layers that do the same around all of them. A test compares the table with the contract
(:mod:`vhal.driver.driver`, :mod:`vhal.driver.capability`), which it doesn't replace. What fails nowhere isn't in it:
``provides``, ``clock_s``, ``sleep``, ``translate``, ``close``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vhal.driver import capability as contract
from vhal.driver.capability import Capability
from vhal.driver.driver import Driver


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the contract."""

    name: str
    """As in points and recordings: ``create``, ``migration.offer``."""
    method: str
    """What the method is called: ``create``, ``offer``."""
    act: str
    """What happens in it, as a clause: ``a machine is made``."""
    parameters: tuple[str, ...]
    """Names of its parameters, in their order."""

    def named(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what it was called with, by the contract's names."""
        return {**dict(zip(self.parameters, args, strict=False)), **kwargs}


_ACTS: tuple[tuple[Capability[Any] | None, type, dict[str, str]], ...] = (
    (
        None,
        Driver,
        {
            "describe": "the host is described",
            "machines": "the host's machines are listed",
            "inspect": "a machine is looked at",
            "create": "a machine is made",
            "delete": "a machine is removed",
            "start": "a machine is started",
            "stop": "a machine is stopped",
            "can": "the host is asked whether something can be done",
        },
    ),
    (contract.PAUSE, contract.Pause, {"pause": "a machine is paused", "resume": "a paused machine goes on"}),
    (contract.REBOOT, contract.Reboot, {"reboot": "a guest is restarted"}),
    (contract.SAVE, contract.Save, {"save": "memory goes to disk", "restore": "saved memory comes back"}),
    (contract.RESIZE, contract.Resize, {"resize": "a machine's sizes are changed"}),
    (contract.READINESS, contract.Readiness, {"ready": "a guest is asked whether it is up"}),
    (contract.CONSOLE, contract.Consoles, {"console": "a console is opened"}),
    (contract.EXEC, contract.Exec, {"execute": "a program is started in a machine"}),
    (
        contract.FILES,
        contract.Files,
        {"read_archive": "files are read from a machine", "write_archive": "files are written into a machine"},
    ),
    (
        contract.SNAPSHOTS,
        contract.Snapshots,
        {
            "snapshot": "a snapshot is taken",
            "snapshots": "a machine's snapshots are listed",
            "revert": "a machine goes back to a snapshot",
            "delete_snapshot": "a snapshot is forgotten",
        },
    ),
    (contract.METRICS, contract.Metrics, {"usage": "what machines use is measured"}),
    (contract.EVENTS, contract.Events, {"subscribe": "somebody begins to listen to events"}),
    (
        contract.MIGRATION,
        contract.Migration,
        {
            "offer": "the source says what would move",
            "examine": "the destination says what stands against it",
            "prepare": "the destination holds a place",
            "transfer": "the source sends the machine",
            "commit": "the destination takes the machine over",
            "cancel": "the destination gives up the place",
            "release": "the source lets go of the machine",
            "resume": "the machine goes on at the source",
        },
    ),
)


def _call(prefix: str, owner: type, method: str, act: str) -> Call:
    code = getattr(owner, method).__code__
    return Call(f"{prefix}{method}", method, act, code.co_varnames[1 : code.co_argcount])


OWN: dict[str, Call] = {}
"""The driver's own calls, by method."""

PARTS: dict[str, dict[str, Call]] = {contract.CREATE.id: {}, contract.POWER.id: {}}
"""Capability → its calls, by method. Those of ``create`` and ``power`` are the driver's own."""

for _capability, _owner, _acts in _ACTS:
    # Only a migration has names that others have, too.
    _prefix = "migration." if _capability is contract.MIGRATION else ""
    _calls = {method: _call(_prefix, _owner, method, act) for method, act in _acts.items()}
    if _capability is None:
        OWN.update(_calls)
    else:
        PARTS[_capability.id] = _calls

CALLS: dict[str, Call] = {call.name: call for calls in (OWN, *PARTS.values()) for call in calls.values()}
"""All of them by name."""
