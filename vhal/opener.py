"""From what a caller names to an open driver, and the one place where that can be turned elsewhere.

:func:`vhal.connect` asks here. A test kit turns it, so that the addresses in the code under test lead to simulated
hosts: that is :mod:`vhal.testing.simulation`. What may be in a URL is checked in :mod:`vhal.driver.url`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vhal.driver.backend import Backend
from vhal.driver.driver import Driver
from vhal.driver.url import HostUrl
from vhal.errors import HostUnreachable, PluginError, VhalError
from vhal.registry import registry

Opener = Callable[[str], tuple[Driver, HostUrl]]
"""Takes a URL or the name of a named host; returns a driver, and the URL that it stands for."""

_turned: dict[object, Opener] = {}
"""Those that were put in place of :func:`open_engine`, the last one counts."""


def open_driver(where: str) -> tuple[Driver, HostUrl]:
    """Open what ``where`` names, or what it was turned to."""
    openers = list(_turned.values())  # in one step: other threads turn it meanwhile
    opener = openers[-1] if openers else open_engine
    return opener(where)


@contextmanager
def turned(opener: Opener) -> Iterator[None]:
    """Let ``opener`` open whatever this process names while the block runs, in every thread.

    Blocks may be nested, and may end in any order: of those that haven't ended, the last one that began counts.
    """
    mine = object()
    _turned[mine] = opener
    try:
        yield
    finally:
        del _turned[mine]


def locate(where: str) -> HostUrl:
    """Return the URL of ``where``: its parts, which its backend hasn't seen yet.

    Raises:
        vhal.errors.InvalidUrl: It is malformed.
        vhal.errors.NotFound: No host has that name.
        vhal.errors.InvalidConfig: The file with the named hosts is malformed.
    """
    if ":" not in where:
        from vhal.config import url_of

        where = url_of(where)
    return HostUrl.parse(where)


def open_engine(where: str) -> tuple[Driver, HostUrl]:
    """Open what ``where`` names, by its backend."""
    url = locate(where)
    backend = registry.backend(url.backend)
    url.check(backend.transports, backend.path)
    return _open(backend, url), url


def _open(backend: Backend, url: HostUrl) -> Driver:
    try:
        driver: object = backend.open(url)
    except VhalError as error:
        error.backend = error.backend or backend.name
        error.host = error.host or str(url)
        raise
    except Exception as error:
        ours = backend.translate(error) if backend.translate is not None else None
        ours = ours or HostUnreachable(
            f"{url} can't be opened: {type(error).__name__}: {error}", hint="'vhal doctor' says what is missing"
        )
        ours.native, ours.backend, ours.host = error, backend.name, str(url)
        raise ours from error
    if not isinstance(driver, Driver):
        raise PluginError(
            f"backend {backend.name!r} opened a {type(driver).__name__}, not a Driver",
            hint="this is a defect of the plugin; report it",
            backend=backend.name,
        )
    return driver
