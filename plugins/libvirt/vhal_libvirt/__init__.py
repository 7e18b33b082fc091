"""The libvirt backend of vhal: QEMU machines on this host or others, as libvirtd offers them.

Here is only the hook that hands the backend over; importing it loads no engine. The driver is
:mod:`vhal_libvirt.driver`, what its URLs may say is in :mod:`vhal_libvirt.address`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhal.driver import Backend, Driver, Finding, HostUrl, hookimpl
from vhal_libvirt.address import PATH, TRANSPORTS

if TYPE_CHECKING:
    from vhal.errors import VhalError
    from vhal_libvirt.driver import LibvirtDriver
    from vhal_libvirt.options import LibvirtOptions

__all__ = ["LibvirtDriver", "vhal_backend"]


def _open(url: HostUrl) -> Driver:
    from vhal_libvirt.driver import LibvirtDriver

    return LibvirtDriver.open(url)


def _options() -> type[LibvirtOptions]:
    from vhal_libvirt.options import LibvirtOptions

    return LibvirtOptions


def _doctor() -> list[Finding]:
    from vhal_libvirt.doctor import findings

    return findings()


def _translate(error: Exception) -> VhalError | None:
    from vhal_libvirt.translation import translate

    return translate(error)


@hookimpl
def vhal_backend() -> Backend:
    """Return the libvirt backend."""
    return Backend(
        name="libvirt",
        summary="virtual machines of QEMU, through libvirt",
        open=_open,
        spi=(1, 1),
        transports=TRANSPORTS,
        path=PATH,
        options=_options,
        examples=(
            "libvirt:///system",
            "libvirt+unix:///system?socket=/run/libvirt/libvirt-sock",
            "libvirt+tls://host.example.org/system",
            "libvirt+ssh://user@host.example.org/system",
            "libvirt+test:///default",
        ),
        doctor=_doctor,
        translate=_translate,
    )


def __getattr__(name: str) -> Any:
    if name == "LibvirtDriver":
        from vhal_libvirt.driver import LibvirtDriver

        return LibvirtDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
