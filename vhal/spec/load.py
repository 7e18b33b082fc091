"""Reads a spec from TOML, JSON or YAML, with errors that say where in the file.

A file is data: no includes, no variables, no code (YAML is read by its safe loader).
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from vhal.errors import InvalidSpec, NotFound
from vhal.spec.machine import MachineSpec
from vhal.spec.model import invalid

Format = Literal["toml", "json", "yaml"]

_FORMATS: dict[str, Format] = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_LARGEST = 4 << 20


def load_spec(path: str | Path) -> MachineSpec:
    """Return the spec in a file; its ending (.toml, .json, .yaml, .yml) says the format.

    Raises:
        vhal.errors.NotFound: There is no such file.
        vhal.errors.InvalidSpec: It can't be read, or what it says isn't a spec.
    """
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InvalidSpec(f"{path}: unknown kind of file", hint="end its name in .toml, .json or .yaml")
    try:
        if path.stat().st_size > _LARGEST:
            raise InvalidSpec(f"{path}: larger than {_LARGEST >> 20} MiB, which no spec is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="give the path of a spec file") from None
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise InvalidSpec(f"{path}: can't be read: {error.strerror}") from None
    return parse_spec(text, kind, source=str(path))


def parse_spec(text: str, format: Format, *, source: str = "spec") -> MachineSpec:
    """Return the spec written in ``text``.

    Args:
        text: The document.
        format: How it is written.
        source: What to call it in errors.

    Raises:
        vhal.errors.InvalidSpec: With the line where it isn't well-formed, or the path and reason of each problem.
    """
    data = _parse(text, format, source)
    if not isinstance(data, dict):
        raise InvalidSpec(f"{source}: a spec is a table at the top, not a {type(data).__name__}")
    try:
        return MachineSpec.model_validate(data)
    except ValidationError as error:
        raise invalid(source, error) from None


def _parse(text: str, format: Format, source: str) -> Any:
    try:
        if format == "toml":
            return tomllib.loads(text)
        if format == "json":
            return json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise InvalidSpec(f"{source}: not well-formed {format.upper()}: {error}") from None
    except RecursionError:
        raise InvalidSpec(f"{source}: nested deeper than any spec is") from None
    try:
        import yaml
    except ImportError:
        raise InvalidSpec(f"{source}: reading YAML needs PyYAML", hint="pip install 'vhal[yaml]'") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidSpec(f"{source}: not well-formed YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InvalidSpec(f"{source}: nested deeper than any spec is") from None
