"""Finds backends by name, and loads one when it is asked for.

Names come from the metadata of installed distributions (:mod:`vhal.installed`), without running any plugin's code. Only
the backend that is named is loaded; a failure is put to its name, and the others stay usable.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

import pluggy

from vhal.driver.backend import Backend, Hooks
from vhal.driver.version import SPI, fits
from vhal.errors import InvalidSpec, PluginError, VhalError
from vhal.installed import Plugin, allowed, imported, installed

GROUP = "vhal.backends"
"""The entry-point group: the entry's name is the backend's."""

INSTALL_HINTS = {
    "containers": "pip install 'vhal[containers]'",
    "libvirt": "pip install 'vhal[libvirt]'",
    "mock": "pip install vhal-mock",
}
"""Backends that aren't part of every installation, and how to get them."""


_THEIRS = dict.fromkeys(
    ("qemu", "test", "lxc", "xen"),
    "libvirt's own addresses aren't taken; write libvirt:///system, or libvirt+tls://HOST/system",
)
"""Schemes that people know from engines."""


class Registry:
    """The backends of this process.

    Concurrency: safe from any thread; one load at a time.

    Args:
        allow: Names that may be used; None for all. The default takes ``VHAL_PLUGINS`` (names with commas between).
        block: Names that may not.
    """

    def __init__(self, allow: Iterable[str] | None = None, block: Iterable[str] = ()) -> None:
        self._allow = allowed() if allow is None else frozenset(allow)
        self._block = set(block)
        self._manager = pluggy.PluginManager("vhal")
        self._manager.add_hookspecs(Hooks)
        self._backends: dict[str, Backend] = {}
        self._found: dict[str, list[Plugin]] | None = None
        self._lock = threading.RLock()

    def block(self, name: str) -> None:
        """Let ``name`` not be used from now on."""
        with self._lock:
            self._block.add(name)
            self._backends.pop(name, None)

    def plugins(self) -> list[Plugin]:
        """Return what is installed and may be used, sorted by name; imports nothing."""
        return [plugin for name, found in sorted(self._scan().items()) if self.permits(name) for plugin in found]

    def add(self, backend: Backend) -> None:
        """Take a backend that isn't installed as a plugin: a test's, a script's.

        Raises:
            vhal.errors.PluginError: The name is taken, or it was written for another contract.
        """
        with self._lock:
            if backend.name in self._backends:
                raise PluginError(
                    f"there is a backend named {backend.name!r} already",
                    hint="give this one another name",
                    backend=backend.name,
                )
            self._backends[backend.name] = _checked(backend.name, backend, "this process")

    def backend(self, name: str) -> Backend:
        """Return the backend called ``name``, loading its plugin if need be.

        Raises:
            vhal.errors.PluginError: It isn't installed, isn't allowed, is there twice, can't be loaded or doesn't fit.
        """
        # Without the lock: a plugin that hangs while it is loaded must not keep anybody from those that are loaded.
        loaded = self._backends.get(name)
        if loaded is not None:
            return loaded
        with self._lock:
            loaded = self._backends.get(name)
            if loaded is not None:
                return loaded
            if not self.permits(name):
                raise PluginError(
                    f"backend {name!r} is blocked",
                    hint="VHAL_PLUGINS or --no-plugin leave it out",
                    backend=name,
                )
            loaded = self._load(name)
            self._backends[name] = loaded
            return loaded

    def plugin(self, name: str) -> Any:
        """Return what the entry point of backend ``name`` names: a module, with more in it than its backend.

        Raises:
            vhal.errors.PluginError: As :meth:`backend`; or no plugin has handed it over, but this process.
        """
        self.backend(name)
        found = self._manager.get_plugin(name)
        if found is None:
            raise PluginError(f"backend {name!r} comes from no plugin", hint="install one", backend=name)
        return found

    def check_options(self, options: Iterable[str], backend: str) -> None:
        """Return if each key of a spec's or policy's ``options`` is some backend's name.

        Those of other backends are carried along, but a misspelt one would be a setting that nobody obeys.

        Raises:
            vhal.errors.InvalidSpec: One isn't; the hint has the nearest that is.
        """
        strange = [name for name in options if name != backend and name not in self._backends]
        known = {*self._scan(), *self._backends, *INSTALL_HINTS, backend} if strange else set()
        for name in strange:
            if name not in known:
                from difflib import get_close_matches

                near = get_close_matches(name, sorted(known), 1)
                raise InvalidSpec(
                    f"options.{name}: there is no such backend",
                    problems=[(f"options.{name}", "there is no such backend")],
                    hint=f"did you mean {near[0]!r}?" if near else f"backends: {', '.join(sorted(known))}",
                )

    def permits(self, name: str) -> bool:
        """Return whether a plugin of that name may be used."""
        return name not in self._block and (self._allow is None or name in self._allow)

    def _scan(self) -> dict[str, list[Plugin]]:
        with self._lock:
            if self._found is None:
                self._found = installed(GROUP)
            return self._found

    def _load(self, name: str) -> Backend:
        entries = self._scan().get(name)
        if not entries:
            known = ", ".join(sorted(filter(self.permits, self._scan()))) or "none"
            hint = INSTALL_HINTS.get(name)
            raise PluginError(
                f"there is no backend {name!r}; installed: {known}",
                hint=f"install it: {hint}" if hint else _THEIRS.get(name, "check the scheme of the URL"),
                backend=name,
            )
        if len(entries) > 1:
            claims = " and ".join(sorted(f"{claim.distribution} {claim.version}" for claim in entries))
            raise PluginError(f"backend {name!r} is claimed by {claims}", hint="uninstall one", backend=name)
        origin = entries[0]
        try:
            plugin = imported(origin)
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)  # it was blocked and is allowed again
            self._manager.register(plugin, name)
            others = [p for p in self._manager.get_plugins() if p is not plugin]
            handed = self._manager.subset_hook_caller("vhal_backend", others)()
            self._manager.check_pending()
            backend = _checked(name, _only(name, handed, str(origin)), str(origin))
            from logging import getLogger  # here, since nothing before needs it and it takes long to import

            getLogger("vhal.registry").info("backend %s is %s in %s", name, origin, origin.location)
            return backend
        except (Exception, SystemExit) as error:
            if os.environ.get("VHAL_STRICT_PLUGINS"):
                raise
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            if isinstance(error, VhalError):
                error.backend = error.backend or name
                raise
            raise PluginError(
                f"backend {name!r} of {origin} can't be loaded: {type(error).__name__}: {error}",
                hint="reinstall or remove that distribution; VHAL_STRICT_PLUGINS=1 shows where it fails",
                backend=name,
                native=error,
            ) from error


def _only(name: str, handed: list[Any], origin: str) -> object:
    if len(handed) != 1:
        raise PluginError(
            f"backend {name!r} of {origin} hands over {len(handed)} backends, not one",
            hint="the entry point must name a module with one vhal_backend hook",
            backend=name,
        )
    return handed[0]


def _checked(name: str, backend: object, origin: str) -> Backend:
    if not isinstance(backend, Backend):
        raise PluginError(
            f"backend {name!r} of {origin} hands over a {type(backend).__name__}, not a Backend",
            hint="its vhal_backend hook must return a vhal.driver.Backend",
            backend=name,
        )
    if not fits(backend.spi):
        made, core = (".".join(map(str, version)) for version in (backend.spi, SPI))
        raise PluginError(
            f"backend {name!r} of {origin} was written for contract {made}, this vhal has {core}",
            hint="upgrade vhal" if backend.spi > SPI else "upgrade the plugin",
            backend=name,
        )
    if backend.name != name:
        raise PluginError(
            f"the entry point {name!r} of {origin} hands over a backend named {backend.name!r}",
            hint="give both one name",
            backend=name,
        )
    return backend


registry = Registry()
"""The registry that :func:`vhal.connect` uses."""
