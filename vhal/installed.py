"""What plugins are installed, from metadata alone; and how one's code gets in.

Looking is cheap and runs no plugin's code. Entry points are read where installers write them,
``*.dist-info/entry_points.txt`` on ``sys.path`` (the entry points specification of packaging.python.org).
``importlib.metadata`` would do, but takes longer to import than all that a connection needs: docs/decisions/0005.

Loading runs a plugin's module with this process's privileges; so what is only found because of the current directory,
or can be written by everybody, isn't loaded. Backends are :mod:`vhal.registry`, commands :mod:`vhal.cli.plugin`.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from vhal.errors import PluginError


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin as its metadata shows it, before any of its code ran."""

    name: str
    distribution: str
    version: str
    module: str
    """``module`` or ``module:attribute``."""
    location: str
    """The folder on ``sys.path``."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.module})"


def installed(group: str) -> dict[str, list[Plugin]]:
    """Return what is installed in an entry-point group: name → who claims it, each distribution once."""
    found: dict[str, list[Plugin]] = {}
    seen = set()
    for plugin in _scan(group):
        # The first of two copies on sys.path is the one that is imported.
        if (plugin.name, plugin.distribution) not in seen:
            seen.add((plugin.name, plugin.distribution))
            found.setdefault(plugin.name, []).append(plugin)
    return found


def allowed() -> frozenset[str] | None:
    """Return the names that ``VHAL_PLUGINS`` allows; None for all."""
    if "VHAL_PLUGINS" not in os.environ:
        return None
    return frozenset(name.strip() for name in os.environ["VHAL_PLUGINS"].split(",")) - {""}


def imported(plugin: Plugin) -> object:
    """Import a plugin and return what its entry point names.

    Raises:
        vhal.errors.PluginError: It lies where everybody could have put it.
        Exception: Whatever its code raises.
    """
    _refuse_writable(plugin)
    module, _, attribute = plugin.module.partition(":")
    found: object = import_module(module)
    for name in attribute.split(".") if attribute else ():
        found = getattr(found, name)
    return found


def _scan(group: str) -> Iterator[Plugin]:
    for place in sys.path:
        if _is_current_directory(place):
            continue
        try:
            folders = [entry for entry in os.scandir(place) if entry.name.endswith(".dist-info")]
        except OSError:
            continue  # sys.path may name zip files and folders that aren't there
        for folder in sorted(folders, key=lambda entry: entry.name):
            distribution, _, version = folder.name.removesuffix(".dist-info").partition("-")
            for name, module in _entry_points(os.path.join(folder.path, "entry_points.txt"), group):  # noqa: PTH118
                yield Plugin(name, distribution.replace("_", "-"), version, module, place)


def _entry_points(path: str, group: str) -> Iterator[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs more than the whole scan
            text = file.read()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        from logging import getLogger

        getLogger("vhal.installed").warning("the entry points in %s can't be read: %s", path, error)
        return
    section = ""
    for line in text.splitlines() if f"[{group}]" in text else ():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and not line.startswith(("#", ";")):
            name, _, module = line.partition("=")
            yield name.strip(), module.partition("[")[0].strip()


def _is_current_directory(place: str) -> bool:
    """Whether it is only on the path because of where the process was started: that must not make it code to run."""
    if not os.path.isabs(place):  # noqa: PTH117
        return True
    return place == sys.path[0] and place == os.getcwd() and not sys.flags.safe_path  # noqa: PTH109


def _refuse_writable(plugin: Plugin) -> None:
    if os.geteuid() != 0:
        return
    for place in _places(plugin):
        try:
            mode = os.stat(place).st_mode  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            continue
        if mode & stat.S_IWOTH:  # with a sticky bit, too: everybody can still add files
            raise PluginError(
                f"plugin {plugin.name!r} lies in {place}, which everybody can write to",
                hint="root doesn't run code from there; correct its mode",
            )


def _places(plugin: Plugin) -> Iterator[str]:
    """Yield where a plugin's code comes from: the folder on the path, and its packages and module below."""
    place = plugin.location
    yield place
    for part in plugin.module.partition(":")[0].split("."):
        place = os.path.join(place, part)  # noqa: PTH118
        yield from (place, os.path.join(place, "__init__.py"), f"{place}.py")  # noqa: PTH118
