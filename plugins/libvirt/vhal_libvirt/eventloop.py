"""The one thread in which libvirt tells of events and watches its connections.

libvirt wants its loop registered before the first connection is opened, once in a process. What is done with the
events is :mod:`vhal_libvirt.connection`.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any

import libvirt

_lock = threading.Lock()
_thread: threading.Thread | None = None
_ending = threading.Event()
_END_S = 2.0
_PAUSE_S = 0.1


def start() -> None:
    """Have the loop run. Idempotent, safe from any thread."""
    global _thread
    with _lock:
        if _thread is not None:
            return
        # By default libvirt prints every error, also those that are expected and dealt with.
        libvirt.registerErrorHandler(_silent, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, args=(_ending,), name="vhal-libvirt-events", daemon=True)
        _thread.start()
        atexit.register(_stop)


def _silent(context: Any, error: Any) -> None:
    return None


def _run(ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            # One turn that fails must not end the events of every connection; nor may one that always fails spin.
            ending.wait(_PAUSE_S)


def _stop() -> None:
    # A thread inside libvirt that calls back into an interpreter which has ended would crash the process.
    _ending.set()
    libvirt.virEventAddTimeout(0, _wake, None)
    if _thread is not None:
        _thread.join(_END_S)


def _wake(timer: int, opaque: Any) -> None:
    libvirt.virEventRemoveTimeout(timer)
