"""The version of the contract between the core and a backend, apart from the version of vhal.

A backend fits when its major is the core's and its minor is not above the core's: a minor only ever adds, with a
default, so an older backend stays good.
"""

from __future__ import annotations

SPI: tuple[int, int] = (1, 2)
"""``(major, minor)`` of the contract in this package."""


def fits(backend: tuple[int, int], core: tuple[int, int] = SPI) -> bool:
    """Return whether a backend made for ``backend`` works with ``core``."""
    return backend[0] == core[0] and backend[1] <= core[1]
