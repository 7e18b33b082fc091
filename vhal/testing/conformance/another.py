"""Another connection to a host that is open: what is seen over it, the first one hasn't told it."""

from __future__ import annotations

from collections.abc import Callable

from vhal.driver.driver import Driver
from vhal.host import Host
from vhal.layers.layer import Layer, innermost


class Shared(Layer):
    """A driver that somebody else closes."""

    def close(self) -> None:
        pass


def another(open_host: Callable[[], Driver], host: Host) -> Driver:
    """Return another driver for ``host``; where each call opens a host of its own, the same driver once more."""
    driver = open_host()
    if driver.host_id == host.uuid:
        return driver
    driver.close()
    return Shared(innermost(host.guard))
