"""pytest's side of the mock: no two tests share a world by accident.

``mock:///a`` in one test is another world than in the next; the fixture ``mock_world`` is the one of this test. pytest
loads this module at its start, before coverage is measured, so it imports nothing until a test uses the mock.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vhal_mock.world import World


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let ``mock:///`` be a new world for each test."""
    world = sys.modules.get("vhal_mock.world")
    if world is not None:
        world.forget_default()


@pytest.fixture
def mock_world() -> World:
    """The world that ``mock:///a`` and ``mock:///b`` belong to in this test."""
    from vhal_mock.world import find

    return find(None)
