"""Several libvirt hosts on one machine, and guests for them, to test against the real thing.

`Lab` makes the hosts, `CounterGuest` is a small Linux guest, `TickGuest` and `TickCollector`
measure how long a guest stands still. `python -m tests.testbed` does the same by hand. Everything
runs in namespaces of its own and is gone afterwards; `setup.sh` installs what is needed.
"""

from __future__ import annotations

from .errors import DeadlineError, LabError
from .guest import CounterGuest, kernel_cmdline
from .host import Host
from .lab import Lab
from .tick import TickCollector, TickGuest, TickHistory
from .wait import wait_until

__all__ = [
    "CounterGuest",
    "DeadlineError",
    "Host",
    "Lab",
    "LabError",
    "TickCollector",
    "TickGuest",
    "TickHistory",
    "kernel_cmdline",
    "wait_until",
]
