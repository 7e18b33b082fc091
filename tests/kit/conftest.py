"""Runs pytest on tests that a test writes, in a process of its own; and of the suites on bugs what is to fail."""

from __future__ import annotations

from collections.abc import Callable, Generator
from textwrap import dedent
from typing import Any

import pytest

from vhal.testing.conformance.rows import row_of

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Return what writes ``test_it.py`` and further files, and runs them."""

    def run(text: str, *options: str, **files: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=dedent(text), **{name: dedent(text) for name, text in files.items()})
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", *options)

    return run


def _caught(owner: object) -> frozenset[str]:
    """Return the rows that fail for the bug of a class of tests; none for other classes."""
    found: frozenset[str] = getattr(owner, "caught", frozenset())
    return found


def pytest_pycollect_makeitem(collector: object, name: str, obj: object) -> list[pytest.Item] | None:
    """Leave out the rows that find nothing before they are made: there are very many."""
    caught = _caught(getattr(collector, "cls", None))
    row = row_of(name, obj) if caught else None
    return None if row is None or row.id in {one.partition("[")[0] for one in caught} else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a row with parameters, leave out the others."""
    items[:] = [item for item in items if _fails(item) or not _caught(getattr(item, "cls", None))]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a row pass that fails as it should. One that doesn't has failed by then: its failure isn't known."""
    report = yield
    if _fails(item) and hasattr(report, "wasxfail"):
        report.outcome = "passed"
        del report.wasxfail
    return report


def _fails(item: pytest.Item) -> bool:
    caught = _caught(getattr(item, "cls", None))
    if not caught or not isinstance(item, pytest.Function):
        return False
    row = row_of(item.originalname, item.function)
    return row is not None and row.id + item.name[len(item.originalname) :] in caught
