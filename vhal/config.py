"""Named hosts, from files that only their owner decides on.

``$XDG_CONFIG_HOME/vhal/hosts.toml`` goes before ``/etc/xdg/vhal/hosts.toml`` (platformdirs says where these are on
other systems); ``VHAL_CONFIG`` names another file instead of both. Nothing is ever read from the current directory::

    default = "alpha"

    [hosts.alpha]
    url = "libvirt+tls://alpha.example.org/system"
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from vhal.errors import InvalidConfig, NotFound


def paths() -> list[Path]:
    """Return the files that are looked at, the first one wins name by name."""
    named = os.environ.get("VHAL_CONFIG")
    if named:
        return [Path(named)]
    import platformdirs

    return [
        platformdirs.user_config_path("vhal") / "hosts.toml",
        platformdirs.site_config_path("vhal") / "hosts.toml",
    ]


def hosts() -> dict[str, str]:
    """Return every named host's URL.

    Raises:
        vhal.errors.InvalidConfig: A file is malformed, or others could have written it.
    """
    found: dict[str, str] = {}
    for path in paths():
        for name, url in _read(path)[0].items():
            found.setdefault(name, url)
    return found


def default_host() -> str | None:
    """Return the name or URL to use when none is given: ``VHAL_HOST``, or the files' ``default``, or None.

    Raises:
        vhal.errors.InvalidConfig: A file is malformed, or others could have written it.
    """
    if os.environ.get("VHAL_HOST"):
        return os.environ["VHAL_HOST"]
    for path in paths():
        default = _read(path)[1]
        if default is not None:
            return default
    return None


def url_of(name: str) -> str:
    """Return a named host's URL.

    Raises:
        vhal.errors.NotFound: No file names it.
        vhal.errors.InvalidConfig: A file is malformed, or others could have written it.
    """
    known = hosts()
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise NotFound(
            f"there is no host named {name!r}; named hosts: {listed}",
            hint=f"give a URL such as mock:///a, or name it in {paths()[0]}",
            host=name,
        )
    return known[name]


def trusted(path: Path) -> dict[str, Any]:
    """Return what is in a TOML file that only its owner, who is this user or root, can write.

    Raises:
        FileNotFoundError: There is none.
        vhal.errors.InvalidConfig: It is malformed, or others could have written it.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise InvalidConfig(f"{path} can be written by others than its owner", hint=f"chmod go-w {path}")
            if found.st_uid not in (0, os.geteuid()):
                raise InvalidConfig(f"{path} belongs to somebody else", hint="it must be yours or root's")
            return tomllib.load(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"{path}: {error}", hint="correct the file, or name another") from None


def _read(path: Path) -> tuple[dict[str, str], str | None]:
    try:
        data = trusted(path)
    except FileNotFoundError:
        return {}, None
    return _urls(path, data), _default(path, data)


def _default(path: Path, data: dict[str, Any]) -> str | None:
    default = data.get("default")
    if default is not None and not isinstance(default, str):
        raise InvalidConfig(f"{path}: default: must be the name or URL of a host")
    return default


def _urls(path: Path, data: dict[str, Any]) -> dict[str, str]:
    for key in data:
        if key not in ("default", "hosts"):
            raise InvalidConfig(f"{path}: {key}: there is no such setting", hint="there are default and hosts")
    tables = data.get("hosts", {})
    if not isinstance(tables, dict):
        raise InvalidConfig(f"{path}: hosts: must be a table of tables")
    urls = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or not isinstance(table.get("url"), str):
            raise InvalidConfig(f"{path}: hosts.{name}.url: this text is required")
        for key in table:
            if key != "url":
                raise InvalidConfig(f"{path}: hosts.{name}.{key}: there is no such setting")
        urls[name] = table["url"]
    return urls
