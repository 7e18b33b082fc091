"""Containers on podman do what the mock does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.driver import ContainersDriver

from tests.parity import SEEDS, SEQUENCES, Pair, drawn, tells
from vhal.driver import HostUrl
from vhal.testing import Harness

from .test_containers_conformance import _spec

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any


@pytest.fixture(scope="module")
def pair(shared_engines: Engines) -> Iterator[Pair]:
    first, second = (HostUrl.parse(engine.url) for engine in shared_engines.lab.engines)
    harness = Harness(
        open=lambda: ContainersDriver.open(first),
        peer=lambda: ContainersDriver.open(second),
        spec=lambda name: _spec(name, shared_engines.image),
        slow=True,
        tells=tells("containers"),
    )
    with Pair.of("containers", harness) as pair:
        yield pair


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_corner_case_is_the_same_on_both(pair: Pair, name: str) -> None:
    pair.compare(SEQUENCES[name])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_oracle_makes_up_is_the_same_on_both(pair: Pair, seed: int) -> None:
    pair.compare(drawn(seed, pair.abilities))
