"""The simulated backend: finite hosts in this process, virtual time, no hypervisor.

The plugin to read first. This module is all of the hook-up: it imports neither models nor the simulator until a host is
opened. ``world`` is where hosts are, ``host`` what one has, ``driver`` the contract on top of it, ``physics`` how
memory moves, ``clock`` how time passes; the README draws the rooms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhal.driver.backend import Backend, Finding, hookimpl
from vhal.driver.url import HostUrl, Transport

if TYPE_CHECKING:
    from pydantic import BaseModel

    from vhal.driver.driver import Driver
    from vhal.spec.machine import MachineSpec
    from vhal_mock.world import World

__all__ = ["World", "vhal_backend"]


def _open(url: HostUrl) -> Driver:
    from vhal_mock.driver import MockDriver
    from vhal_mock.world import find

    return MockDriver(find(url.host).host(url.path.removeprefix("/")))


def _options() -> type[BaseModel]:
    from vhal_mock.options import MockOptions

    return MockOptions


def _doctor() -> list[Finding]:
    return [Finding(True, "simulator", "needs nothing but Python")]


def _sample(name: str) -> MachineSpec:
    from vhal.spec.machine import MachineSpec

    return MachineSpec(name=name, memory="64MiB")


@hookimpl
def vhal_backend() -> Backend:
    """Hand over the backend."""
    return Backend(
        name="mock",
        spi=(1, 2),
        summary="simulated hosts in this process, with virtual time",
        open=_open,
        transports={None: Transport(host=None)},
        path=re.compile(r"/[A-Za-z0-9_.-]*"),
        options=_options,
        ephemeral=True,
        examples=("mock:///", "mock:///a", "mock://WORLD/HOST"),
        doctor=_doctor,
        sample=_sample,
    )


def __getattr__(name: str) -> object:
    if name == "World":
        from vhal_mock.world import World

        return World
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
