"""Several libvirt, podman and docker hosts on one machine, and guests for them, to test against the real thing.

`Lab` makes the hosts, `CounterGuest` is a small Linux guest, `ContainerImage` a container that does
the same, `Ssh` a way to the hosts by ssh, `TickGuest` and `TickCollector` measure how long a guest stands still.
`python -m tests.testbed` does the same by hand. Everything runs in namespaces of its own and is gone
afterwards; `setup.sh` installs what is needed.
"""

from __future__ import annotations

from .engine import Engine
from .errors import DeadlineError, LabError
from .guest import CounterGuest, kernel_cmdline
from .host import Host
from .image import ContainerImage
from .lab import Lab
from .ssh import Ssh
from .tick import TickCollector, TickGuest, TickHistory
from .wait import wait_until

__all__ = [
    "ContainerImage",
    "CounterGuest",
    "DeadlineError",
    "Engine",
    "Host",
    "Lab",
    "LabError",
    "Ssh",
    "TickCollector",
    "TickGuest",
    "TickHistory",
    "kernel_cmdline",
    "wait_until",
]
