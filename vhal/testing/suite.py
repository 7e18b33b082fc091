"""The tests that every backend passes. What it doesn't declare must refuse, before any effect.

The ids (``LIFE-001`` …) stay as they are once given; a report and a discussion can name them. The suite only touches
machines that it made, and removes them whatever happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.testing.conformance.changes import ChangesSuite
from vhal.testing.conformance.concurrency import ConcurrencySuite
from vhal.testing.conformance.guests import GuestsSuite
from vhal.testing.conformance.life import LifeSuite
from vhal.testing.conformance.liveness import LivenessSuite
from vhal.testing.conformance.migration import MigrationSuite
from vhal.testing.conformance.refusals import RefusalsSuite
from vhal.testing.conformance.stateful import StatefulSuite
from vhal.testing.harness import Harness


class BackendSuite(
    LifeSuite,
    ChangesSuite,
    GuestsSuite,
    RefusalsSuite,
    StatefulSuite,
    MigrationSuite,
    ConcurrencySuite,
    LivenessSuite,
):
    """Subclass it, set ``harness``, and let pytest collect it."""

    harness: ClassVar[Harness]

    @pytest.fixture
    def host(self) -> Iterator[Host]:
        """A host of the backend."""
        with connect(self.harness.open()) as host:
            yield host
            _reap(host, self.harness.prefix)

    @pytest.fixture
    def peer(self) -> Iterator[Host]:
        """Another host, that machines can move to."""
        if self.harness.peer is None:
            pytest.skip("the harness has no peer")
        with connect(self.harness.peer()) as peer:
            yield peer
            _reap(peer, self.harness.prefix)

    @pytest.fixture
    def vm(self, host: Host) -> Machine:
        """A machine, stopped."""
        return host.create(self.harness.spec(self.harness.name()))

    @pytest.fixture
    def running(self, vm: Machine) -> Machine:
        """A machine, running."""
        vm.start()
        return vm


def _reap(host: Host, prefix: str) -> None:
    for machine in host.machines():
        if machine.name.startswith(prefix):
            machine.delete(force=True)
