"""The kit finds what is wrong: of each bug that is put into the mock, in each layer that finds it, one row.

A row of a bug passes here when it fails there; that it holds on the mock as it is, plugins/mock tests. All rows on all
bugs take minutes: ``python -m tests.kit.bugs``.
"""

from __future__ import annotations

import pytest

from tests.kit.bugs.suites import suite
from tests.kit.bugs.table import BUGS, caught, expected
from vhal.testing.conformance.rows import LAYERS

for _name, _layers in caught().items():
    if _layers:
        _suite = suite(BUGS[_name], expected(_layers))
        globals()[_suite.__name__] = _suite


@pytest.mark.parametrize("bug", BUGS)
def test_every_bug_is_found(bug: str) -> None:
    assert caught()[bug], f"python -m tests.kit.bugs {bug} --keep"


@pytest.mark.parametrize("layer", sorted(set(LAYERS) - {"refusals"}))
def test_every_layer_finds_something(layer: str) -> None:
    assert any(layer in layers for layers in caught().values())
