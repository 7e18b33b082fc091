"""The conformance suite on a mock with a bug."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import pytest
from vhal_mock.world import World

from tests.kit.bugs.seeding import Bug
from tests.kit.simulated import make_world, simulated
from vhal.testing import BackendSuite
from vhal.testing.conformance import lifecycle

PATIENCE_S = 5.0
"""How long something may take that a bug keeps from coming about. What is right takes no time."""

EXAMPLES = 16
"""Lives that the layer *stateful* tries on a bug."""


def suite(bug: Bug | None, caught: Collection[str] = ()) -> type[BackendSuite]:
    """Return the suite's tests, on a world of its own for each.

    Args:
        bug: What is wrong there; None for nothing.
        caught: The rows that must fail for it.
    """
    worlds: list[World] = []

    @pytest.fixture(autouse=True)
    def _seeded(self: BackendSuite) -> Iterator[None]:
        worlds[:] = [make_world()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CI", "1")  # the same examples each time
            patch.setattr(lifecycle, "live", partial(lifecycle.live, shorten=False, examples=EXAMPLES))
            if bug is not None:
                bug.seed(patch)
            yield

    known = {} if bug is None else dict.fromkeys(caught, bug.sentence)
    harness = simulated(lambda: worlds[0], known_failures=known)
    harness = dataclasses.replace(harness, patience_s=PATIENCE_S, timeout_s=4 * PATIENCE_S)
    body: dict[str, Any] = {"harness": harness, "_seeded": _seeded, "caught": frozenset(caught)}
    return type("Test" + ("_" + bug.name if bug else ""), (BackendSuite,), body)
