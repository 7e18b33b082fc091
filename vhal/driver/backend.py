"""A backend as a plugin hands it over: its name, what its URLs may say, and how to open a driver.

The whole of a plugin's hook-up::

    import vhal.driver

    @vhal.driver.hookimpl
    def vhal_backend() -> vhal.driver.Backend:
        return vhal.driver.Backend(name="mine", summary="…", open=MyDriver.open)

and, in its ``pyproject.toml``, ``[project.entry-points."vhal.backends"]`` with ``mine = "that_module"``.
Hooks register; they don't dispatch: every later call is a plain method call on the driver.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

from vhal.driver.url import HostUrl, Transport
from vhal.driver.version import SPI

if TYPE_CHECKING:
    from pydantic import BaseModel

    from vhal.driver.driver import Driver
    from vhal.spec.machine import MachineSpec

hookspec = pluggy.HookspecMarker("vhal")
hookimpl = pluggy.HookimplMarker("vhal")
"""Marks a plugin's implementation of a hook."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that ``vhal doctor`` found out about a backend on this machine."""

    ok: bool
    subject: str
    """What was looked at, a few words."""
    message: str
    remedy: str = ""
    """What to do, if it isn't ok."""

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "ok": self.ok,
            "subject": self.subject,
            "message": self.message,
            "remedy": self.remedy,
        }


def _nothing() -> list[Finding]:
    return []


@dataclass(frozen=True, slots=True)
class Backend:
    """What a plugin hands over. Making one imports no engine and opens nothing."""

    name: str
    """Scheme of its URLs, and name of its entry point."""
    summary: str
    """One line for ``vhal backends``."""
    open: Callable[[HostUrl], Driver]
    """Return a driver for a checked URL. Blocks until the engine answered.

    Errors: ``HostUnreachable``, ``AccessDenied``, ``NotFound``; engine's exceptions are handed to ``translate``.
    """
    spi: tuple[int, int] = SPI
    """The version of the contract it was written for. Write it as a number in a plugin of your own."""
    transports: Mapping[str | None, Transport] = field(default_factory=lambda: {None: Transport()})
    path: re.Pattern[str] = re.compile(r"/[A-Za-z0-9_.-]*")
    """What the path of its URLs must match, whole."""
    options: Callable[[], type[BaseModel]] | None = None
    """Returns the model of ``spec.options[name]``; called when it is first needed."""
    ephemeral: bool = False
    """Whether its hosts live in this process and end with it; the command line says so to people."""
    examples: tuple[str, ...] = ()
    """URLs to show people."""
    doctor: Callable[[], list[Finding]] = _nothing
    """What works on this machine, and what doesn't with the remedy. Never raises; takes seconds at most."""
    sample: Callable[[str], MachineSpec] | None = None
    """Returns the smallest machine of that name that starts on any of its hosts, if there is such a one: the kit's."""
    translate: Callable[[Exception], Any] | None = None
    """As ``Driver.translate``, for errors of ``open``."""


class Hooks:
    """The hooks that vhal calls."""

    @hookspec
    def vhal_backend(self) -> Backend:  # type: ignore[empty-body]
        """Return the plugin's backend."""
