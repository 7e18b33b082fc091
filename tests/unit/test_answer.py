"""Answers: what can() says is what a call raises."""

from __future__ import annotations

import json

import pytest

from vhal.driver.answer import YES, Answer, Blocker, Level
from vhal.errors import AlreadyExists, InsufficientResources, Unsupported

TAKEN = Blocker("taken", "the name is taken", "choose another", raises=AlreadyExists)
FULL = Blocker("full", "it is full", "make room", Level.HOST, InsufficientResources)
NEVER = Blocker("never", "it can't", "use another backend", Level.BACKEND)


def test_yes_and_no() -> None:
    assert YES
    assert Answer(note="emulated")
    assert not Answer.no("never", "it can't", "use another backend")
    assert Answer.of([]) is YES
    assert Answer.of(iter([TAKEN, FULL])).blockers == (TAKEN, FULL)


@pytest.mark.parametrize(
    ("blockers", "kind"),
    [((TAKEN, FULL), AlreadyExists), ((FULL, TAKEN), InsufficientResources), ((NEVER,), Unsupported)],
)
def test_the_first_blocker_says_the_kind(blockers: tuple[Blocker, ...], kind: type[Exception]) -> None:
    error = Answer(blockers).error(backend="mock", host="a", machine="web")
    assert type(error) is kind
    assert error.message == "; ".join(blocker.message for blocker in blockers)
    assert error.hint == "; ".join(blocker.remedy for blocker in blockers)
    assert (error.backend, error.host, error.machine) == ("mock", "a", "web")


def test_unsupported_hands_on_the_blockers() -> None:
    error = Answer((NEVER, FULL)).error()
    assert isinstance(error, Unsupported)
    assert error.blockers == (NEVER, FULL)


def test_a_remedy_is_said_once() -> None:
    assert Answer((FULL, FULL)).error().hint == "make room"


def test_is_json_ready() -> None:
    assert json.loads(json.dumps(Answer((FULL,)).as_dict())) == {
        "can": False,
        "note": None,
        "blockers": [{"code": "full", "message": "it is full", "remedy": "make room", "level": "host"}],
    }
