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
from vhal.spec.model import M, invalid

Format = Literal["toml", "json", "yaml"]

_FORMATS: dict[str, Format] = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_LARGEST = 4 << 20
_LARGEST_FLEET = 256 << 20
_DEEPEST = 64
_MOST = 100_000


def load_spec(path: str | Path) -> MachineSpec:
    """Return the spec in a file; its ending (.toml, .json, .yaml, .yml) says the format.

    Raises:
        vhal.errors.NotFound: There is no such file.
        vhal.errors.InvalidSpec: It can't be read, or what it says isn't a spec.
    """
    text, kind = _read(Path(path), _LARGEST)
    return parse_spec(text, kind, source=str(path))


def load_model(path: str | Path, model: type[M]) -> M:
    """Return what a file says as ``model``, for files that describe more than one machine; errors as :func:`load_spec`.

    They may be as large as a fleet is, so it is for files that their owner made, not for what somebody sent.
    """
    text, kind = _read(Path(path), _LARGEST_FLEET)
    return _validated(_parse(text, kind, str(path)), model, str(path))


def _read(path: Path, largest: int) -> tuple[str, Format]:
    """Return a file's text, and the format that its ending says."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None and not path.exists():
        raise NotFound(f"there is no file {path}", hint="give the path of a spec file")
    if kind is None:
        raise InvalidSpec(f"{path}: unknown kind of file", hint="end its name in .toml, .json or .yaml")
    try:
        if path.stat().st_size > largest:
            raise InvalidSpec(f"{path}: larger than {largest >> 20} MiB, which no spec is", hint="is it a spec file?")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="give the path of a spec file") from None
    except UnicodeDecodeError as error:
        raise InvalidSpec(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start})", hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise InvalidSpec(f"{path}: can't be read: {error.strerror}", hint="look at its mode") from None
    return text, kind


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
    _refuse_bombs(data, source)
    return _validated(data, MachineSpec, source)


def _validated(data: Any, model: type[M], source: str) -> M:
    if not isinstance(data, dict):
        raise InvalidSpec(
            f"{source}: a spec is a table at the top, not a {type(data).__name__}", hint="begin with: name = …"
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(source, error, model) from None


def _parse(text: str, format: Format, source: str) -> Any:
    try:
        if format == "toml":
            return tomllib.loads(text)
        if format == "json":
            return json.loads(text, object_pairs_hook=_once)
    except ValueError as error:  # besides the formats' own: a number of thousands of digits
        raise InvalidSpec(f"{source}: not well-formed {format.upper()}: {error}", hint="correct it there") from None
    except RecursionError:
        raise InvalidSpec(f"{source}: nested deeper than any spec is", hint="is it a spec file?") from None
    try:
        import yaml
    except ImportError:
        raise InvalidSpec(f"{source}: reading YAML needs PyYAML", hint="pip install 'vhal[yaml]'") from None
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise InvalidSpec(f"{source}: nested deeper than any spec is", hint="is it a spec file?") from None
    except yaml.MarkedYAMLError as error:
        # Not the error's own text: it quotes the line, and the line may be user-data.
        mark = error.problem_mark or error.context_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InvalidSpec(
            f"{source}: not well-formed YAML: {error.problem or error.context}{where}", hint="correct it there"
        ) from None
    except yaml.YAMLError as error:
        raise InvalidSpec(
            f"{source}: not well-formed YAML: {' '.join(str(error).split())}", hint="correct it there"
        ) from None
    except Exception as error:  # noqa: BLE001 - what PyYAML makes of a value like `!!bool x` is any kind of error
        raise InvalidSpec(
            f"{source}: not well-formed YAML: a value doesn't fit its type", hint="quote it", native=error
        ) from None


def _refuse_bombs(data: Any, source: str) -> None:
    """Refuse what grows when it is written out: aliases of aliases, a list that holds itself."""
    layer, count = [data], 0
    for _ in range(_DEEPEST):
        layer = [
            item
            for whole in layer
            if isinstance(whole, (dict, list))
            for item in (whole.values() if isinstance(whole, dict) else whole)
        ]
        count += len(layer)
        if not layer:
            return
        if count > _MOST:
            raise InvalidSpec(f"{source}: more than {_MOST:,} values, which no spec has")
    raise InvalidSpec(f"{source}: nested deeper than any spec is")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return table
