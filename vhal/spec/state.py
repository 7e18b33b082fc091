"""The states of a machine, and which call leads from which to which.

::

                 create
                   │
                   ▼     start                pause
    ┌───────▶  stopped ─────────▶ running ───────────▶ paused
    │             ▲ │  ◀───────── │  ▲  ◀───────────    │ │
    │             │ │    stop     │  │      resume       │ │
    │        stop │ │             │  │ restore           │ │
    │   (discard) │ │ delete      │  │                   │ │
    │             │ ▼             │  │                   │ │
    │             │ (gone)   save ▼  │        save       │ │
    │             └───────────── saved ◀─────────────────┘ │
    │                           (or crashed: start, delete)│
    └──────────────────────────────── stop ────────────────┘

``starting``, ``stopping`` and ``migrating`` are seen while a call is under way; no call may begin in them.
The table below is this picture; the guard checks every call against it, and the reference page is made from it.
"""

from __future__ import annotations

from enum import StrEnum

_ACTIVE = frozenset({"starting", "running", "paused", "stopping", "migrating"})


class MachineState(StrEnum):
    """What a machine does at one moment, as its engine tells it."""

    active: bool
    """Whether the machine holds processors or memory of its host."""

    def __init__(self, value: str) -> None:
        self.active = value in _ACTIVE

    # They equal their strings, so they have their hash; the one of Enum is another, and is slow.
    __hash__ = str.__hash__

    STOPPED = "stopped"
    """It exists, and nothing of it runs."""
    STARTING = "starting"
    """It is being started."""
    RUNNING = "running"
    """Its processors run."""
    PAUSED = "paused"
    """Its memory is held, its processors don't run."""
    STOPPING = "stopping"
    """It was asked to stop and hasn't yet."""
    SAVED = "saved"
    """Its memory lies on disk."""
    CRASHED = "crashed"
    """The guest or its engine's process died."""
    MIGRATING = "migrating"
    """It is on its way: not to be touched on this host."""
    UNKNOWN = "unknown"
    """The engine couldn't say."""


_S = MachineState

TRANSITIONS: dict[str, dict[MachineState, MachineState | None]] = {
    "start": {_S.STOPPED: _S.RUNNING, _S.CRASHED: _S.RUNNING},
    "stop": {
        _S.RUNNING: _S.STOPPED,
        _S.PAUSED: _S.STOPPED,
        _S.SAVED: _S.STOPPED,
        _S.STOPPING: _S.STOPPED,
    },
    "reboot": {_S.RUNNING: _S.RUNNING},
    "pause": {_S.RUNNING: _S.PAUSED},
    "resume": {_S.PAUSED: _S.RUNNING},
    "save": {_S.RUNNING: _S.SAVED, _S.PAUSED: _S.SAVED},
    "restore": {_S.SAVED: _S.RUNNING},
    "delete": {_S.STOPPED: None, _S.SAVED: None, _S.CRASHED: None},
    "console": {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED},
    "resize": {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED, _S.STOPPED: _S.STOPPED},
    "exec": {_S.RUNNING: _S.RUNNING},
    "copy": {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED, _S.STOPPED: _S.STOPPED},
    "snapshot": {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED, _S.STOPPED: _S.STOPPED},
    "revert": {_S.STOPPED: _S.STOPPED, _S.CRASHED: _S.STOPPED},
    "migrate": {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED, _S.STOPPED: _S.STOPPED},
}
"""Call → the states it may begin in → the state it ends in (None: the machine is gone)."""

REMEDIES: dict[tuple[str, MachineState], str] = {
    ("start", _S.RUNNING): "it runs already",
    ("start", _S.PAUSED): "resume() lets it go on",
    (
        "start",
        _S.SAVED,
    ): "restore() brings it back with its memory; stop(force=True) discards the memory",
    ("stop", _S.STOPPED): "it is stopped already",
    ("stop", _S.CRASHED): "it doesn't run; start() or delete() it",
    ("pause", _S.PAUSED): "it is paused already",
    ("resume", _S.RUNNING): "it runs already",
    ("resume", _S.SAVED): "restore() brings a saved machine back",
    ("resume", _S.STOPPED): "start() it",
    ("restore", _S.STOPPED): "there is no saved memory; start() it",
    ("delete", _S.RUNNING): "stop() it first, or delete(force=True)",
    ("delete", _S.PAUSED): "stop() it first, or delete(force=True)",
    ("exec", _S.STOPPED): "start() it first: programs run in a machine that runs",
    ("exec", _S.PAUSED): "resume() it first",
    ("exec", _S.SAVED): "restore() it first",
    ("copy", _S.SAVED): "restore() it first",
    ("resize", _S.SAVED): "restore() it first, or stop(force=True) it: what is saved has its size",
    ("snapshot", _S.SAVED): "restore() it first",
    ("revert", _S.RUNNING): "stop() it first: what it holds in memory is lost by going back",
    ("revert", _S.PAUSED): "stop(force=True) it first: what it holds in memory is lost by going back",
    ("migrate", _S.SAVED): "restore() it first",
    ("migrate", _S.CRASHED): "start() it first",
}
"""What to tell someone who calls it in the wrong state, where more than the picture can be said."""


def allowed(call: str, state: MachineState) -> bool:
    """Return whether ``call`` may begin in ``state``."""
    return state in TRANSITIONS[call]


def remedy(call: str, state: MachineState) -> str:
    """Return one sentence on what to do instead of ``call`` in ``state``."""
    special = REMEDIES.get((call, state))
    if special is not None:
        return special
    fitting = " or ".join(sorted(TRANSITIONS[call]))
    return f"{call}() needs a machine that is {fitting}"
