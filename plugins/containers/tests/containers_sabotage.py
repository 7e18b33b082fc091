"""Lets requests to an engine fail, where all of them pass: in the driver's connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vhal_containers.api import ApiError
from vhal_containers.api.answer import Answer
from vhal_containers.driver import ContainersDriver

from vhal.driver import Driver

_WHICH = re.compile(r"(?<=/)(?!json$|start$|exists$)[^/]*(\d|[0-9a-f]{12})[^/]*")
"""The part of a path that says which container, image or volume."""


@contextmanager
def sabotage(driver: Driver, fails: Callable[[str], bool]) -> Iterator[None]:
    """Let those of the driver's requests fail that ``fails`` says, while the block runs: the answer is 500."""
    assert isinstance(driver, ContainersDriver)
    connection = driver.engine.api.connection
    original = connection._request

    @contextmanager
    def request(method: str, path: str, *args: Any, **kwargs: Any) -> Iterator[Answer]:
        if fails(f"{method} {_WHICH.sub('*', path)}"):
            raise ApiError(500, "it was made to fail", "", method, path)
        with original(method, path, *args, **kwargs) as answer:
            yield answer

    connection._request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        del connection._request
