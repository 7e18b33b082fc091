"""What a test needs of a host and of its harness."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from vhal.driver.answer import Answer
from vhal.driver.capability import Capability
from vhal.host import Host
from vhal.testing.harness import Harness


def needs(host: Host, capability: Capability[Any]) -> None:
    """Skip the test if the host's backend can't do it at all."""
    answer: Answer = host.can(capability)
    if not answer:
        lacks(capability, answer.blockers[0].message)


def lacks(capability: Capability[Any], reason: str) -> NoReturn:
    """Skip the test for want of ``capability``: a failure where the run requires that one."""
    skip = pytest.skip.Exception(reason)
    vars(skip)["capability"] = capability.id
    raise skip


def needs_time(harness: Harness) -> None:
    """Skip a test that tells more of the core than of a backend where an operation takes seconds."""
    if harness.slow:
        pytest.skip("an operation takes seconds here, and the core's part is tried on quicker backends")
