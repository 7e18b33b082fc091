"""What tests of fleets have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vhal.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """One of the test's own."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal
