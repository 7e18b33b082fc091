"""Makes the examples of README.md and docs/ tests, and gives every test a journal of its own.

It is at the root since pytest asks only the folders above a page.

The fixture ``pytester``, with which the pytest plugin is tested, can be had from here only.

What an example is and how it is judged is in ``tests/docs/examples.py``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.docs.examples import sybil

pytest_plugins = ["pytester"]
pytest_collect_file = sybil().pytest()


_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def own_journal(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test's own journal is made once something is written down: none reads or writes that of its user."""
    path = tmp_path_factory.getbasetemp() / f"journal-{next(_NUMBERS)}" / "journal.sqlite"
    monkeypatch.setenv("VHAL_JOURNAL", str(path))
    return path
