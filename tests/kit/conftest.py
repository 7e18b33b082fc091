"""Runs pytest on tests that a test writes, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Return what writes ``test_it.py`` and further files, and runs them."""

    def run(text: str, *options: str, **files: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=dedent(text), **{name: dedent(text) for name, text in files.items()})
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", *options)

    return run
