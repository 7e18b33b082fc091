"""The kinds of arguments that several commands take: durations, pairs, sets of settings, machines' names.

Sizes and everything else that a spec knows are handed on as text: the spec's own models read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import click

from vhal.cli import complete

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float, str]):
    """Seconds, written ``500ms``, ``2s``, ``5m``, ``1h`` or as a bare number."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no duration; write 500ms, 2s, 5m or 1h", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


class Pair(click.ParamType[tuple[str, str], str]):
    """``key=value``."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is no key=value", param, ctx)
        return key, rest


class Setting(click.ParamType[tuple[str, str, Any], str]):
    """``backend.key=value``; the value is read as JSON if it is some, else as text."""

    name = "backend.key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, Any]:
        path, equals, text = str(value).partition("=")
        backend, _, key = path.partition(".")
        if not backend or not key or not equals:
            self.fail(f"{value!r} is no backend.key=value", param, ctx)
        try:
            return backend, key, json.loads(text)
        except json.JSONDecodeError:
            return backend, key, text


class Fields(click.ParamType[dict[str, Any], str]):
    """``key=value,key=value``; a bare ``key`` is true."""

    name = "key=value,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for part in str(value).split(","):
            key, equals, text = part.partition("=")
            key = key.strip().replace("-", "_")
            if not key or key in fields:
                self.fail(f"{value!r} has {'two of ' + key if key else 'an empty part'}", param, ctx)
            fields[key] = text if equals else True
        return fields


def nested(settings: Iterable[tuple[str, str, Any]], base: Any = None) -> dict[str, dict[str, Any]]:
    """Return settings as a spec's and a policy's ``options`` have them, on top of those of ``base``."""
    options = {backend: dict(values) for backend, values in (base or {}).items()}
    for backend, key, value in settings:
        options.setdefault(backend, {})[key] = value
    return options


machine_name = click.argument("name", metavar="NAME", shell_complete=complete.machines)
timeout = click.option("--timeout", type=Duration(), help="Give up after this long: 500ms, 2s, 5m, 1h.")
options = click.option(
    "--option", "settings", type=Setting(), multiple=True, help="A setting that only one backend knows; repeatable."
)
