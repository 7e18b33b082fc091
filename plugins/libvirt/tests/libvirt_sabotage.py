"""Lets calls to libvirt fail, where all of them pass: between libvirt's Python classes and the library."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from vhal.driver import Driver

_ASKS_NOBODY = re.compile(
    r"^virEvent|Free$|Ref$|Error|EventRegister|EventDeregister|CloseCallback|KeepAlive|IsAlive$|ConnectClose$"
    r"|Get(Name|UUID|UUIDString|ID|Connect)$|^virStream|^virInitialize$"
)
"""Functions that send nothing, or have to do with the connection and not with machines."""


def _failure(call: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError("")
    message = f"{call} was made to fail"
    error.err = (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_FROM_QEMU, message, 2, message, None, None, -1, -1)
    return error


class _Library:
    """libvirt's library, of which some calls fail."""

    def __init__(self, library: Any, fails: Callable[[str], bool]) -> None:
        self._library = library
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if not callable(function) or _ASKS_NOBODY.search(name):
            return function

        def call(*args: Any, **kwargs: Any) -> Any:
            # libvirt's own thread asks for what it tells of; that is nobody's call.
            if threading.current_thread().name != "vhal-libvirt-events" and self._fails(name):
                raise _failure(name)
            return function(*args, **kwargs)

        return call


@contextmanager
def sabotage(driver: Driver, fails: Callable[[str], bool]) -> Iterator[None]:
    """Let those calls fail that ``fails`` says, while the block runs. Nobody else may call libvirt meanwhile."""
    library = libvirt.libvirtmod
    libvirt.libvirtmod = _Library(library, fails)
    try:
        yield
    finally:
        libvirt.libvirtmod = library
