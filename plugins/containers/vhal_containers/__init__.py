"""The container backend of vhal: podman's and docker's containers, on this host or others, through their REST APIs.

Here is only the hook that hands the backend over; importing it loads no client. The driver is
:mod:`vhal_containers.driver`, what its URLs may say is in :mod:`vhal_containers.address`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhal.driver import Backend, Driver, Finding, HostUrl, hookimpl
from vhal_containers.address import BACKEND, PATH, TRANSPORTS

if TYPE_CHECKING:
    from vhal.errors import VhalError
    from vhal_containers.driver import ContainersDriver
    from vhal_containers.options import ContainersOptions

__all__ = ["ContainersDriver", "vhal_backend"]


def _open(url: HostUrl) -> Driver:
    from vhal_containers.driver import ContainersDriver

    return ContainersDriver.open(url)


def _options() -> type[ContainersOptions]:
    from vhal_containers.options import ContainersOptions

    return ContainersOptions


def _doctor() -> list[Finding]:
    from vhal_containers.doctor import findings

    return findings()


def _translate(error: Exception) -> VhalError | None:
    from vhal_containers.translation import translate

    return translate(error)


@hookimpl
def vhal_backend() -> Backend:
    """Return the container backend."""
    return Backend(
        name=BACKEND,
        summary="containers of podman and docker, through their REST APIs",
        open=_open,
        spi=(1, 1),
        transports=TRANSPORTS,
        path=PATH,
        options=_options,
        examples=(
            "containers:///",
            "containers:///user",
            "containers+unix:///run/podman/podman.sock",
            "containers+ssh://user@host.example.org/run/podman/podman.sock",
        ),
        doctor=_doctor,
        translate=_translate,
    )


def __getattr__(name: str) -> Any:
    if name == "ContainersDriver":
        from vhal_containers.driver import ContainersDriver

        return ContainersDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
