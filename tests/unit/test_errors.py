"""The tree of errors: that its picture is true, and that each error carries what its reader needs."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

from vhal import errors
from vhal.driver.answer import Blocker
from vhal.errors import EngineError, InvalidSpec, MigrationRefused, Unsupported, VhalError


def tree(cls: type[VhalError] = VhalError) -> list[type[VhalError]]:
    """Return an error class and all below it that vhal defines."""
    return [cls, *(below for sub in cls.__subclasses__() if sub.__module__ == "vhal.errors" for below in tree(sub))]


CLASSES = list(dict.fromkeys(tree()))
DRAWN = {
    match[1]: (match[2], match[3] or "") for match in re.finditer(r"[─] (\w+) +([a-z-]+) +(.*)", errors.__doc__ or "")
}


def test_every_class_is_drawn() -> None:
    assert set(DRAWN) == {cls.__name__ for cls in CLASSES} - {"VhalError"}


@pytest.mark.parametrize("cls", CLASSES[1:])
def test_the_picture_is_true(cls: type[VhalError]) -> None:
    code, retry = DRAWN[cls.__name__]
    assert cls.code == code
    assert cls.retryable is not retry.startswith("no"), retry


def test_codes_are_unique() -> None:
    assert len({cls.code for cls in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
class TestEachClass:
    def test_says_what_and_what_to_do(self, cls: type[VhalError]) -> None:
        error = cls("it broke", hint="mend it", backend="mock", host="a", machine="web")
        assert str(error) == "it broke (mend it)"
        assert str(cls("it broke")) == "it broke"
        assert (error.backend, error.host, error.machine) == ("mock", "a", "web")

    def test_is_json_ready(self, cls: type[VhalError]) -> None:
        native = ValueError("the engine's words")
        document = json.loads(json.dumps(cls("it broke", hint="mend it", native=native).as_dict()))
        assert document["code"] == cls.code
        assert document["retryable"] is cls.retryable
        assert document["message"] == "it broke"
        assert document["hint"] == "mend it"
        assert document["native"] == "the engine's words"

    def test_crosses_process_borders(self, cls: type[VhalError]) -> None:
        class Unpicklable(Exception):
            def __reduce__(self) -> str:
                raise TypeError

        error = cls("it broke", hint="mend it", machine="web", native=Unpicklable())
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
            assert type(other) is cls
            assert str(other) == str(error)
            assert other.machine == "web"
            assert other.native is None

    def test_has_an_exit_code_and_a_docstring(self, cls: type[VhalError]) -> None:
        assert 1 <= cls.exit_code <= 8
        assert cls.__doc__


def test_native_is_the_cause() -> None:
    native = ValueError()
    error = EngineError("it broke", native=native)
    assert error.native is error.__cause__ is native
    assert EngineError("it broke").__cause__ is None


def test_problems_and_blockers_survive() -> None:
    blocker = Blocker("full", "it is full", "make room")
    for error in (Unsupported("no", blockers=[blocker]), MigrationRefused("no", blockers=[blocker])):
        other = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert other.blockers == (blocker,)
        assert other.as_dict()["blockers"] == [
            {"code": "full", "message": "it is full", "remedy": "make room", "level": "machine"}
        ]
    spec = pickle.loads(pickle.dumps(InvalidSpec("no", problems=[("name", "bad")])))  # noqa: S301
    assert spec.as_dict()["problems"] == [{"path": "name", "reason": "bad"}]


def test_a_refused_migration_is_unsupported_too() -> None:
    assert issubclass(MigrationRefused, Unsupported)
    assert not MigrationRefused.retryable
