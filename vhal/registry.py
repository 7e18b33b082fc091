"""Finds backends by name, and loads one when it is asked for.

Looking is cheap and runs no plugin's code: names come from the metadata of installed distributions. Loading runs the
plugin's module with this process's privileges, so it is done for the one that is named, a failure is put to its name
and the others stay usable, and what lies in the current directory or can be written by everybody is not loaded.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from vhal.driver.backend import Backend, Hooks
from vhal.driver.version import SPI, fits
from vhal.errors import PluginError, VhalError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "vhal.backends"
"""The entry-point group: the entry's name is the backend's."""

INSTALL_HINTS = {
    "libvirt": "pip install 'vhal[libvirt]'",
    "mock": "pip install vhal-mock",
}
"""Backends that aren't part of every installation, and how to get them."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed backend as its metadata shows it, before any of its code ran."""

    name: str
    distribution: str
    version: str
    module: str
    location: str


class Registry:
    """The backends of this process.

    Concurrency: safe from any thread; one load at a time.

    Args:
        allow: Names that may be used; None for all. The default takes ``VHAL_PLUGINS`` (names with commas between).
        block: Names that may not.
    """

    def __init__(self, allow: Iterable[str] | None = None, block: Iterable[str] = ()) -> None:
        if allow is None and "VHAL_PLUGINS" in os.environ:
            allow = (name.strip() for name in os.environ["VHAL_PLUGINS"].split(","))
        self._allow = None if allow is None else frozenset(allow) - {""}
        self._block = set(block)
        self._manager = pluggy.PluginManager("vhal")
        self._manager.add_hookspecs(Hooks)
        self._backends: dict[str, Backend] = {}
        self._found: dict[str, list[tuple[EntryPoint, Distribution]]] | None = None
        self._lock = threading.RLock()

    def block(self, name: str) -> None:
        """Let ``name`` not be used from now on."""
        with self._lock:
            self._block.add(name)
            self._backends.pop(name, None)

    def plugins(self) -> list[Plugin]:
        """Return what is installed and may be used, sorted by name; imports nothing."""
        return [
            Plugin(name, dist.name, dist.version, entry.value, str(dist.locate_file("")))
            for name, entries in sorted(self._scan().items())
            if self._permitted(name)
            for entry, dist in entries
        ]

    def add(self, backend: Backend) -> None:
        """Take a backend that isn't installed as a plugin: a test's, a script's.

        Raises:
            vhal.errors.PluginError: The name is taken, or it was written for another contract.
        """
        with self._lock:
            if backend.name in self._backends:
                raise PluginError(f"there is a backend named {backend.name!r} already", backend=backend.name)
            self._backends[backend.name] = _checked(backend.name, backend, "this process")

    def backend(self, name: str) -> Backend:
        """Return the backend called ``name``, loading its plugin if need be.

        Raises:
            vhal.errors.PluginError: It isn't installed, isn't allowed, is there twice, can't be loaded or doesn't fit.
        """
        with self._lock:
            loaded = self._backends.get(name)
            if loaded is not None:
                return loaded
            if not self._permitted(name):
                raise PluginError(
                    f"backend {name!r} is blocked",
                    hint="VHAL_PLUGINS or --no-plugin leave it out",
                    backend=name,
                )
            loaded = self._load(name)
            self._backends[name] = loaded
            return loaded

    def _permitted(self, name: str) -> bool:
        return name not in self._block and (self._allow is None or name in self._allow)

    def _scan(self) -> dict[str, list[tuple[EntryPoint, Distribution]]]:
        with self._lock:
            if self._found is None:
                # importlib.metadata takes longer to import than everything else here; a backend that was added needs
                # none of it.
                from importlib.metadata import distributions

                found: dict[str, dict[str, tuple[EntryPoint, Distribution]]] = {}
                for dist in distributions():
                    for entry in dist.entry_points:
                        if entry.group == GROUP and not _in_current_directory(dist):
                            found.setdefault(entry.name, {}).setdefault(dist.name, (entry, dist))
                self._found = {name: list(entries.values()) for name, entries in found.items()}
            return self._found

    def _load(self, name: str) -> Backend:
        entries = self._scan().get(name)
        if not entries:
            known = ", ".join(sorted(filter(self._permitted, self._scan()))) or "none"
            hint = INSTALL_HINTS.get(name)
            raise PluginError(
                f"there is no backend {name!r}; installed: {known}",
                hint=f"install it: {hint}" if hint else "check the scheme of the URL",
                backend=name,
            )
        if len(entries) > 1:
            claims = " and ".join(sorted(f"{dist.name} {dist.version}" for _, dist in entries))
            raise PluginError(f"backend {name!r} is claimed by {claims}", hint="uninstall one", backend=name)
        entry, dist = entries[0]
        origin = f"{dist.name} {dist.version} ({entry.value})"
        _refuse_writable(dist, name)
        try:
            plugin = entry.load()
            self._manager.register(plugin, name)
            others = [p for p in self._manager.get_plugins() if p is not plugin]
            handed = self._manager.subset_hook_caller("vhal_backend", others)()
            self._manager.check_pending()
        except (Exception, SystemExit) as error:
            if os.environ.get("VHAL_STRICT_PLUGINS"):
                raise
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            if isinstance(error, VhalError):
                raise
            raise PluginError(
                f"backend {name!r} of {origin} can't be loaded: {type(error).__name__}: {error}",
                hint="reinstall or remove that distribution; VHAL_STRICT_PLUGINS=1 shows where it fails",
                backend=name,
                native=error,
            ) from error
        if len(handed) != 1:
            raise PluginError(
                f"backend {name!r} of {origin} hands over {len(handed)} backends, not one",
                hint="the entry point must name a module with one vhal_backend hook",
                backend=name,
            )
        return _checked(name, handed[0], origin)


def _checked(name: str, backend: object, origin: str) -> Backend:
    if not isinstance(backend, Backend):
        raise PluginError(
            f"backend {name!r} of {origin} hands over a {type(backend).__name__}, not a Backend", backend=name
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


def _in_current_directory(dist: Distribution) -> bool:
    """Whether it is only found because of where the process was started: that must not make it code to run."""
    place = Path(str(dist.locate_file("")))
    if not place.is_absolute():
        return True
    started_here = place == Path.cwd() and (not sys.path or sys.path[0] in ("", str(place)))
    return started_here and not sys.flags.safe_path


def _refuse_writable(dist: Distribution, name: str) -> None:
    if os.geteuid() != 0:
        return
    place = Path(str(dist.locate_file("")))
    mode = place.stat().st_mode if place.exists() else 0
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise PluginError(
            f"backend {name!r} lies in {place}, which everybody can write to",
            hint="root doesn't run code from there; correct the folder's mode",
            backend=name,
        )


registry = Registry()
"""The registry that :func:`vhal.connect` uses."""
