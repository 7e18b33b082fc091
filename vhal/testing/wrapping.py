"""Functions and classes that run within a context: what a decorator does.

As ``unittest.mock.patch`` does: of a class, the methods whose names begin with ``test`` run within it. Beyond it, what
prepares them does too: ``setup_method`` to ``teardown_method``, or the whole run of a ``unittest.TestCase``.
"""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager, aclosing
from typing import Any, TypeVar, cast

T = TypeVar("T", bound=Callable[..., Any])
Held = AbstractContextManager[Any]

PREFIX = "test"


def wrapped(target: T, held: Held) -> T:
    """Return ``target``, a function or a class, such that it runs within ``held``, which is entered at each call.

    A class is changed and returned. A generator is within it from its first value to its end.
    """
    if isinstance(target, type):
        _wrap_class(target, held)
        return cast(T, target)
    if isinstance(target, (staticmethod, classmethod)):
        return cast(T, type(target)(wrapped(target.__func__, held)))
    return cast(T, _function(target, held))


def _function(target: Callable[..., Any], held: Held) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(target):

        @functools.wraps(target)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with held:
                return await target(*args, **kwargs)

        return awaited
    if inspect.isasyncgenfunction(target):

        @functools.wraps(target)
        async def async_generated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with held:
                async with aclosing(target(*args, **kwargs)) as values:
                    async for value in values:
                        yield value

        return async_generated
    if inspect.isgeneratorfunction(target):

        @functools.wraps(target)
        def generated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with held:
                return (yield from target(*args, **kwargs))

        return generated

    @functools.wraps(target)
    def called(*args: Any, **kwargs: Any) -> Any:
        with held:
            return target(*args, **kwargs)

    return called


def _wrap_class(owner: type, held: Held) -> None:
    if issubclass(owner, unittest.TestCase):
        owner.run = _function(owner.run, held)  # type: ignore[method-assign]
        return
    for name in dir(owner):
        method = inspect.getattr_static(owner, name)
        if name.startswith(PREFIX) and (callable(method) or isinstance(method, (staticmethod, classmethod))):
            setattr(owner, name, wrapped(method, held))
    _wrap_preparation(owner, held)


def _wrap_preparation(owner: Any, held: Held) -> None:
    """Let ``held`` begin before pytest's ``setup_method`` and end after ``teardown_method``."""
    prepare, tidy = getattr(owner, "setup_method", None), getattr(owner, "teardown_method", None)

    def setup_method(self: Any, method: Any = None) -> None:
        held.__enter__()
        try:
            _call(prepare, self, method)
        except BaseException:
            held.__exit__(None, None, None)
            raise

    def teardown_method(self: Any, method: Any = None) -> None:
        try:
            _call(tidy, self, method)
        finally:
            held.__exit__(None, None, None)

    owner.setup_method, owner.teardown_method = setup_method, teardown_method


def _call(function: Callable[..., Any] | None, self: Any, method: Any) -> None:
    """Call what a class had, which may take the test's function or not."""
    if function is not None:
        wanted = (self, method)[: len(inspect.signature(function).parameters)]
        function(*wanted)
