"""What passes between the core and a driver, as plain data and back: for recordings.

Two ways out: :func:`plain` for what is only looked at and compared, :func:`tagged` for what must come back, and
:func:`untagged` as the way back. Only the contract's own types come back, nothing that a file could name. Bytes stay
bytes here; how they are written is in :mod:`vhal.layers.session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from vhal import errors
from vhal.driver.answer import Answer, Blocker, Level
from vhal.driver.capability import Capability
from vhal.driver.event import Event, EventKind
from vhal.driver.migration import MigrationPolicy, Offer, Ticket, Transfer
from vhal.errors import CommandFailed, InvalidSpec, Unsupported, VhalError
from vhal.spec.host import HostInfo
from vhal.spec.machine import MachineInfo, MachineSpec
from vhal.spec.model import Model, invalid
from vhal.spec.snapshot import SnapshotInfo
from vhal.spec.usage import Usage

TAG = "$"
"""The key that says which type a table stands for."""

MODELS: dict[str, type[Model]] = {
    model.__name__: model
    for model in (
        HostInfo,
        MachineInfo,
        MachineSpec,
        MigrationPolicy,
        Offer,
        SnapshotInfo,
        Ticket,
        Transfer,
        Usage,
    )
}

ERRORS: dict[str, type[VhalError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, VhalError)
}


class NativeWords(Exception):
    """What an engine's own exception said when it was recorded."""


def plain(value: Any) -> Any:
    """Return ``value`` JSON-ready, without a way back."""
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    if isinstance(value, Capability):
        return value.id
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def tagged(value: Any) -> Any:
    """Return ``value`` as data (but for bytes, which stay) that :func:`untagged` makes it from."""
    if isinstance(value, Model):
        return {TAG: type(value).__name__, "value": value.model_dump(mode="json")}
    if isinstance(value, Answer):
        return {TAG: "Answer", "note": value.note, "blockers": [_blocker(blocker) for blocker in value.blockers]}
    if isinstance(value, Event):
        return {TAG: "Event", **{field.name: getattr(value, field.name) for field in fields(Event)}}
    if isinstance(value, VhalError):
        return _error(value)
    if isinstance(value, Mapping):
        return {str(key): tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tagged(item) for item in value]
    return value


def untagged(data: Any) -> Any:
    """Return what ``data`` stands for.

    Raises:
        vhal.errors.InvalidSpec: It stands for nothing that the contract knows, or isn't valid.
    """
    if isinstance(data, list):
        return [untagged(item) for item in data]
    if not isinstance(data, dict):
        return data
    if TAG not in data:
        return {key: untagged(item) for key, item in data.items()}
    kind = data[TAG]
    try:
        if kind in MODELS:
            return MODELS[kind].model_validate(data["value"])
        if kind == "Answer":
            return Answer(tuple(_blocker_of(item) for item in data["blockers"]), data["note"])
        if kind == "Event":
            given = {key: item for key, item in data.items() if key not in (TAG, "kind")}
            return Event(kind=EventKind(data["kind"]), **given)
        if kind == "error":
            return _error_of(data)
    except ValidationError as error:
        raise invalid(str(kind), error, MODELS[str(kind)]) from None
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidSpec(f"that is no {kind}: {type(error).__name__}: {error}") from None
    raise InvalidSpec(f"there is no type {kind!r} in a recording")


def _blocker(blocker: Blocker) -> dict[str, Any]:
    return {**blocker.as_dict(), "raises": _known(blocker.raises)}


def _blocker_of(data: dict[str, Any]) -> Blocker:
    given = {**data, "level": Level(data["level"]), "raises": ERRORS[data["raises"]]}
    return Blocker(**given)


def _known(kind: type[VhalError]) -> str:
    """Return the name of an error's class, or of its nearest base that is one of ours."""
    return next(base.__name__ for base in kind.__mro__ if ERRORS.get(base.__name__) is base)


_FACTS = ("hint", "backend", "host", "machine")


def _error(error: VhalError) -> dict[str, Any]:
    data: dict[str, Any] = {TAG: "error", "class": _known(type(error)), "message": error.message}
    data |= {name: getattr(error, name) for name in _FACTS}
    data["native"] = None if error.native is None else str(error.native)
    if isinstance(error, InvalidSpec):
        data["problems"] = [list(problem) for problem in error.problems]
    if isinstance(error, Unsupported):
        data["blockers"] = [_blocker(blocker) for blocker in error.blockers]
    if isinstance(error, CommandFailed):
        data |= {"exit_code": error.exit_code, "errors": error.errors}
    return data


def _error_of(data: dict[str, Any]) -> VhalError:
    kind = ERRORS[data["class"]]
    facts = {name: data[name] for name in _FACTS}
    if data["native"] is not None:
        facts["native"] = NativeWords(data["native"])
    if issubclass(kind, InvalidSpec):
        facts["problems"] = [(path, reason) for path, reason in data["problems"]]
    if issubclass(kind, Unsupported):
        facts["blockers"] = [_blocker_of(item) for item in data["blockers"]]
    if issubclass(kind, CommandFailed):
        facts |= {"exit_code": data["exit_code"], "errors": data["errors"]}
    return kind(data["message"], **facts)
