"""Sessions with the mock, recorded to a file and answered from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
from vhal.driver import Answer
from vhal.errors import VhalError
from vhal.testing import Recorder, Replay

Life = Callable[[vhal.Host], list[Any]]


def dicts(answers: list[Any]) -> list[Any]:
    """Answers that can be compared. An error's host is the connection's own name, if the driver didn't say one."""
    made = [answer.as_dict() if isinstance(answer, (VhalError, Answer)) else answer for answer in answers]
    return [{**answer, "host": None} if isinstance(answer, dict) else answer for answer in made]


def failure(call: Callable[[], object]) -> VhalError:
    with pytest.raises(VhalError) as caught:
        call()
    return caught.value


def record(path: Path, live: Life, *, pseudonyms: bool = False) -> list[Any]:
    world = World.from_spec({"hosts": [{"name": "a"}]})
    with vhal.connect(world.url("a"), layers=[Recorder]) as host:
        told = live(host)
        host.layer(Recorder).save(path, pseudonyms=pseudonyms)
    return told


def replay(path: Path, live: Life) -> tuple[list[Any], Replay]:
    driver = Replay.load(path)
    with vhal.connect(driver) as host:
        return live(host), driver
