"""What can happen while an address is opened: other threads turn it, and stop listening."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, FrameType
from typing import Any

from vhal import _opened, opener


@contextmanager
def between_the_steps_of(code: CodeType, act: Callable[[], object]) -> Iterator[None]:
    """Call ``act`` between any two instructions of ``code``, where another thread could do it."""

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        act()
        return step

    former = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(former)


def test_it_is_turned_elsewhere_while_somebody_opens() -> None:
    opened: list[str] = []
    answer: Any = opened.append
    with ExitStack() as stack:
        stack.enter_context(opener.turned(answer))
        with between_the_steps_of(opener.open_driver.__code__, lambda: stack.enter_context(opener.turned(answer))):
            opener.open_driver("mock:///a")
    assert opened == ["mock:///a"]


def test_listening_ends_while_somebody_tells() -> None:
    former = _opened.listener
    heard: list[object] = []

    def toggle() -> None:
        _opened.listener = heard.append if _opened.listener is None else None

    try:
        for listener in (None, heard.append):
            _opened.listener = listener
            with between_the_steps_of(_opened.tell.__code__, toggle):
                _opened.tell("something")
    finally:
        _opened.listener = former
    assert set(heard) <= {"something"}
