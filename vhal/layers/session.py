"""The file of a recorded session: its format, and how it is written and read.

JSON, one object: ``format`` and ``version``, whose driver it was, and in their order the calls and the events, each a
line. Bytes are ``{"$": "bytes", "text": …}``, or ``"base64"`` where they are no text. What the values stand for is in
:mod:`vhal.layers.encoding`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from vhal.errors import InvalidSpec, NotFound
from vhal.layers.encoding import TAG
from vhal.spec.model import Model, invalid

FORMAT: Literal["vhal-session"] = "vhal-session"
VERSION = 1
"""What this vhal writes. It reads this and what came before."""

LARGEST = 256 << 20
"""Bytes of a file that is read at all."""


class RecordedCall(Model):
    """One call and what came of it."""

    number: int
    """Its place among the calls, from 1, by when they began."""
    call: str
    """As in :data:`vhal.layers.calls.CALLS`."""
    machine: str = ""
    arguments: dict[str, Any]
    result: Any = None
    error: dict[str, Any] | None = None
    begun_s: float
    """By the clock of the host."""
    ended_s: float
    thread: str = ""


class RecordedEvent(Model):
    """One event, as one listener got it."""

    to: int
    """Number of the ``subscribe`` call."""
    after: int
    """Number of the last call that had begun when it came."""
    event: dict[str, Any]


class Session(Model):
    """All that was recorded of one driver."""

    format: Literal["vhal-session"] = FORMAT
    version: int = VERSION
    backend: str
    host_id: str
    provides: tuple[str, ...] = ()
    """Ids of the capabilities that it has."""
    pseudonyms: bool = False
    """Whether hosts, ids and addresses have other names than they had."""
    calls: tuple[RecordedCall, ...] = ()
    events: tuple[RecordedEvent, ...] = ()


def write(data: dict[str, Any], path: str | Path) -> None:
    """Write a session whole, or not at all, so that only its owner can read it.

    Raises:
        vhal.errors.InvalidSpec: It can't be written there.
    """
    path = Path(path)
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:  # its mode is 0600 from the beginning
                file.writelines(_lines(_written(data)))
                file.close()
                os.replace(file.name, path)  # noqa: PTH105 - of a name, not a path
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InvalidSpec(f"{path}: can't be written: {error.strerror}", hint="choose another place") from error


def read(path: str | Path) -> Session:
    """Return the session in a file.

    Raises:
        vhal.errors.NotFound: There is no such file.
        vhal.errors.InvalidSpec: It is damaged, something else, or written by a newer vhal.
    """
    path = Path(path)
    data = _loaded(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidSpec(
            f"{path}: that is no recorded session", hint="Recorder.save() writes them", problems=[("format", "foreign")]
        )
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidSpec(f"{path}: version: must be a number from 1", problems=[("version", "no number")], hint=_ANEW)
    if version > VERSION:
        raise InvalidSpec(
            f"{path}: written by a newer vhal: its version is {version}, this one reads {VERSION}",
            problems=[("version", "newer than this vhal")],
            hint="upgrade vhal, or record it anew",
        )
    try:
        return Session.model_validate(_read(data))
    except ValidationError as error:
        raise invalid(str(path), error, Session) from None
    except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise InvalidSpec(f"{path}: damaged: its bytes can't be read ({error})", hint=_ANEW) from None


_ANEW = "record it anew"


def _loaded(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidSpec(f"{path}: larger than {LARGEST >> 20} MiB", hint="record less")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="Recorder.save(PATH) writes one") from None
    except OSError as error:
        raise InvalidSpec(f"{path}: can't be read: {error.strerror}", hint="look at its mode") from None
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"{path}: damaged: no well-formed JSON ({error})", hint=_ANEW) from None


def _lines(data: dict[str, Any]) -> Iterator[str]:
    """Yield the text of a session, a line for each call and event: so that a difference of two can be read."""
    yield "{\n"
    for place, (key, value) in enumerate(data.items()):
        comma = ",\n" if place else ""
        if isinstance(value, list) and value:
            yield f"{comma}{json.dumps(key)}: [\n"
            yield ",\n".join(map(json.dumps, value))
            yield "\n]"
        else:
            yield f"{comma}{json.dumps(key)}: {json.dumps(value)}"
    yield "\n}\n"


def _written(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _written(item) for key, item in data.items()}
    if isinstance(data, list):
        return [_written(item) for item in data]
    if not isinstance(data, bytes):
        return data
    try:
        return {TAG: "bytes", "text": data.decode()}
    except UnicodeDecodeError:
        return {TAG: "bytes", "base64": base64.b64encode(data).decode()}


def _read(data: Any) -> Any:
    if isinstance(data, list):
        return [_read(item) for item in data]
    if not isinstance(data, dict):
        return data
    if data.get(TAG) != "bytes":
        return {key: _read(item) for key, item in data.items()}
    if "text" in data:
        return str(data["text"]).encode()
    return base64.b64decode(data["base64"], validate=True)
